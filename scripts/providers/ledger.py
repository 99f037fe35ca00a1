"""The quick provider's memory: codes, grants and tokens, and the rules by which one leads to the next."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CODE_SECONDS = 60


class Refused(Exception):
    """An error as RFC 6749 names it, and the HTTP status it is answered with."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error, self.status = error, status


@dataclass(eq=False)
class Grant:
    """What one user allowed one client; its tokens live as long as it does."""

    owner: str
    client_id: str
    scope: str
    alive: bool = True
    refresh_token: str = ""
    """The only one that may be used; an earlier one ends the grant."""


@dataclass(frozen=True)
class Code:
    """Half a grant: what the user agreed to, until the client exchanges it."""

    grant: Grant
    redirect_uri: str
    challenge: str
    expires: float


class Ledger:
    """Refreshing with a rotated token, and exchanging a code twice, revoke the grant. Times are seconds of `now`."""

    def __init__(self, access_seconds: int, rotates: bool, now: Callable[[], float]) -> None:
        self.access_seconds = access_seconds
        self.rotates = rotates
        self.now = now
        self._codes: dict[str, Code] = {}
        self._exchanged: dict[str, Grant] = {}
        self._access: dict[str, tuple[Grant, float]] = {}
        self._refresh: dict[str, Grant] = {}

    def code(self, user: str, client_id: str, redirect_uri: str, challenge: str, scope: str) -> str:
        code = secrets.token_urlsafe(24)
        self._codes[code] = Code(Grant(user, client_id, scope), redirect_uri, challenge, self.now() + CODE_SECONDS)
        return code

    def exchange(self, client_id: str, code: str, redirect_uri: str, verifier: str) -> dict[str, Any]:
        if code in self._exchanged:
            self._exchanged[code].alive = False
            raise Refused("invalid_grant")
        known = self._codes.get(code)
        if known is None or known.grant.client_id != client_id or known.expires <= self.now():
            raise Refused("invalid_grant")
        if known.redirect_uri != redirect_uri or known.challenge != _challenge(verifier):
            raise Refused("invalid_grant")
        self._exchanged[code] = self._codes.pop(code).grant
        return self._issued(known.grant)

    def grant(self, user: str, client_id: str, scope: str) -> dict[str, Any]:
        """As if the user had agreed and the code was exchanged."""
        return self._issued(Grant(user, client_id, scope))

    def refresh(self, client_id: str, refresh_token: str) -> dict[str, Any]:
        grant = self._refresh.get(refresh_token)
        if grant is None or not grant.alive or grant.client_id != client_id:
            raise Refused("invalid_grant")
        if refresh_token != grant.refresh_token:
            grant.alive = False
            raise Refused("invalid_grant")
        return self._issued(grant)

    def for_client(self, client_id: str, scope: str) -> dict[str, Any]:
        return self._with_access(Grant(f"client:{client_id}", client_id, scope))

    def owner(self, access_token: str) -> str | None:
        """Whose the access token is; None when it is unknown, expired or revoked."""
        grant, expires = self._access.get(access_token, (None, 0.0))
        return grant.owner if grant is not None and grant.alive and self.now() < expires else None

    def introspect(self, token: str) -> dict[str, Any]:
        grant = self._refresh.get(token)
        if grant is not None and grant.alive and grant.refresh_token == token:
            return {"active": True, "sub": grant.owner, "client_id": grant.client_id, "scope": grant.scope}
        if (owner := self.owner(token)) is None:
            return {"active": False}
        grant, expires = self._access[token]
        return {"active": True, "sub": owner, "client_id": grant.client_id, "scope": grant.scope, "exp": int(expires)}

    def revoke(self, token: str) -> None:
        """A refresh token ends its grant, an access token only itself; an unknown token is no error."""
        if token in self._refresh:
            self._refresh[token].alive = False
        self._access.pop(token, None)

    def expire(self, access_token: str) -> None:
        """Ends its life time now."""
        grant, _ = self._access[access_token]
        self._access[access_token] = (grant, self.now())

    def withdraw(self, user: str) -> None:
        for grant in {*self._refresh.values(), *(grant for grant, _ in self._access.values())}:
            if grant.owner == user:
                grant.alive = False

    def _issued(self, grant: Grant) -> dict[str, Any]:
        if self.rotates or not grant.refresh_token:
            grant.refresh_token = secrets.token_urlsafe(24)
            self._refresh[grant.refresh_token] = grant
        return {**self._with_access(grant), "refresh_token": grant.refresh_token}

    def _with_access(self, grant: Grant) -> dict[str, Any]:
        token = secrets.token_urlsafe(24)
        self._access[token] = (grant, self.now() + self.access_seconds)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": self.access_seconds,
            "scope": grant.scope,
        }


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
