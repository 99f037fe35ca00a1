"""The queue of connections in use: found when their tokens are due, by one worker at a time, and gone with their connections."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from adapters.memory.event_store import MemoryEventStore
from adapters.memory.refresh_queue import MemoryRefreshQueue
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import Pool
from adapters.postgres.refresh_queue import _CLAIM as CLAIM
from adapters.postgres.refresh_queue import PostgresRefreshQueue
from domain.connections.refresh_queue import ConnectionKey, RefreshQueue, Use
from domain.ids import new_id
from domain.ports import EventStore
from tests.contracts.test_event_store_companions import first_import
from tests.sample_events import append, on, open_tenant

HOUR = timedelta(hours=1)


@pytest.fixture
async def queue(store: EventStore, shared_pool: Pool) -> RefreshQueue:
    if isinstance(store, MemoryEventStore):
        return MemoryRefreshQueue()
    await shared_pool.execute("truncate connection_marks")
    return PostgresRefreshQueue(shared_pool)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


async def connected(store: EventStore, tenant: UUID, subject: UUID | None = None) -> ConnectionKey:
    """A connection with a secret: nothing else can be used."""
    connection = new_id()
    await store.append(first_import(tenant, subject or new_id(), connection))
    return tenant, connection


async def used(
    queue: RefreshQueue, *keys: ConnectionKey, due: timedelta | None = timedelta(seconds=-1), ago: timedelta = HOUR
) -> None:
    due_at = None if due is None else now() + due
    await queue.note({key: Use(now() - ago, due_at) for key in keys})


async def claimed(queue: RefreshQueue, limit: int = 10, busy: tuple[UUID, ...] = ()) -> set[ConnectionKey]:
    return {(one.project_id, one.connection_id) for one in await queue.claim(limit, busy)}


async def test_a_connection_in_use_is_handed_out_when_it_is_due(
    store: EventStore, queue: RefreshQueue, tenant: UUID
) -> None:
    due, later, never = [await connected(store, tenant) for _ in range(3)]
    await used(queue, due)
    await used(queue, later, due=HOUR)
    await used(queue, never, due=None)
    (one,) = await queue.claim(10, ())
    assert (one.project_id, one.connection_id) == due
    assert abs(one.last_used_at - (now() - HOUR)) < timedelta(minutes=5)


async def test_what_was_handed_out_is_nobody_elses_for_a_while(
    store: EventStore, queue: RefreshQueue, tenant: UUID
) -> None:
    keys = {await connected(store, tenant) for _ in range(12)}
    await used(queue, *keys)
    taken = await asyncio.gather(*(claimed(queue, 2) for _ in range(10)))
    assert sum(map(len, taken)) == len(keys)
    assert set().union(*taken) == keys
    assert await claimed(queue) == set()


async def test_the_longest_due_come_first(store: EventStore, queue: RefreshQueue, tenant: UUID) -> None:
    keys = [await connected(store, tenant) for _ in range(4)]
    for number, key in enumerate(keys):
        await used(queue, key, due=-HOUR * (number + 1))
    assert await claimed(queue, 2) == set(keys[2:])
    assert await claimed(queue, 2) == set(keys[:2])


async def test_projects_that_are_busy_make_room_for_others(
    store: EventStore, queue: RefreshQueue, tenant: UUID
) -> None:
    other = await open_tenant(store)
    theirs, ours = await connected(store, tenant), await connected(store, other)
    await used(queue, theirs, due=-HOUR)
    await used(queue, ours)
    assert await claimed(queue, 10, (tenant,)) == {ours}
    assert await claimed(queue) == {theirs}


async def test_a_later_use_makes_nothing_due_later(store: EventStore, queue: RefreshQueue, tenant: UUID) -> None:
    soon, sooner = await connected(store, tenant), await connected(store, tenant)
    await used(queue, soon)
    await used(queue, soon, due=HOUR)
    await used(queue, soon, due=None)
    await used(queue, sooner, due=HOUR)
    await used(queue, sooner)
    assert await claimed(queue) == {soon, sooner}


async def test_the_latest_use_counts_in_whatever_order_they_are_told(
    store: EventStore, queue: RefreshQueue, tenant: UUID
) -> None:
    key = await connected(store, tenant)
    await used(queue, key, ago=HOUR)
    await used(queue, key, ago=3 * HOUR)
    (one,) = await queue.claim(10, ())
    assert abs(one.last_used_at - (now() - HOUR)) < timedelta(minutes=5)


async def test_what_was_seen_to_is_due_when_it_was_settled_to_be(
    store: EventStore, queue: RefreshQueue, tenant: UUID
) -> None:
    again, later, never = [await connected(store, tenant) for _ in range(3)]
    await used(queue, again, later, never)
    assert len(await claimed(queue)) == 3
    await queue.settle(*again, now() - timedelta(seconds=1))
    await queue.settle(*later, now() + HOUR)
    await queue.settle(*never, None)
    assert await claimed(queue) == {again}
    await used(queue, never)
    assert await claimed(queue) == {never}, "until it is used again"


async def test_nothing_comes_of_settling_what_is_not_there(queue: RefreshQueue, tenant: UUID) -> None:
    await queue.settle(tenant, new_id(), now() - HOUR)
    assert await claimed(queue) == set()


async def test_many_uses_are_noted_at_once(store: EventStore, queue: RefreshQueue, tenant: UUID) -> None:
    keys = [await connected(store, tenant) for _ in range(8)]
    unknown = {(tenant, new_id()): Use(now()) for _ in range(1_200)}
    await queue.note({**unknown, **{key: Use(now(), now() - HOUR) for key in keys}})
    assert await claimed(queue) == set(keys)


class TestInTheDatabase:
    """What holds where the rows are."""

    @pytest.fixture
    def store(self, postgres_store: PostgresEventStore) -> PostgresEventStore:
        return postgres_store

    async def rows(self, pool: Pool, tenant: UUID) -> int:
        found: int = await pool.fetchval("select count(*) from connection_marks where tenant_id = $1", tenant)
        return found

    async def test_what_a_dead_worker_had_comes_back_after_two_minutes(
        self, store: EventStore, queue: RefreshQueue, tenant: UUID, shared_pool: Pool
    ) -> None:
        key = await connected(store, tenant)
        await used(queue, key)
        assert await claimed(queue) == {key}
        shift = "update connection_marks set due_at = due_at - $1::interval"
        await shared_pool.execute(shift, timedelta(seconds=110))
        assert await claimed(queue) == set()
        await shared_pool.execute(shift, timedelta(seconds=15))
        assert await claimed(queue) == {key}

    async def test_a_deleted_connection_leaves_no_mark(
        self, store: EventStore, queue: RefreshQueue, tenant: UUID, shared_pool: Pool
    ) -> None:
        gone, kept = await connected(store, tenant), await connected(store, tenant)
        await used(queue, gone, kept)
        await store.append(append(tenant, on(gone[1], 1, 2), destroys=(gone[1],)))
        assert await self.rows(shared_pool, tenant) == 1
        await used(queue, gone)  # it was used just before, and noted after that
        assert await self.rows(shared_pool, tenant) == 1

    async def test_an_erased_end_user_leaves_no_mark(
        self, store: EventStore, queue: RefreshQueue, tenant: UUID, shared_pool: Pool
    ) -> None:
        subject = new_id()
        gone, kept = await connected(store, tenant, subject), await connected(store, tenant)
        await used(queue, gone, kept)
        await store.append(append(tenant, on(subject, 1, 3), forgets=(subject,)))
        await used(queue, gone)
        assert await self.rows(shared_pool, tenant) == 1
        assert await claimed(queue) == {kept}

    async def test_a_closed_project_leaves_no_mark(
        self, store: EventStore, queue: RefreshQueue, tenant: UUID, shared_pool: Pool
    ) -> None:
        keys = [await connected(store, tenant) for _ in range(3)]
        await used(queue, *keys)
        await store.append(append(tenant, on(tenant, 0, 2), closes=True))
        await used(queue, keys[0])
        await store.empty(tenant)
        assert await self.rows(shared_pool, tenant) == 0

    async def test_no_mark_outlives_its_connection_however_the_two_meet(
        self, store: EventStore, queue: RefreshQueue, tenant: UUID, shared_pool: Pool
    ) -> None:
        keys = [await connected(store, tenant) for _ in range(30)]

        async def delete(key: ConnectionKey) -> None:
            await store.append(append(tenant, on(key[1], 1, 2), destroys=(key[1],)))

        await asyncio.gather(*(one for key in keys for one in (used(queue, key), delete(key), used(queue, key))))
        assert await self.rows(shared_pool, tenant) == 0

    async def test_a_claim_finds_what_is_due_by_the_index(
        self, store: EventStore, queue: RefreshQueue, tenant: UUID, shared_pool: Pool
    ) -> None:
        await shared_pool.execute(
            "insert into connection_marks select $1, gen_random_uuid(), now(), case when i % 2 = 0 then now() + interval '1 day' end"
            " from generate_series(1, 20000) as i",
            tenant,
        )
        key = await connected(store, tenant)
        await used(queue, key)
        await shared_pool.execute("analyze connection_marks")
        async with shared_pool.acquire() as connection:
            plan = await connection.fetch(f"explain {CLAIM}", 40, [])
        text = "\n".join(row[0] for row in plan)
        assert "connection_marks_by_due" in text and "Index Cond: (due_at <=" in text
        assert await claimed(queue) == {key}
