"""The audit: folds every tenant's history again and compares it with what the read models hold, row by row."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from projections.findings import Finding, compared
from projections.folding import BATCH, RawEvent
from projections.projection import Projection
from projections.reading import Connection, Pool
from projections.replay import Replay, Tenant, VaultOn, history, tenants
from projections.tables import Key, Table, Values

SecondEvent = tuple[int, UUID, int, str, bytes]
"""Position, stream id, version, topic and state, as somebody else's code reads them."""


class SecondReader(Protocol):
    """Another way to read a tenant's history than this program's own."""

    async def read(self, tenant_id: UUID, first: int, last: int) -> Sequence[SecondEvent]:
        """The events at these positions, both ends included, in order."""


class Counted(msgspec.Struct):
    """What an audit has gone through so far."""

    tenants: int = 0
    events: int = 0
    rows: int = 0
    findings: int = 0


class _Serving(msgspec.Struct):
    """A live checkpoint that the audit folds up to."""

    generation: int
    position: int


_CHECKPOINTS = """
select c.projection, c.generation, c.position, c.stopped, g.code_hash from checkpoints c
left join projection_generations g on g.projection = c.projection and g.generation = c.generation
where c.tenant_id = $1 and c.live
"""
_PENDING = "select exists (select from dirty where tenant_id = $1)"
_STREAMS = """
select stream_id, e.events, s.version from (
    select stream_id, count(*) as events, min(version) as first, max(version) as last from all_events
    where tenant_id = $1 group by stream_id
) e full join (select stream_id, version from streams where tenant_id = $1) s using (stream_id)
where e.events is distinct from s.version or e.last is distinct from s.version or e.first <> 1 order by 1
"""


