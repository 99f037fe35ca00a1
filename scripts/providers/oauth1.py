"""An OAuth 1.0a provider of Authlib and Flask that takes HMAC-SHA1, RSA-SHA1 and PLAINTEXT signatures."""

from __future__ import annotations

import secrets
import time
from typing import Self
from urllib.parse import quote

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from scripts.providers.front import Front
from scripts.providers.fronted import Fronted, launch
from scripts.providers.installing import python_program
from scripts.providers.program import Program
from scripts.providers.provider import Client


class OAuth1Provider(Fronted):
    """Temporary credentials at `request_token_url`, token credentials at `token_url`; both answer form-encoded.

    There is neither an expiry nor a revocation endpoint, as is usual with OAuth 1.0a; `withdraw` ends a token.
    """

    def __init__(self, front: Front, program: Program, client: Client, rsa_private_key: str) -> None:
        super().__init__(front, program)
        self.client = client
        self.rsa_private_key = rsa_private_key
        """PEM (PKCS 8); its public half is registered for RSA-SHA1."""
        self.request_token_url = f"{self.url}/initiate"
        self.authorize_url = f"{self.url}/authorize"
        self.token_url = f"{self.url}/token"
        self.userinfo_url = f"{self.url}/resource"

    @classmethod
    async def start(cls) -> Self:
        """Installs it first where that is needed."""
        client = Client("causeway", secrets.token_urlsafe(24))
        private, public = _key_pair()
        settings = {"client": client, "rsa_public_key": public}
        return cls(*await launch(python_program, "oauth1.py", "/token", settings), client, private)

    async def whose(self, token: str, token_secret: str) -> str | None:
        """Whose the token is, by a PLAINTEXT request to the protected resource; None when it refuses the token."""
        fields = {
            "oauth_consumer_key": self.client.id,
            "oauth_token": token,
            "oauth_signature_method": "PLAINTEXT",
            "oauth_timestamp": str(int(time.time())),
            "oauth_nonce": secrets.token_hex(12),
            "oauth_signature": f"{quote(self.client.secret, safe='~')}&{quote(token_secret, safe='~')}",
        }
        header = "OAuth " + ", ".join(f'{name}="{quote(value, safe="~")}"' for name, value in fields.items())
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.userinfo_url, headers={"Authorization": header}) as answer,
        ):
            if answer.status in (400, 401):
                return None
            answer.raise_for_status()
            owner = (await answer.json())["owner"]
            assert isinstance(owner, str)
            return owner


def _key_pair() -> tuple[str, str]:
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
