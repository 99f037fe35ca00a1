"""Several stores over pools of their own on the same tenants, as several processes are: nobody deadlocks, nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from uuid import UUID

import asyncpg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import Pool, open_pool
from domain.facts import Fact
from domain.ids import new_id
from domain.ports import (
    Append,
    Appended,
    CommandAnswer,
    FactChange,
    FactUse,
    Lost,
    SealedCredential,
    StoredSnapshot,
    TenantClosed,
    TenantKind,
    WrappedKey,
)
from tests.sample_events import append, on

STORES, CALLERS, APPENDS, TENANTS, SHARED_STREAMS = 4, 12, 15, 6, 5


class Caller:
    """Appends of every kind to tenants that all callers share. What was acknowledged is remembered."""

    def __init__(self, store: PostgresEventStore, tenants: list[UUID], shared: list[UUID], seed: int) -> None:
        self.store, self.tenants, self.shared = store, tenants, shared
        self.random = random.Random(seed)
        self.acknowledged: list[tuple[Append, Appended]] = []
        self.lost: Counter[str] = Counter()

    async def run(self) -> None:
        for _ in range(APPENDS):
            one = self._any(self.random.choice(self.tenants))
            try:
                self.acknowledged.append((one, await self.store.append(one)))
            except Lost as lost:
                self.lost[type(lost).__name__] += 1
            if one.closes:
                await self.store.empty(one.tenant_id)
            snapshot = StoredSnapshot(1, "sample", b"state", b"hash")
            await self.store.save_snapshot(one.tenant_id, self.random.choice(self.shared), snapshot)

    def _any(self, tenant: UUID) -> Append:
        fact = Fact("seat", str(self.random.randrange(8)))
        subject, stream = new_id(), new_id()
        shared = sorted(self.random.sample(self.shared, 2), key=lambda _: self.random.random())
        match self.random.randrange(7):
            case 0:
                return append(tenant, *(on(one, self.random.randrange(6), 1) for one in shared))
            case 1:
                return append(tenant, on(stream, 0, 1), facts=(FactChange(FactUse.CLAIM, fact, stream, shared[0]),))
            case 2:
                return append(tenant, on(stream, 0, 1), facts=(FactChange(FactUse.RELEASE, fact),))
            case 3:
                credential = SealedCredential(stream, 1, shared[0], b"sealed")
                return append(tenant, on(stream, 0, 1), credentials=(credential,))
            case 4:
                return append(
                    tenant,
                    on(subject, 0, 1),
                    on(stream, 0, 1, 2),
                    opens=TenantKind.PROJECT,
                    data_keys=(WrappedKey(subject, b"wrapped", "master"),),
                    credentials=(SealedCredential(stream, 1, subject, b"sealed"),),
                    command=CommandAnswer(subject.bytes, b"request", b"answer", subject),
                )
            case 5:
                key = WrappedKey(shared[1], b"wrapped", "master")
                return append(tenant, on(stream, 0, 1), data_keys=(key,), forgets=(shared[0],))
            case _:
                return append(tenant, on(stream, 0, 1), closes=self.random.random() < 0.05)


@pytest.fixture
async def callers(dsn: str) -> list[Caller]:
    pools = [await open_pool(dsn, size=4) for _ in range(STORES)]
    stores = [PostgresEventStore(pool) for pool in pools]
    tenants, shared = [new_id() for _ in range(TENANTS)], [new_id() for _ in range(SHARED_STREAMS)]
    for tenant in tenants[:-1]:
        await stores[0].append(append(tenant, opens=TenantKind.PROJECT))
    callers = [Caller(stores[number % STORES], tenants, shared, seed=number) for number in range(STORES * CALLERS)]
    await asyncio.gather(*(caller.run() for caller in callers))
    for store, pool in zip(stores, pools, strict=True):
        await store.drain()
        await pool.close()
    return callers


async def test_what_was_acknowledged_is_stored_once_and_nothing_else_is(callers: list[Caller], pool: Pool) -> None:
    reader = PostgresEventStore(pool)
    acknowledged = [both for caller in callers for both in caller.acknowledged]
    assert {name for caller in callers for name in caller.lost} >= {"StaleStream", "FactTaken", "TenantClosed"}
    for tenant in callers[0].tenants:
        log = await reader.read_tenant(tenant, limit=100_000)
        assert [one.position for one in log] == list(range(1, len(log) + 1))
        assert [one.recorded_at for one in log] == sorted(one.recorded_at for one in log)
        expected: dict[int, tuple[UUID, UUID, int]] = {}
        for one, answer in acknowledged:
            if one.tenant_id == tenant:
                rows = [(s.stream_id, s.expected_version + n) for s in one.streams for n in range(1, len(s.events) + 1)]
                for place, (stream, version) in enumerate(rows, start=answer.position - len(rows) + 1):
                    assert place not in expected
                    expected[place] = (one.metadata.command_id, stream, version)
        found = {one.position: (one.metadata.command_id, one.stream_id, one.version) for one in log}
        assert found == expected


async def test_a_closed_tenant_holds_nothing_however_many_were_writing(callers: list[Caller], pool: Pool) -> None:
    closings = [one for caller in callers for one, _ in caller.acknowledged if one.closes]
    assert closings
    assert len({one.tenant_id for one in closings}) == len(closings)
    for closing in closings:
        for table in ("uniques", "commands", "credentials", "snapshots"):
            left = await pool.fetchval(f"select count(*) from {table} where tenant_id = $1", closing.tenant_id)
            assert left == 0, table
        living = "select count(*) from data_keys where tenant_id = $1 and wrapped_key is not null"
        assert await pool.fetchval(living, closing.tenant_id) == 0
        log = await PostgresEventStore(pool).read_tenant(closing.tenant_id, limit=100_000)
        assert log[-1].metadata == closing.metadata
        with pytest.raises(TenantClosed):
            await PostgresEventStore(pool).append(append(closing.tenant_id))


async def test_nobody_deadlocked(callers: list[Caller], dsn: str) -> None:
    assert sum(len(caller.acknowledged) for caller in callers) > 100
    connection = await asyncpg.connect(dsn)  # the pools are closed: their backends have reported their counts
    try:
        assert (
            await connection.fetchval("select deadlocks from pg_stat_database where datname = current_database()") == 0
        )
    finally:
        await connection.close()
