"""Identifiers: time-ordered UUIDs, the installation's tenant, and opaque tokens that carry their tenant."""

from __future__ import annotations

import hashlib
import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

import msgspec

INSTALLATION = UUID("00000000-0000-7000-8000-000000000001")
"""The one tenant of accounts and of what must be unique in the whole installation."""

_TENANT_AND_SECRET = 16 + 32
_BODY_LENGTH = 64


def new_id() -> UUID:
    """A version 7 UUID (RFC 9562, 5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    random = int.from_bytes(os.urandom(10), "big")
    value = (time.time_ns() // 1_000_000 & 0xFFFFFFFFFFFF) << 80
    value |= 0x7000 << 64 | (random >> 62 & 0xFFF) << 64 | 0x8 << 60 | random & 0x3FFFFFFFFFFFFFFF
    return UUID(int=value)


def parse_id(text: str) -> UUID | None:
    """The UUID in its canonical form of 36 characters, or None for anything else."""
    if len(text) != 36:
        return None
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    return parsed if str(parsed) == text.lower() else None


class Token(msgspec.Struct, frozen=True):
    """A presented token, reduced to what may be stored: whose it is, of which kind, and its SHA-256."""

    kind: str
    tenant_id: UUID
    digest: bytes


PROJECT_TOKEN = "cwp"  # noqa: S105 - a prefix, not a secret
INSTANCE_KEY = "cwi"
ACCOUNT_SESSION = "cwa"
COMPANY_SESSION = "cws"
COMPANY_KEY = "cwk"
_KINDS = frozenset({PROJECT_TOKEN, INSTANCE_KEY, ACCOUNT_SESSION, COMPANY_SESSION, COMPANY_KEY})


def mint_token(kind: str, tenant_id: UUID) -> tuple[str, Token]:
    """A new token, ``<kind>_<64 URL-safe characters>``: its text, to be shown once, and what is kept of it."""
    text = f"{kind}_{urlsafe_b64encode(tenant_id.bytes + os.urandom(32)).decode()}"
    return text, Token(kind, tenant_id, token_digest(text))


def token_digest(text: str) -> bytes:
    """SHA-256 of the whole text: enough for 256 random bits, which no dictionary holds."""
    return hashlib.sha256(text.encode()).digest()


def parse_token(text: str) -> Token | None:
    """What a presented token says of itself, or None when it is no token of ours. It proves nothing yet."""
    kind, _, body = text.partition("_")
    if kind not in _KINDS or len(body) != _BODY_LENGTH or not body.isascii():
        return None
    try:
        raw = urlsafe_b64decode(body)
    except ValueError:
        return None
    if len(raw) != _TENANT_AND_SECRET:
        return None
    return Token(kind, UUID(bytes=raw[:16]), token_digest(text))


CONNECT_LINK_TOKEN = "cwl"  # noqa: S105 - a prefix, not a secret
OAUTH_STATE = "cwo"


class StreamToken(msgspec.Struct, frozen=True):
    """A presented token that names a stream of its tenant: a connect link, or the state of an authorization."""

    kind: str
    tenant_id: UUID
    stream_id: UUID
    digest: bytes


def mint_stream_token(
    kind: str, tenant_id: UUID, stream_id: UUID, secret: bytes | None = None
) -> tuple[str, StreamToken]:
    """A new token, ``<kind>_<86 URL-safe characters>``: its text, to be shown once, and what is kept of it. ``secret``: 32 bytes
    that nobody can guess, new ones by default.
    """
    raw = tenant_id.bytes + stream_id.bytes + (secret or os.urandom(32))
    text = f"{kind}_{urlsafe_b64encode(raw).decode().rstrip('=')}"
    return text, StreamToken(kind, tenant_id, stream_id, token_digest(text))


def parse_stream_token(kind: str, text: str) -> StreamToken | None:
    """What a presented token of that kind says of itself, or None. It proves nothing yet."""
    found, _, body = text.partition("_")
    if found != kind or len(body) != 86 or not body.isascii():
        return None
    try:
        raw = urlsafe_b64decode(body + "==")
    except ValueError:
        return None
    if len(raw) != 64:
        return None
    return StreamToken(kind, UUID(bytes=raw[:16]), UUID(bytes=raw[16:32]), token_digest(text))
