"""States of long streams, kept: used while the code that made them is the same."""

from __future__ import annotations

from uuid import UUID

from adapters.memory.event_store import MemoryEventStore
from domain.deciding import load
from domain.ids import new_id
from domain.ports import StoredSnapshot
from tests.counting import LONG_SUM, SUM, Sum
from tests.sample_events import append, on


async def test_a_long_stream_is_read_from_its_snapshot(store: MemoryEventStore, tenant: UUID) -> None:
    stream = new_id()
    await store.append(append(tenant, on(stream, 0, 1, 2)))
    assert await load(store, LONG_SUM, tenant, stream) == (Sum(3), 2)
    assert await store.read_snapshot(tenant, stream) is None
    await store.append(append(tenant, on(stream, 2, 3)))
    assert await load(store, LONG_SUM, tenant, stream) == (Sum(6), 3)
    saved = await store.read_snapshot(tenant, stream)
    assert saved == StoredSnapshot(3, "sample", b'{"total":6}', LONG_SUM.code_hash)
    await store.append(append(tenant, on(stream, 3, 4)))
    await store.save_snapshot(tenant, stream, StoredSnapshot(3, "sample", b'{"total":1000}', LONG_SUM.code_hash))
    assert await load(store, LONG_SUM, tenant, stream) == (Sum(1004), 4)
    assert await load(store, SUM, tenant, stream) == (Sum(10), 4)


async def test_a_snapshot_that_other_code_made_is_ignored_and_replaced(store: MemoryEventStore, tenant: UUID) -> None:
    stream = new_id()
    await store.append(append(tenant, on(stream, 0, 1, 2, 3)))
    await store.save_snapshot(tenant, stream, StoredSnapshot(3, "sample", b'{"renamed":7}', b"other code"))
    assert await load(store, LONG_SUM, tenant, stream) == (Sum(6), 3)
    saved = await store.read_snapshot(tenant, stream)
    assert saved is not None
    assert saved.code_hash == LONG_SUM.code_hash
