"""A runtime fetches credentials: its proxy key, then its grant, then the capability, and only then the vault is opened."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

import msgspec

from domain.apps.catalogue import AppNotFound, UnknownAuthType
from domain.connections.connection import Connection
from domain.connections.refresh_queue import NoteUse
from domain.connections.refresher import Refresher
from domain.connections.refreshing import AHEAD, ConnectionUnusable, is_due, next_look
from domain.connections.secret import Secret, read_secret
from domain.connections.targets import ClientMissing
from domain.errors import Forbidden, NotFound, Unauthenticated
from domain.ids import Token
from domain.ports import Clock, DataKey, credential_context
from domain.projects.integration import IntegrationNotFound


class ProxyKeyInvalid(Unauthenticated):
    """The proxy key is invalid, or is not this instance's."""

    code = "proxy_key_invalid"


class NoGrant(NotFound):
    """This instance has no grant of such a connection."""

    code = "no_grant"


class CapabilityNotGranted(Forbidden):
    """The grant does not include this capability."""

    code = "capability_not_granted"


class SealedSecret(msgspec.Struct, frozen=True):
    """The newest secret of a connection as it is stored, with the key that opens it."""

    version: int
    subject_id: UUID
    box: bytes
    wrapped_key: bytes
    master_key_id: str


class Granted(msgspec.Struct, frozen=True):
    """A connection as far as a fetch looks at it; ``message`` says what went wrong last, or nothing."""

    connection_id: UUID
    capabilities: Sequence[str]
    auth_type: str
    scopes: Sequence[str]
    renewable: bool
    ended: str
    message: str
    secret: SealedSecret


class Looked(msgspec.Struct, frozen=True):
    """What there is of an instance: its key's digest and, if there is one, the newest grant that fits."""

    key_digest: bytes
    granted: Granted | None


class GrantReader(Protocol):
    async def look(self, project_id: UUID, instance_id: UUID, provider: str, name: str | None) -> Looked | None:
        """As of now in the database, all in one question; None when there is no such instance."""


class KeyOpener(Protocol):
    """The part of the vault that opens a key which was read with something else."""

    def opened(self, tenant_id: UUID, subject_id: UUID, wrapped_key: bytes, master_key_id: str) -> DataKey: ...


class Fetched(msgspec.Struct, frozen=True):
    credentials: dict[str, Any]
    capabilities: Sequence[str]

    def __repr__(self) -> str:
        return "Fetched(...)"


class CredentialFetch:
    def __init__(
        self, reader: GrantReader, keys: KeyOpener, refresher: Refresher, clock: Clock, note_use: NoteUse
    ) -> None:
        self._reader = reader
        self._keys = keys
        self._refresher = refresher
        self._clock = clock
        self._note_use = note_use

    async def fetch(
        self, key: Token, instance_id: UUID, provider: str, name: str | None, capability: str | None
    ) -> Fetched:
        """The credentials of the connection that this instance was granted: of that name, or of the newest grant. A token that is
        due is renewed first; nobody is ever given a refresh token.

        ProxyKeyInvalid, NoGrant, CapabilityNotGranted, ConnectionUnusable, RefreshTrouble.
        """
        looked = await self._reader.look(key.tenant_id, instance_id, provider, name)
        if looked is None or not hmac.compare_digest(looked.key_digest, key.digest):
            raise ProxyKeyInvalid
        granted = looked.granted
        if granted is None:
            raise NoGrant
        if capability is not None and capability not in granted.capabilities:
            raise CapabilityNotGranted
        secret = self._opened(key.tenant_id, granted)
        now, state = self._clock(), _as_read(granted, secret)
        if not (granted.ended or granted.message or is_due(state, now, AHEAD)):
            self._note_use(key.tenant_id, granted.connection_id, next_look(state, now))
            return Fetched(_handed_out(granted.auth_type, secret, granted.scopes), granted.capabilities)
        try:
            usable = await self._refresher.usable(key.tenant_id, granted.connection_id)
        except (IntegrationNotFound, ClientMissing, AppNotFound, UnknownAuthType) as missing:
            raise ConnectionUnusable(missing.message) from None
        connection = usable.connection
        return Fetched(_handed_out(connection.auth_type, usable.secret, connection.scopes), granted.capabilities)

    def _opened(self, project_id: UUID, granted: Granted) -> Secret:
        sealed = granted.secret
        key = self._keys.opened(project_id, sealed.subject_id, sealed.wrapped_key, sealed.master_key_id)
        return read_secret(key.open(credential_context(granted.connection_id, sealed.version), sealed.box))


def _as_read(granted: Granted, secret: Secret) -> Connection:
    """Whether anything has to be seen to before the secret is handed out shows by this. The times are the secret's own: it may be
    newer than what is told of it.
    """
    return Connection(
        present=True, obtained_at=secret.obtained_at, expires_at=secret.expires_at, renewable=granted.renewable
    )


def _handed_out(auth_type: str, secret: Secret, scopes: Sequence[str]) -> dict[str, Any]:
    if auth_type in ("api_key", "basic", "custom"):
        return secret.credentials or dict(secret.fields)
    told: dict[str, Any] = {
        "access_token": secret.access_token,
        "token_type": secret.token_type,
        "expires_at": secret.expires_at,
        "scope": " ".join(scopes if secret.scopes is None else secret.scopes),
    }
    return told if secret.token_secret is None else {**told, "token_secret": secret.token_secret}
