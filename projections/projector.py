"""Brings read models up to date: events in, row changes and the checkpoint out, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from domain.event_codec import UnknownEvent, decode_event, decode_metadata
from domain.events import Recorded, Reveal, stream_type_of
from projections.projection import Projection
from projections.reading import Connection, Pool
from projections.rows import PendingRows

BATCH = 5_000
"""Events per tenant and transaction."""

_COLUMNS = "e.tenant_id, e.stream_id, e.version, e.position, e.recorded_at, e.topic, e.state, e.metadata"

# A lost commit of a read model is no loss: it is folded again. So nobody waits for the disk here.
# Every generation's row is locked, so that a flip that is waited for shows: the rows come back as they are afterwards.
_LOCK = """
with hurry as materialized (select set_config('synchronous_commit', 'off', true))
select c.tenant_id, c.projection, c.generation, c.position, c.live, c.stopped, g.code_hash = p.code_hash as mine
from hurry, checkpoints c
join unnest($2::text[], $3::bytea[]) as p(projection, code_hash) on p.projection = c.projection
join projection_generations g on g.projection = c.projection and g.generation = c.generation
where c.tenant_id = any ($1)
order by c.tenant_id, c.projection, c.generation for update of c
"""
_EVENTS = f"""
select {_COLUMNS} from unnest($1::uuid[], $2::bigint[]) as t(tenant_id, after) cross join lateral (
    select * from events e where e.tenant_id = t.tenant_id and e.position > t.after order by e.position limit $3
) e
"""
_ALL_EVENTS = _EVENTS.replace("from events e", "from all_events e")
_ADVANCE = """
update checkpoints c set position = u.position
from unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[]) as u(tenant_id, projection, generation, position)
where c.tenant_id = u.tenant_id and c.projection = u.projection and c.generation = u.generation
"""
_STOP = "update checkpoints set stopped = $4 where tenant_id = $1 and projection = $2 and generation = $3"
_CLEAN = """
delete from dirty d using unnest($1::uuid[], $2::bigint[]) as u(tenant_id, position)
where d.tenant_id = u.tenant_id and d.position <= u.position
"""
_BEGIN_TENANTS = """
insert into checkpoints (tenant_id, projection, generation, live)
select h.tenant_id, g.projection, g.generation, true from tenant_heads h
join unnest($2::text[], $3::bytea[], $4::text[]) as p(projection, code_hash, kind) on p.kind = h.kind
join projection_generations g on g.projection = p.projection and g.code_hash = p.code_hash and g.status = 'live'
where h.tenant_id = any ($1) for share of g
on conflict do nothing
"""


class Revealer(Protocol):
    """The part of the vault that folds need."""

    async def revealer(self, recorded: Sequence[Recorded]) -> Reveal: ...


Complain = Callable[..., object]
"""Tells operators of trouble: a name, then what there is to know, as keywords."""


class Gap(Exception):
    """A tenant's positions have a hole: its history is damaged."""


class RawEvent(msgspec.Struct, frozen=True):
    """An event row before it is decoded."""

    tenant_id: UUID
    stream_id: UUID
    version: int
    position: int
    recorded_at: datetime
    topic: str
    state: bytes
    metadata: bytes

    def decoded(self) -> Recorded:
        return Recorded(
            self.tenant_id,
            self.stream_id,
            self.version,
            self.position,
            self.recorded_at,
            decode_event(self.topic, self.state),
            decode_metadata(self.metadata),
        )


class Checkpoint(msgspec.Struct):
    """How far a tenant's projection has come; ``stopped`` says why it goes no further."""

    tenant_id: UUID
    projection: str
    generation: int
    position: int
    stopped: str | None = None


