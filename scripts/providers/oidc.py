"""The certified oidc-provider: PKCE required, refresh tokens rotate, and one that is used twice revokes the whole grant."""

from __future__ import annotations

import secrets
from typing import Self

from scripts.providers.front import Front
from scripts.providers.fronted import Fronted, launch
from scripts.providers.installing import node_program
from scripts.providers.program import Program
from scripts.providers.provider import Client, OAuth2Provider


class OidcProvider(Fronted, OAuth2Provider):
    """`client` may authenticate with client_secret_basic or client_secret_post.

    Scopes: openid, offline_access, email, read, write; a refresh token is always issued. The authorization response bears
    `iss`. `userinfo_url` wants the scope openid. No access token lives a moment longer than it says.
    """

    def __init__(self, front: Front, program: Program, clients: dict[str, Client]) -> None:
        super().__init__(front, program)
        self.client = self.machine = clients["client_secret_basic"]
        self.public_client = clients["none"]
        """Has no secret; PKCE alone protects it."""
        self.authorize_url = f"{self.url}/auth"
        self.token_url = f"{self.url}/token"
        self.revoke_url = f"{self.url}/token/revocation"
        self.introspect_url = f"{self.url}/token/introspection"
        self.userinfo_url = f"{self.url}/me"
        self.discovery_url = f"{self.url}/.well-known/openid-configuration"

    @classmethod
    async def start(
        cls, *, access_seconds: int = 3600, refresh_seconds: int = 14 * 86_400, rotates: bool = True
    ) -> Self:
        """Installs it first where that is needed. Raises NotInstallable without Node.js."""
        clients = {
            "client_secret_basic": Client("causeway", secrets.token_urlsafe(24)),
            "none": Client("causeway-public", ""),
        }
        settings = {
            "accessSeconds": access_seconds,
            "refreshSeconds": refresh_seconds,
            "rotates": rotates,
            "clients": [{"id": one.id, "secret": one.secret, "method": method} for method, one in clients.items()],
        }
        return cls(*await launch(node_program, "provider.mjs", "/token", settings), clients)
