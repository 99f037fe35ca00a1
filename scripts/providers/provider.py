"""What tests and programs may ask of every OAuth provider here, whatever software it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp

from scripts.providers.browser import Browser
from scripts.providers.faults import Faults
from scripts.providers.traffic import Traffic


class Client(NamedTuple):
    """An application that is registered at a provider."""

    id: str
    secret: str


class Provider(ABC):
    """A running provider on loopback; `async with await SomeProvider.start() as provider` also stops it.

    All addresses go through one origin, at which `faults` plans trouble and `traffic` counts.
    """

    client: Client
    faults: Faults
    traffic: Traffic
    authorize_url: str
    token_url: str
    userinfo_url: str
    """A protected resource as the provider's own software offers it."""

    @property
    @abstractmethod
    def url(self) -> str:
        """The origin, without a slash at the end; also the issuer where there is one."""

    @property
    def client_id(self) -> str:
        return self.client.id

    @property
    def client_secret(self) -> str:
        return self.client.secret

    @abstractmethod
    async def register_redirect(self, uri: str) -> None:
        """Allows this exact redirect URI for all clients."""

    @abstractmethod
    async def withdraw(self, user: str) -> None:
        """The user takes back, at the provider, whatever they have granted: every token of theirs is dead."""

    @abstractmethod
    async def stop(self) -> None:
        """Ends it; held requests are hung up."""

    async def consent(self, authorize_url: str, user: str) -> str:
        """Plays a new browser through login as `user` (any name) and consent; the final redirect URL. Raises Stuck."""
        async with Browser() as browser:
            return await browser.visit(authorize_url, user)

    async def deny(self, authorize_url: str, user: str) -> str:
        """The same for a user who logs in where needed, and says no."""
        async with Browser() as browser:
            return await browser.visit(authorize_url, user, allow=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class OAuth2Provider(Provider):
    """A provider of bearer tokens."""

    machine: Client
    """The client that may use client credentials; its tokens belong to "client:<its id>"."""
    revoke_url: str
    introspect_url: str

    async def whose(self, access_token: str) -> str | None:
        """Whose the token is, by asking a protected resource with it; None when the resource refuses the token."""
        headers = {"Authorization": f"Bearer {access_token}"}
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/resource", headers=headers) as answer:
            if answer.status in (401, 403):
                return None
            answer.raise_for_status()
            owner = (await answer.json())["owner"]
            assert isinstance(owner, str)
            return owner
