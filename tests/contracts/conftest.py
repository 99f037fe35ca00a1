"""The event store's two homes. One database serves a file's tests, each in tenants of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from adapters.memory.event_store import MemoryEventStore
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import Pool, open_pool
from domain.ids import new_id
from domain.ports import EventStore
from tests.conftest import Ground
from tests.sample_events import open_tenant


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def shared_dsn(ground: Ground) -> Iterator[str]:
    """A database for all tests of a file."""
    name = f"contract_{uuid4().hex}"
    asyncio.run(_execute(ground.server_dsn, f"create database {name} template {ground.template}"))
    yield ground.dsn(name)
    asyncio.run(_execute(ground.server_dsn, f"drop database {name} with (force)"))


@pytest.fixture
async def shared_pool(shared_dsn: str) -> AsyncIterator[Pool]:
    pool = await open_pool(shared_dsn)
    yield pool
    await pool.close()


@pytest.fixture
async def postgres_store(shared_pool: Pool) -> AsyncIterator[PostgresEventStore]:
    store = PostgresEventStore(shared_pool)
    yield store
    await store.drain()


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest, postgres_store: PostgresEventStore) -> EventStore:
    """Each test runs in both homes."""
    return MemoryEventStore() if request.param == "memory" else postgres_store


@pytest.fixture
async def tenant(store: EventStore) -> UUID:
    return await open_tenant(store)


@pytest.fixture
def stream() -> UUID:
    return new_id()
