"""Credentials that a caller hands over as any JSON object, read as far as a token has to be kept alive."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from domain.connections.secret import Secret
from domain.errors import Invalid

LATEST_SECONDS = 253_402_300_799  # the end of the year 9999
_FIRST, _LAST = datetime.fromtimestamp(0, UTC), datetime.fromtimestamp(LATEST_SECONDS, UTC)


class InvalidCredentials(Invalid):
    """A member of the credentials is not what it should be."""

    code = "invalid_credentials"

    def __init__(self, message: str | None = None, member: str = "") -> None:
        super().__init__(message)
        self.member = member


def secret_of(
    auth_type: str,
    credentials: Mapping[str, Any],
    scopes: tuple[str, ...] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Secret:
    """What is kept of them. Of oauth2 the tokens, their end and their scopes are known by name; everything else is kept as it came.
    ``scopes`` None: those that the credentials name. InvalidCredentials says which member, and never what stood there.
    """
    if auth_type != "oauth2":
        return Secret(credentials=dict(credentials), metadata=dict(metadata or {}), scopes=scopes)
    return Secret(
        access_token=_text(credentials, "access_token"),
        token_type=_text(credentials, "token_type") or "Bearer",
        refresh_token=_text(credentials, "refresh_token"),
        expires_at=_moment(credentials.get("expires_at")),
        scopes=_scopes(credentials) if scopes is None else scopes,
        credentials=dict(credentials),
        metadata=dict(metadata or {}),
    )


def _text(credentials: Mapping[str, Any], member: str) -> str | None:
    value = credentials.get(member)
    if value is not None and not isinstance(value, str):
        raise InvalidCredentials(f"{member} must be a text.", member)
    return value or None


def _scopes(credentials: Mapping[str, Any]) -> tuple[str, ...]:
    """As RFC 6749, 3.3 writes them in one text, or as a list."""
    said = credentials.get("scope") or credentials.get("scopes")
    if isinstance(said, str):
        return tuple(said.split())
    if isinstance(said, list) and all(isinstance(one, str) for one in said):
        return tuple(said)
    return ()


def _moment(value: object) -> datetime | None:
    """ISO 8601, in UTC where it names no zone, or seconds since 1970. Some write the last moment of all times for "never"."""
    wrong = InvalidCredentials(
        "expires_at must be a time in ISO 8601, such as 2030-01-31T08:00:00Z, or seconds since 1970.", "expires_at"
    )
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value) or not 0 <= value <= LATEST_SECONDS:
            raise wrong
        return datetime.fromtimestamp(value, UTC)
    if not isinstance(value, str):
        raise wrong
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise wrong from None
    if moment < _FIRST:
        raise wrong
    return min(moment, _LAST)
