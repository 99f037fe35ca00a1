"""What is sealed as a connection's credential: one immutable JSON document per version."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from domain.connections.oauth import Obtained


class Secret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``fields``: what a person filled in. The tokens: what a provider handed out or somebody imported. ``names``: what templates
    find beside them. ``credentials`` and ``metadata``: whatever a caller of the connections/grants API keeps here, as it was.
    """

    fields: dict[str, str] = {}
    names: dict[str, str] = {}
    access_token: str | None = None
    token_type: str = "Bearer"  # noqa: S105 - a kind, not a secret
    refresh_token: str | None = None
    token_secret: str | None = None
    obtained_at: datetime | None = None
    expires_at: datetime | None = None
    scopes: tuple[str, ...] | None = None
    credentials: dict[str, Any] = {}
    metadata: dict[str, Any] = {}

    def __repr__(self) -> str:
        return "Secret(...)"

    def sealed_form(self) -> bytes:
        return msgspec.json.encode(self)

    def renewed(self, obtained: Obtained, at: datetime) -> Secret:
        """The next version: a provider that sends no new refresh token leaves the old one good (RFC 6749, 6)."""
        return msgspec.structs.replace(
            self,
            access_token=obtained.access_token,
            token_type=obtained.token_type,
            refresh_token=obtained.refresh_token or self.refresh_token,
            token_secret=obtained.token_secret or self.token_secret,
            obtained_at=at,
            expires_at=obtained.expires_at,
            scopes=self.scopes if obtained.scopes is None else obtained.scopes,
            names={**self.names, **obtained.names},
        )


def read_secret(sealed_form: bytes) -> Secret:
    return msgspec.json.decode(sealed_form, type=Secret)
