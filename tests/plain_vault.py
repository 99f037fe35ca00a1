"""A vault that hides nothing: for tests of what is done with sealed values, not of the sealing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from uuid import UUID

from adapters.memory.event_store import MemoryEventStore
from domain.events import Recorded, Reveal
from domain.ports import PERSONAL, DataKey, SubjectForgotten, TenantClosed, WrappedKey


class PlainKey:
    """Boxes say their context aloud."""

    def seal(self, context: str, plaintext: bytes) -> bytes:
        return context.encode() + b"|" + plaintext

    def open(self, context: str, box: bytes) -> bytes:
        named, _, plaintext = box.partition(b"|")
        assert named == context.encode()
        return plaintext

    def digest(self, context: str, value: bytes) -> bytes:
        return hashlib.sha256(context.encode() + b"|" + value).digest()[:16]


class PlainVault:
    """Vault over the memory store: what that has closed or forgotten has no key."""

    def __init__(self, store: MemoryEventStore) -> None:
        self._store = store

    def new_key(self, tenant_id: UUID, subject_id: UUID) -> tuple[WrappedKey, DataKey]:
        return WrappedKey(subject_id, b"wrapped", "plain"), PlainKey()

    async def key(self, tenant_id: UUID, subject_id: UUID) -> DataKey:
        tenant = self._store.tenants.get(tenant_id)
        if tenant is None or tenant.closed or tenant.data_keys.get(subject_id) is None:
            raise SubjectForgotten
        return PlainKey()

    async def tenant_key(self, tenant_id: UUID) -> DataKey:
        try:
            return await self.key(tenant_id, tenant_id)
        except SubjectForgotten:
            raise TenantClosed from None

    async def revealer(self, recorded: Sequence[Recorded]) -> Reveal:
        return lambda sealed: PlainKey().open(PERSONAL, sealed.box).decode()

    async def credential(self, tenant_id: UUID, connection_id: UUID) -> tuple[int, bytes] | None:
        version = await self.newest_version(tenant_id, connection_id)
        if not version:
            return None
        return version, self._store.tenants[tenant_id].credentials[connection_id, version].sealed

    async def newest_version(self, tenant_id: UUID, connection_id: UUID) -> int:
        tenant = self._store.tenants.get(tenant_id)
        if tenant is None or tenant.closed:
            return 0
        return max((version for one, version in tenant.credentials if one == connection_id), default=0)
