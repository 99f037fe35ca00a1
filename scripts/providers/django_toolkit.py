"""django-oauth-toolkit: an old refresh token still works for a grace period, and a token that is dead answers 403."""

from __future__ import annotations

import secrets
from typing import Self

from scripts.providers.front import Front
from scripts.providers.fronted import Fronted, launch
from scripts.providers.installing import python_program
from scripts.providers.program import Program
from scripts.providers.provider import Client, OAuth2Provider


class DjangoToolkit(Fronted, OAuth2Provider):
    """`client` may authenticate with client_secret_basic or client_secret_post; PKCE with S256 is required; no `iss`.

    Scopes: read, write, introspection. A refresh token that was rotated away still works within the grace period; after
    that its use revokes all that came from it.
    """

    def __init__(self, front: Front, program: Program, client: Client, machine: Client) -> None:
        super().__init__(front, program)
        self.client, self.machine = client, machine
        self.authorize_url = f"{self.url}/o/authorize/"
        self.token_url = f"{self.url}/o/token/"
        self.revoke_url = f"{self.url}/o/revoke_token/"
        self.introspect_url = f"{self.url}/o/introspect/"
        self.userinfo_url = f"{self.url}/resource"

    @classmethod
    async def start(
        cls,
        *,
        access_seconds: int = 3600,
        refresh_seconds: int = 14 * 86_400,
        grace_seconds: int = 0,
        rotates: bool = True,
    ) -> Self:
        """Installs it first where that is needed."""
        client = Client("causeway", secrets.token_urlsafe(24))
        machine = Client("causeway-machine", secrets.token_urlsafe(24))
        settings = {
            "secret_key": secrets.token_urlsafe(32),
            "access_seconds": access_seconds,
            "refresh_seconds": refresh_seconds,
            "grace_seconds": grace_seconds,
            "rotates": rotates,
            "client": client,
            "machine": machine,
        }
        return cls(*await launch(python_program, "django_toolkit.py", "/o/token/", settings), client, machine)
