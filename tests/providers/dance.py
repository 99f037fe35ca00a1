"""An OAuth 2 client in plain HTTP, without any of the product: what a provider answers is judged by itself."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from scripts.providers.provider import Client, OAuth2Provider

CALLBACK = "http://127.0.0.1:9/callback"


@dataclass
class Answer:
    """A JSON answer."""

    status: int
    body: dict[str, Any]

    @property
    def error(self) -> str | None:
        return self.body.get("error")


@dataclass
class Dance:
    """One client's way through a provider; every value that belongs to one attempt is made anew for it."""

    provider: OAuth2Provider
    client: Client
    scope: str = "read"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    def authorize_url(self, without: str = "", **other: str) -> str:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.client.id,
            "redirect_uri": CALLBACK,
            "scope": self.scope,
            "state": self.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        chosen = {
            name: value for name, value in {**query, **other}.items() if not (without and name.startswith(without))
        }
        return str(URL(self.provider.authorize_url).with_query(chosen))

    async def code(self, user: str) -> str:
        """Consents as that user; the code that came back with our state."""
        back = URL(await self.provider.consent(self.authorize_url(), user))
        assert str(back.with_query(None)) == CALLBACK
        assert back.query["state"] == self.state
        return back.query["code"]

    async def exchange(self, code: str, verifier: str | None = None) -> Answer:
        return await self.ask(
            grant_type="authorization_code",
            code=code,
            redirect_uri=CALLBACK,
            code_verifier=self.verifier if verifier is None else verifier,
        )

    async def link(self, user: str) -> dict[str, Any]:
        """The whole dance; the token answer."""
        answer = await self.exchange(await self.code(user))
        assert answer.status == 200, answer
        return answer.body

    async def refresh(self, refresh_token: str) -> Answer:
        return await self.ask(grant_type="refresh_token", refresh_token=refresh_token)

    async def revoke(self, token: str, hint: str) -> int:
        async with self._post(self.provider.revoke_url, token=token, token_type_hint=hint) as answer:
            return answer.status

    async def introspect(self, token: str) -> dict[str, Any]:
        async with self._post(self.provider.introspect_url, token=token) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def ask(self, **form: str) -> Answer:
        """One token request."""
        async with self._post(self.provider.token_url, **form) as answer:
            return Answer(answer.status, await answer.json())

    @asynccontextmanager
    async def _post(self, url: str, **form: str) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {}
        if self.client.secret:
            headers["Authorization"] = aiohttp.encode_basic_auth(self.client.id, self.client.secret)
        else:
            form["client_id"] = self.client.id
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
            session.post(url, headers=headers, data=form) as answer,
        ):
            yield answer
