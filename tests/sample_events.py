"""Events and appends for tests of the store: a counter that counts, in tenants of its own."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain.events import Event, Metadata
from domain.ids import new_id
from domain.ports import Append, EventStore, StreamEvents, TenantKind


class Counted(Event, frozen=True):
    TOPIC = "sample.counted"
    number: int
    note: str = ""


def metadata(**more: Any) -> Metadata:
    return Metadata("test:counter", new_id(), **more)


def on(stream_id: UUID, expected_version: int, *numbers: int) -> StreamEvents:
    """Counts these numbers in a stream that should be at that version."""
    return StreamEvents(stream_id, "sample", expected_version, tuple(Counted(number=number) for number in numbers))


def append(tenant_id: UUID, *streams: StreamEvents, **more: Any) -> Append:
    return Append(**({"tenant_id": tenant_id, "streams": streams, "metadata": metadata()} | more))


async def open_tenant(store: EventStore) -> UUID:
    """A new project's tenant, without events."""
    tenant_id = new_id()
    await store.append(append(tenant_id, opens=TenantKind.PROJECT))
    return tenant_id


async def numbers_in(store: EventStore, tenant_id: UUID, stream_id: UUID) -> list[int]:
    found = []
    for recorded in await store.read_stream(tenant_id, stream_id):
        assert isinstance(recorded.event, Counted)
        found.append(recorded.event.number)
    return found
