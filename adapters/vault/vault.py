"""The vault over PostgreSQL: finds, opens and caches data keys; opens credentials and personal texts."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from adapters.postgres.pool import Connection, Pool
from adapters.vault.envelope import SubjectKey, unwrap, wrap
from adapters.vault.keyring import Keyring
from domain.batching import SharedQuery
from domain.events import FORGOTTEN, Recorded, Reveal, Revealed, Sealed
from domain.ports import PERSONAL, DataKey, SubjectForgotten, TenantClosed, WrappedKey, credential_context

_UNWRAPPED_KEPT = 20_000
_TENANT_KEY_SECONDS = 60.0

_KEYS = (
    "select q.i, k.wrapped_key, k.master_key_id from unnest($1::uuid[], $2::uuid[]) with ordinality as q(tenant_id, subject_id, i)"
    " join data_keys k on k.tenant_id = q.tenant_id and k.subject_id = q.subject_id"
    " join tenant_heads h on h.tenant_id = q.tenant_id and h.closed_at is null where k.wrapped_key is not null"
)
_NEWEST = (
    "select c.version, c.subject_id, c.sealed, k.wrapped_key, k.master_key_id from credentials c"
    " join data_keys k on k.tenant_id = c.tenant_id and k.subject_id = c.subject_id"
    " join tenant_heads h on h.tenant_id = c.tenant_id and h.closed_at is null"
    " where c.tenant_id = $1 and c.connection_id = $2 and k.wrapped_key is not null order by c.version desc limit 1"
)
_VERSIONS = (
    "select c.version, c.subject_id, c.sealed, k.wrapped_key, k.master_key_id from credentials c"
    " join data_keys k on k.tenant_id = c.tenant_id and k.subject_id = c.subject_id"
    " join tenant_heads h on h.tenant_id = c.tenant_id and h.closed_at is null"
    " where c.tenant_id = $1 and c.connection_id = $2 and c.version = any ($3::integer[]) and k.wrapped_key is not null"
)


class PostgresVault:
    """Vault. Keys of end users are looked up every time, because erasure must hold at once in every process; only their
    unwrapping is cached. Keys of tenants are kept for a minute: a closed one's head refuses every write, and what is stored
    under it is no longer found, here or in the event store. Over a connection in a transaction it sees the keys as that
    transaction does.
    """

    def __init__(self, pool: Pool | Connection, keyring: Keyring) -> None:
        self._pool = pool
        self._keyring = keyring
        self._unwrapped: OrderedDict[bytes, bytes] = OrderedDict()
        self._tenant_keys: dict[UUID, tuple[float, SubjectKey]] = {}
        self._keys = SharedQuery(pool.fetch, _KEYS)

    def new_key(self, tenant_id: UUID, subject_id: UUID) -> tuple[WrappedKey, DataKey]:
        raw = os.urandom(32)
        master = self._keyring.current
        wrapped = wrap(self._keyring.key(master), master, tenant_id, subject_id, raw)
        self._remember(wrapped, raw)
        return WrappedKey(subject_id, wrapped, master), SubjectKey(tenant_id, subject_id, raw)

    async def key(self, tenant_id: UUID, subject_id: UUID) -> DataKey:
        found = self._key_in(tenant_id, subject_id, await self._keys.ask(tenant_id, subject_id))
        if found is None:
            raise SubjectForgotten("the subject was erased")
        return found

    async def tenant_key(self, tenant_id: UUID) -> DataKey:
        kept = self._tenant_keys.get(tenant_id)
        if kept and kept[0] > time.monotonic():
            return kept[1]
        found = self._key_in(tenant_id, tenant_id, await self._keys.ask(tenant_id, tenant_id))
        if found is None:
            self._tenant_keys.pop(tenant_id, None)
            raise TenantClosed("the tenant is closed")
        if len(self._tenant_keys) > _UNWRAPPED_KEPT:
            self._tenant_keys.clear()
        self._tenant_keys[tenant_id] = (time.monotonic() + _TENANT_KEY_SECONDS, found)
        return found

    async def revealer(self, recorded: Sequence[Recorded]) -> Reveal:
        subjects = {
            (one.tenant_id, sealed.subject_id)
            for one in recorded
            for field in one.event.SEALED
            if isinstance(sealed := getattr(one.event, field), Sealed)
        }
        asked = {subject: self._keys.ask(*subject) for subject in subjects}
        keys = {subject[1]: self._key_in(*subject, await rows) for subject, rows in asked.items()}

        def reveal(sealed: Sealed) -> Revealed:
            key = keys[sealed.subject_id]
            return FORGOTTEN if key is None else key.open(PERSONAL, sealed.box).decode()

        return reveal

    async def credential(self, tenant_id: UUID, connection_id: UUID) -> tuple[int, bytes] | None:
        row = await self._pool.fetchrow(_NEWEST, tenant_id, connection_id)
        if row is None:
            return None
        key = self.opened(tenant_id, row["subject_id"], row["wrapped_key"], row["master_key_id"])
        return row["version"], key.open(credential_context(connection_id, row["version"]), row["sealed"])

    async def credentials(self, tenant_id: UUID, connection_id: UUID, versions: Sequence[int]) -> list[bytes]:
        """These versions of a secret, opened, in this order; those that are gone are left out."""
        found = {}
        for row in await self._pool.fetch(_VERSIONS, tenant_id, connection_id, list(versions)):
            key = self.opened(tenant_id, row["subject_id"], row["wrapped_key"], row["master_key_id"])
            found[row["version"]] = key.open(credential_context(connection_id, row["version"]), row["sealed"])
        return [found[version] for version in versions if version in found]

    async def newest_version(self, tenant_id: UUID, connection_id: UUID) -> int:
        found = await self._pool.fetchval(
            "select max(c.version) from credentials c"
            " join tenant_heads h on h.tenant_id = c.tenant_id and h.closed_at is null"
            " where c.tenant_id = $1 and c.connection_id = $2",
            tenant_id,
            connection_id,
        )
        return found or 0

    def _key_in(self, tenant_id: UUID, subject_id: UUID, rows: list[Sequence[Any]]) -> SubjectKey | None:
        return self.opened(tenant_id, subject_id, rows[0][1], rows[0][2]) if rows else None

    def opened(self, tenant_id: UUID, subject_id: UUID, wrapped_key: bytes, master_key_id: str) -> SubjectKey:
        """A key that has just been read, beside what it seals."""
        raw = self._unwrapped.get(wrapped_key)
        if raw is None:
            raw = unwrap(self._keyring.key(master_key_id), master_key_id, tenant_id, subject_id, wrapped_key)
            self._remember(wrapped_key, raw)
        return SubjectKey(tenant_id, subject_id, raw)

    def _remember(self, wrapped: bytes, raw: bytes) -> None:
        self._unwrapped[wrapped] = raw
        if len(self._unwrapped) > _UNWRAPPED_KEPT:
            self._unwrapped.popitem(last=False)
