"""Appends whose connection breaks: stored once, acknowledged once; and who is woken by a batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.listener import CHANNEL, listen
from adapters.postgres.pool import Pool, open_pool
from domain.facts import Fact
from domain.ids import new_id
from domain.ports import (
    Append,
    Appended,
    CommandAnswer,
    FactChange,
    FactUse,
    SealedCredential,
    StaleStream,
    StorageAway,
    TenantClosed,
    TenantKind,
    WrappedKey,
)
from tests.sample_events import append, numbers_in, on, open_tenant


class Breaking(asyncpg.Connection):  # type: ignore[misc]
    """Breaks so many times right after a call has arrived, or right before it is sent."""

    after = 0
    before = 0

    async def fetch(self, query: str, *arguments: Any, **more: Any) -> Any:
        if "append_batch" in query and Breaking.before:
            Breaking.before -= 1
            self.terminate()
        found = await super().fetch(query, *arguments, **more)
        if "append_batch" in query and Breaking.after:
            Breaking.after -= 1
            self.terminate()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        return found


@pytest.fixture
async def breaking_store(dsn: str) -> AsyncIterator[PostgresEventStore]:
    Breaking.after = Breaking.before = 0
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=4, connection_class=Breaking)
    store = PostgresEventStore(pool)
    yield store
    await store.drain()
    await pool.close()


def first_import(tenant: Any) -> Append:
    subject, connection = new_id(), new_id()
    return append(
        tenant,
        on(subject, 0, 1),
        on(connection, 0, 2),
        facts=(FactChange(FactUse.CLAIM, Fact("user", str(subject)), subject, subject),),
        data_keys=(WrappedKey(subject, b"wrapped", "master"),),
        credentials=(SealedCredential(connection, 1, subject, b"sealed"),),
        command=CommandAnswer(subject.bytes, b"request", b"answer", subject),
    )


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_append_whose_connection_breaks_is_stored_once(
    breaking_store: PostgresEventStore, when: str, times: int
) -> None:
    tenant = await open_tenant(breaking_store)
    setattr(Breaking, when, times)
    appends = [append(tenant, on(new_id(), 0, number)) for number in range(10)]
    answers = await asyncio.gather(*map(breaking_store.append, appends))
    assert getattr(Breaking, when) == 0
    assert sorted(answer.position for answer in answers) == list(range(1, 11))
    assert [one.position for one in await breaking_store.read_tenant(tenant)] == list(range(1, 11))


async def test_a_first_import_whose_answer_is_lost_keeps_its_key_and_credential(
    breaking_store: PostgresEventStore, pool: Pool
) -> None:
    tenant = await open_tenant(breaking_store)
    Breaking.after = 1
    assert (await breaking_store.append(first_import(tenant))).position == 2
    for table in ("data_keys", "credentials", "uniques", "commands"):
        assert await pool.fetchval(f"select count(*) from {table} where tenant_id = $1", tenant) == 1, table


async def test_a_closing_whose_answer_is_lost_is_its_own(breaking_store: PostgresEventStore) -> None:
    tenant = await open_tenant(breaking_store)
    Breaking.after = 1
    assert (await breaking_store.append(append(tenant, on(tenant, 0, 1), closes=True))).position == 1
    with pytest.raises(TenantClosed):
        await breaking_store.append(append(tenant, on(tenant, 1, 2)))


async def test_an_opening_whose_answer_is_lost_is_its_own(breaking_store: PostgresEventStore) -> None:
    tenant = new_id()
    Breaking.after = 1
    assert (await breaking_store.append(append(tenant, on(tenant, 0, 1), opens=TenantKind.PROJECT))).position == 1


async def test_somebody_elses_append_is_not_mistaken_for_ones_own(breaking_store: PostgresEventStore) -> None:
    tenant, stream = await open_tenant(breaking_store), new_id()
    await breaking_store.append(append(tenant, on(stream, 0, 1)))
    Breaking.before = 1
    with pytest.raises(StaleStream):
        await breaking_store.append(append(tenant, on(stream, 0, 1)))
    assert await numbers_in(breaking_store, tenant, stream) == [1]


async def test_a_lost_answer_and_a_poisoned_neighbour_at_once_store_nothing_twice(
    breaking_store: PostgresEventStore,
) -> None:
    tenant = await open_tenant(breaking_store)
    good = [append(tenant, on(new_id(), 0, number)) for number in range(5)]
    poisoned = append(tenant, on(new_id(), 0, 6), facts=(FactChange(FactUse.CLAIM, Fact("nul", "\0"), new_id()),))
    Breaking.before = 1
    answers = await asyncio.gather(*map(breaking_store.append, [*good, poisoned]), return_exceptions=True)
    assert [type(answer) for answer in answers[:5]] == [Appended] * 5
    assert isinstance(answers[5], asyncpg.PostgresError)
    assert len(await breaking_store.read_tenant(tenant)) == 5


async def test_appends_go_on_while_their_backends_are_terminated(dsn: str, pool: Pool) -> None:
    victims = await open_pool(dsn, size=3)
    store = PostgresEventStore(victims)
    tenant = await open_tenant(store)
    streams = [new_id() for _ in range(20)]
    acknowledged: list[int] = []
    done = asyncio.Event()

    async def fill(stream: Any) -> None:
        for version in range(15):
            acknowledged.append((await store.append(append(tenant, on(stream, version, version)))).position)

    async def terminate() -> int:
        terminated = 0
        while not done.is_set() or not terminated:
            terminated += await pool.fetchval(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                " where query like '%append_batch%' and datname = current_database() and pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.02)
        return terminated

    terminating = asyncio.create_task(terminate())
    await asyncio.gather(*map(fill, streams))
    done.set()
    assert await terminating > 0
    await store.drain()
    await victims.close()
    reader = PostgresEventStore(pool)
    assert sorted(acknowledged) == list(range(1, 301))
    assert [one.position for one in await reader.read_tenant(tenant)] == list(range(1, 301))
    for stream in streams:
        assert await numbers_in(reader, tenant, stream) == list(range(15))


async def test_a_database_that_stays_away_is_an_error_for_every_caller(
    breaking_store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await open_tenant(breaking_store)
    pauses: list[float] = []
    real_sleep = asyncio.sleep

    async def no_pause(seconds: float) -> None:
        pauses.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr("adapters.postgres.event_store.asyncio.sleep", no_pause)
    Breaking.before = 9
    waiting = [breaking_store.append(append(tenant, on(new_id(), 0, number))) for number in range(4)]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StorageAway] * 4
    assert len(pauses) >= 8
    assert await breaking_store.read_tenant(tenant) == []
    assert (await breaking_store.append(append(tenant, on(new_id(), 0, 1)))).position == 1


async def test_one_notification_goes_out_for_a_batch_and_none_for_losers(
    wired_listener: tuple[Any, list[str]], pool: Pool
) -> None:
    connection, heard = wired_listener
    store = PostgresEventStore(pool)
    tenant = await open_tenant(store)
    await connection.fetch("select 1")
    heard.clear()
    first = store.append(append(tenant, on(new_id(), 0, 1)))
    others = [store.append(append(tenant, on(new_id(), 0, number))) for number in range(30)]
    await asyncio.gather(first, *others)
    await connection.fetch("select 1")
    assert heard == [""]
    with pytest.raises(StaleStream):
        await store.append(append(tenant, on(new_id(), 1, 1)))
    await connection.fetch("select 1")
    assert heard == [""]
    await store.drain()


@pytest.fixture
async def wired_listener(dsn: str) -> AsyncIterator[tuple[Any, list[str]]]:
    heard: list[str] = []
    connection = await asyncpg.connect(dsn)
    await connection.add_listener(CHANNEL, lambda *notified: heard.append(str(notified[3])))
    yield connection, heard
    await connection.close()


async def test_a_listener_wakes_also_after_its_connection_was_lost(dsn: str, pool: Pool) -> None:
    store, wakeups = PostgresEventStore(pool), asyncio.Event()
    listening = asyncio.create_task(listen(dsn, wakeups))
    try:
        for _ in range(2):
            await asyncio.wait_for(wakeups.wait(), 10)  # it has just connected: there may be something new
            wakeups.clear()
            await open_tenant(store)
            await asyncio.wait_for(wakeups.wait(), 10)
            wakeups.clear()
            ended = await pool.fetchval(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'causeway listener'"
                " and datname = current_database()"
            )
            assert ended == 1
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await store.drain()