class Audit:
    """Goes through tenants one by one, each in one read-only transaction, while everything runs on."""

    def __init__(
        self, pool: Pool, projections: Sequence[Projection], vault_on: VaultOn, second: SecondReader | None = None
    ) -> None:
        self._pool = pool
        self._projections = projections
        self._vault_on = vault_on
        self._second = second
        self.counted = Counted()
        self.told: Callable[[Counted], None] = lambda counted: None

    async def run(self, only: UUID | None = None) -> AsyncIterator[Finding]:
        """What is wrong, as it is found; ``counted`` grows meanwhile. ``only`` that tenant."""
        async with self._pool.acquire() as connection:
            found = [tenant.tenant_id async for tenant in tenants(connection, only)]
        for tenant_id in found:
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                async for tenant in tenants(connection, tenant_id):
                    async for finding in self._tenant(connection, tenant):
                        self.counted.findings += 1
                        yield finding
            self.counted.tenants += 1

    async def _tenant(self, connection: Connection, tenant: Tenant) -> AsyncIterator[Finding]:
        tenant_id = tenant.tenant_id
        for stream_id, events, version in await connection.fetch(_STREAMS, tenant_id):
            yield Finding(
                tenant_id, f"stream {stream_id} holds {events or 0} events and should be at version {version}"
            )
        serving, findings = await self._serving(connection, tenant)
        for finding in findings:
            yield finding
        projections = [projection for projection in self._projections if projection.name in serving]
        limits = {name: one.position for name, one in serving.items()}
        vault = self._vault_on(connection)
        replay = Replay(tenant, projections, vault, limits)
        second = Replay(tenant, projections, vault, limits) if self._second is not None else None
        async for finding in self._read(connection, tenant, replay, second):
            yield finding
        # Later than what this transaction sees: whatever has been removed of that had expired by now.
        now = await connection.fetchval("select clock_timestamp()")
        folds = {name: one for name, one in replay.reached.items() if one.position == limits[name]}
        for name in replay.reached.keys() - folds.keys():
            why = replay.reached[name].stopped or "events are missing"
            yield Finding(tenant_id, f"cannot be folded again: {why}", name)
        for projection, table, folded in replay.tables(now):
            if projection.name not in folds:
                continue
            if second is not None:
                others = second.unexpired(projection, table, now)
                for finding in compared(tenant_id, projection, table, others, folded):
                    yield msgspec.structs.replace(finding, problem=f"second opinion: {finding.problem}")
            generation = serving[projection.name].generation
            async for finding in self._compare(connection, tenant_id, projection, table, generation, folded, now):
                yield finding

    async def _serving(self, connection: Connection, tenant: Tenant) -> tuple[dict[str, _Serving], list[Finding]]:
        """What there is to compare, and what is wrong before that."""
        tenant_id, findings = tenant.tenant_id, []
        projections = {p.name: p for p in self._projections if tenant.kind in p.kinds}
        there, serving = set(), {}
        pending = await connection.fetchval(_PENDING, tenant_id)
        for name, generation, position, stopped, code_hash in await connection.fetch(_CHECKPOINTS, tenant_id):
            if name not in projections:
                continue
            there.add(name)
            if code_hash != projections[name].code_hash:
                problem = f"is fed by other code than this: run scripts/rebuild {name}"
                findings.append(Finding(tenant_id, problem, name))
                continue
            if stopped is not None:
                findings.append(Finding(tenant_id, f"has stopped at {stopped}", name))
            elif position < tenant.position and not pending:
                problem = f"is at position {position} of {tenant.position}, and nothing says that more is to come"
                findings.append(Finding(tenant_id, problem, name))
            if tenant.is_closed and position < tenant.position:
                continue  # what it shows is on its way out, and nobody can tell how far
            serving[name] = _Serving(generation, position)
        if tenant.position and not pending:
            findings += [
                Finding(tenant_id, f"does not serve: run scripts/rebuild {name}", name)
                for name in projections.keys() - there
            ]
        return serving, findings

    async def _read(
        self, connection: Connection, tenant: Tenant, replay: Replay, second: Replay | None
    ) -> AsyncIterator[Finding]:
        expected = 1
        async for batch in history(connection, tenant.tenant_id):
            for event in batch:
                if event.position != expected:
                    yield Finding(tenant.tenant_id, f"position {expected} is missing: after it comes {event.position}")
                expected = event.position + 1
            await replay.take(batch)
            if self._second is not None and second is not None:
                read = await self._second.read(tenant.tenant_id, batch[0].position, batch[-1].position)
                await second.take(_as_raw(batch, read))
                if [one[0] for one in read] != [event.position for event in batch]:
                    problem = f"second opinion: other positions from {batch[0].position} to {batch[-1].position}"
                    yield Finding(tenant.tenant_id, problem)
            self.counted.events += len(batch)
            self.told(self.counted)
        if expected != tenant.position + 1:
            yield Finding(tenant.tenant_id, f"the last position is {expected - 1} and the head is at {tenant.position}")

    async def _compare(
        self,
        connection: Connection,
        tenant_id: UUID,
        projection: Projection,
        table: Table,
        generation: int,
        folded: dict[Key, Values],
        now: datetime,
    ) -> AsyncIterator[Finding]:
        """Takes out of ``folded`` what is stored; what remains is missing. What has expired by now may be there or not."""
        cursor = await connection.cursor(table.select_generation(), tenant_id, generation)
        while rows := await cursor.fetch(BATCH):
            for row in rows:
                key = tuple(row)[: len(table.key)]
                values = dict(zip(table.columns, tuple(row)[len(table.key) :], strict=True))
                stored = {} if table.has_expired(values, now) else {key: values}
                theirs = {key: folded.pop(key)} if key in folded else {}
                for finding in compared(tenant_id, projection, table, stored, theirs):
                    yield finding
            self.counted.rows += len(rows)
        for finding in compared(tenant_id, projection, table, {}, folded):
            yield finding


def _as_raw(batch: Sequence[RawEvent], read: Sequence[SecondEvent]) -> list[RawEvent]:
    """What the second reader does not tell, when and by whom, is taken from the first reading."""
    ours = {event.position: event for event in batch}
    return [
        msgspec.structs.replace(one, position=position, stream_id=stream_id, version=version, topic=topic, state=state)
        for position, stream_id, version, topic, state in read
        if (one := ours.get(position)) is not None
    ]