class Projector:
    """Folds new events of tenants into the live generations that this program's code may feed."""

    def __init__(self, pool: Pool, projections: Sequence[Projection], vault: Revealer, complain: Complain) -> None:
        self._pool = pool
        self.projections = {projection.name: projection for projection in projections}
        self._vault = vault
        self._begun: set[UUID] = set()
        self._names = [p.name for p in projections]
        self._hashes = [p.code_hash for p in projections]
        self._complain = complain

    async def catch_up(self, tenants: Sequence[UUID]) -> dict[UUID, int]:
        """Brings the tenants' read models to their heads; answers how far each has come. Waits for other processes that
        are at the same tenants.
        """
        reached: dict[UUID, int] = {}
        open_ends = list(tenants)
        while open_ends:
            async with self._pool.acquire() as connection:
                await self._begin(connection, open_ends)
                async with connection.transaction():
                    step, more = await self._step(connection, open_ends)
            reached.update(step)
            open_ends = more
        return reached

    async def _begin(self, connection: Connection, tenants: Sequence[UUID]) -> None:
        new = [tenant for tenant in tenants if tenant not in self._begun]
        if not new:
            return
        pairs = [(p.name, p.code_hash, kind.value) for p in self.projections.values() for kind in p.kinds]
        if pairs:
            await connection.execute(_BEGIN_TENANTS, new, *map(list, zip(*pairs, strict=True)))
        if len(self._begun) > 100_000:
            self._begun.clear()
        self._begun.update(new)

    async def _step(self, connection: Connection, tenants: Sequence[UUID]) -> tuple[dict[UUID, int], list[UUID]]:
        checkpoints = await self._locked(connection, tenants)
        after = {tenant: min(c.position for c in of_tenant) for tenant, of_tenant in checkpoints.items() if of_tenant}
        if not after:
            return {}, []
        events = await self._events(connection, after)
        await self.fold(connection, events, [c for tenant in after for c in checkpoints[tenant]])
        reached = {
            tenant: min((c.position for c in checkpoints[tenant] if c.stopped is None), default=after[tenant])
            for tenant in after
        }
        await connection.execute(_CLEAN, list(reached), list(reached.values()))
        return reached, [tenant for tenant, of_tenant in events.items() if len(of_tenant) == BATCH]

    async def _locked(self, connection: Connection, tenants: Sequence[UUID]) -> dict[UUID, list[Checkpoint]]:
        """The live checkpoints that this program's code may move, locked."""
        while True:
            locked: dict[UUID, list[Checkpoint]] = defaultdict(list)
            live: set[tuple[UUID, str]] = set()
            seen: set[tuple[UUID, str]] = set()
            for row in await connection.fetch(_LOCK, tenants, self._names, self._hashes):
                seen.add((row["tenant_id"], row["projection"]))
                if row["live"]:
                    live.add((row["tenant_id"], row["projection"]))
                    if row["mine"] and row["stopped"] is None:
                        locked[row["tenant_id"]].append(Checkpoint(*tuple(row)[:4]))
            if live == seen:
                return locked  # else a generation took over in between: look again

    async def _events(self, connection: Connection, after: dict[UUID, int]) -> dict[UUID, list[RawEvent]]:
        """The next events of each tenant, without a gap: an archived stream's are read from the archive."""
        for statement in (_EVENTS, _ALL_EVENTS):
            found: dict[UUID, list[RawEvent]] = {tenant: [] for tenant in after}
            for row in await connection.fetch(statement, list(after), list(after.values()), BATCH):
                found[row["tenant_id"]].append(RawEvent(*row))
            if all(
                not events or events[-1].position == after[tenant] + len(events) for tenant, events in found.items()
            ):
                return found
        raise Gap(f"positions are missing among {', '.join(str(tenant) for tenant in found)}")

    async def fold(
        self,
        connection: Connection,
        events: dict[UUID, list[RawEvent]],
        checkpoints: Sequence[Checkpoint],
    ) -> None:
        """Folds the events, which follow the checkpoints without a gap, and writes rows and checkpoints."""
        decoded = self._decoded(events, checkpoints)
        reveal = await self._vault.revealer([one for one in decoded.values() if isinstance(one, Recorded)])
        pending = PendingRows()
        for checkpoint in checkpoints:
            projection = self.projections[checkpoint.projection]
            rows = pending.of(checkpoint.tenant_id, checkpoint.generation)
            for event in events[checkpoint.tenant_id]:
                if event.position <= checkpoint.position:
                    continue
                if stream_type_of(event.topic) in projection.reads:
                    try:
                        one = decoded[event.tenant_id, event.position]
                        if isinstance(one, UnknownEvent):
                            raise one
                        projection.fold(rows, one, reveal)
                    except Exception as error:  # it stops here, loudly; others go on
                        # Only what UnknownEvent says is safe to show: other messages may repeat what the event holds.
                        why = str(error) if isinstance(error, UnknownEvent) else type(error).__name__
                        checkpoint.stopped = f"position {event.position}: {why}"
                        self._complain(
                            "projection_stopped",
                            projection=projection.name,
                            tenant=str(event.tenant_id),
                            why=checkpoint.stopped,
                        )
                        break
                checkpoint.position = event.position
        await pending.write(connection)
        await connection.execute(
            _ADVANCE,
            [c.tenant_id for c in checkpoints],
            [c.projection for c in checkpoints],
            [c.generation for c in checkpoints],
            [c.position for c in checkpoints],
        )
        for c in checkpoints:
            if c.stopped is not None:
                await connection.execute(_STOP, c.tenant_id, c.projection, c.generation, c.stopped)

    def _decoded(
        self, events: dict[UUID, list[RawEvent]], checkpoints: Sequence[Checkpoint]
    ) -> dict[tuple[UUID, int], Recorded | UnknownEvent]:
        """What somebody reads, decoded once."""
        wanted: dict[UUID, set[str]] = defaultdict(set)
        for checkpoint in checkpoints:
            wanted[checkpoint.tenant_id] |= self.projections[checkpoint.projection].reads
        decoded: dict[tuple[UUID, int], Recorded | UnknownEvent] = {}
        for tenant, of_tenant in events.items():
            for event in of_tenant:
                if stream_type_of(event.topic) in wanted[tenant]:
                    try:
                        decoded[tenant, event.position] = event.decoded()
                    except UnknownEvent as error:
                        decoded[tenant, event.position] = error
        return decoded
