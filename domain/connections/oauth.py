"""What connecting asks of a provider: the port to OAuth 2, OAuth 1.0a and two-step apps, its answers and its two ways to fail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import msgspec

from domain.apps.app import App, Scheme


class Identity(msgspec.Struct, frozen=True):
    """Whose account was linked: the provider's own stable id of it, and a name for people ("" when it tells none)."""

    account_id: str
    name: str = ""


class Obtained(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider handed out. ``expires_at`` None: it names no end. ``refresh_token`` None: it gave none (on a refresh:
    the old one stays good). ``token_secret`` belongs to OAuth 1.0a. ``scopes`` None: it did not say. ``names``: what the
    manifest's from_token found in the answer.
    """

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - a kind, not a secret
    refresh_token: str | None = None
    token_secret: str | None = None
    expires_at: datetime | None = None
    scopes: tuple[str, ...] | None = None
    identity: Identity | None = None
    names: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"Obtained(expires_at={self.expires_at}, scopes={self.scopes})"


class Client(msgspec.Struct, frozen=True):
    """The OAuth client of an integration. ``secret`` is "" for a public client; for RSA-SHA1 it is the PEM of the private key.
    ``fields`` are the manifest's client_fields.
    """

    client_id: str
    secret: str = ""
    fields: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return "Client(...)"


class Target(msgspec.Struct, frozen=True):
    """Which provider, with whose client, what the person filled in for its addresses (such as a shop's name), and the names
    that an earlier answer brought.
    """

    app: App
    scheme: Scheme
    client: Client
    fields: Mapping[str, str] = {}
    names: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"Target({self.app.key}, {self.scheme.type})"


class RequestToken(msgspec.Struct, frozen=True):
    """OAuth 1.0a, step one: a token that only carries the person to the provider and back (RFC 5849, 2.1)."""

    token: str
    secret: str

    def __repr__(self) -> str:
        return "RequestToken(...)"


class ProviderRefused(Exception):
    """The provider said no, definitely: asking again the same way brings the same answer.

    ``code`` is the provider's error code when it is one of the registered or declared ones, else "refused"; ``message`` is for
    people and holds no secret and nothing that was not checked.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ProviderTrouble(Exception):
    """No usable answer: nothing is known, and the same request may work later.

    ``retry_after`` in seconds as the provider asked. ``may_have_arrived``: the provider may have done what was asked.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, may_have_arrived: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.may_have_arrived = may_have_arrived


class OAuthClient(Protocol):
    """Speaks with providers. Every method may raise ProviderRefused or ProviderTrouble; none outlives ``seconds``."""

    def authorize_url(
        self, target: Target, *, redirect_uri: str, state: str, verifier: str, scopes: tuple[str, ...]
    ) -> str:
        """Where the person goes to consent (OAuth 2; RFC 6749, 4.1.1). ``verifier`` is PKCE's (RFC 7636), used as S256."""

    def authorize_url_for(self, target: Target, request_token: RequestToken) -> str:
        """Where the person goes to consent (OAuth 1.0a; RFC 5849, 2.2)."""

    def check_issuer(self, target: Target, issuer: str) -> None:
        """ProviderRefused when the answer's ``iss`` is missing where the provider sends one, or is another (RFC 9207)."""

    async def request_token(self, target: Target, *, callback: str, seconds: float) -> RequestToken: ...

    async def exchange(
        self, target: Target, *, code: str, redirect_uri: str, verifier: str, seconds: float
    ) -> Obtained:
        """The code against tokens, and whose account it is where the manifest says how to learn that."""

    async def exchange_verifier(
        self, target: Target, request_token: RequestToken, *, verifier: str, seconds: float
    ) -> Obtained:
        """OAuth 1.0a, step three (RFC 5849, 2.3)."""

    async def obtain(self, target: Target, *, scopes: tuple[str, ...], seconds: float) -> Obtained:
        """A token without a person: client credentials (RFC 6749, 4.4), or an app's own two-step call with the fields."""

    async def refresh(
        self, target: Target, *, refresh_token: str | None, scopes: tuple[str, ...], seconds: float
    ) -> Obtained:
        """A new access token with the scopes of before (RFC 6749, 6). A scheme without refresh tokens obtains again, with
        `scopes`; unlike `obtain` it takes a wrong configuration for trouble, because that does not end anybody's grant.
        """

    async def revoke(self, target: Target, *, access_token: str, refresh_token: str | None, seconds: float) -> bool:
        """Asks the provider to end it (RFC 7009, or as the app declares); False when it has no such endpoint."""
