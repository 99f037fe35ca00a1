"""An append that the client cannot even encode hurts its own caller alone, and is not mistaken for a lost connection."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import Pool
from domain.events import Metadata
from domain.ids import new_id
from domain.ports import Append, Appended, StreamEvents, TenantKind
from domain.projects.project import ProjectDeleted


def append(tenant_id: object, version: int) -> Append:
    stream = StreamEvents(new_id(), "project", version, (ProjectDeleted(),))
    return Append(tenant_id=tenant_id, streams=(stream,), metadata=Metadata("test:", uuid4()))  # type: ignore[arg-type]


async def test_a_version_beyond_an_integer_hurts_nobody_else(pool: Pool) -> None:
    store, tenant = PostgresEventStore(pool), new_id()
    await store.append(
        Append(tenant_id=tenant, streams=(), metadata=Metadata("test:", uuid4()), opens=TenantKind.PROJECT)
    )
    wrong, right = await asyncio.gather(
        store.append(append(tenant, 2**40)), store.append(append(tenant, 0)), return_exceptions=True
    )
    assert isinstance(wrong, asyncpg.DataError)
    assert isinstance(right, Appended)
    await store.drain()
