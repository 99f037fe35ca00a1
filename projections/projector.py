"""Brings read models up to date: events in, row changes and the checkpoint out, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg
import msgspec

from projections.folding import (
    ALL_EVENTS,
    BATCH,
    EVENT_COLUMNS,
    Checkpoint,
    Complain,
    Folding,
    RawEvent,
    Revealer,
    advanced,
)
from projections.projection import Projection
from projections.reading import Connection, Pool

_BEGUN_KEPT = 100_000

# The checkpoints, and with them, as further rows, the events that follow: a round trip costs more than a statement.
# A lost commit of a read model is no loss: it is folded again. So nobody waits for the disk here. Nor does anybody plan anew
# what always goes by the same indexes.
# A checkpoint that was waited for comes back as it is afterwards, maybe beyond the head, or not at all when it serves no more.
_LOCK = f"""
with hurry as materialized (
    select set_config('synchronous_commit', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true),
        set_config('enable_seqscan', 'off', true)
), locked as (
    select c.projection, c.generation, c.stopped, g.code_hash = p.code_hash as mine, h.position as head, h.kind,
        c.tenant_id, c.position
    from hurry, checkpoints c
    join unnest($2::text[], $3::bytea[]) as p(projection, code_hash) on p.projection = c.projection
    join projection_generations g on g.projection = c.projection and g.generation = c.generation
    join tenant_heads h on h.tenant_id = c.tenant_id
    where c.tenant_id = any ($1) and c.live
    order by c.tenant_id, c.projection for update of c
), behind as (
    select tenant_id, min(position) as position from locked where mine and stopped is null group by tenant_id
)
select l.projection, l.generation, l.stopped, l.mine, l.head, l.kind,
    l.tenant_id, null::uuid, null::integer, l.position, null::timestamptz, null, null::bytea, null::bytea
from locked l
union all
select null, null, null, null, null, null, {EVENT_COLUMNS} from behind b cross join lateral (
    select * from events e where e.tenant_id = b.tenant_id and e.position > b.position order by e.position limit $4
) e
"""
_LIVE = "select tenant_id, projection from checkpoints where tenant_id = any ($1) and projection = any ($2) and live"
_CLEAN = """
delete from dirty d using unnest($1::uuid[], $2::bigint[]) as u(tenant_id, position)
where d.tenant_id = u.tenant_id and d.position <= u.position
"""
# While somebody announces another generation, a tenant begins before or after that, never in between.
_HOLD_GENERATIONS = """
select from projection_generations where projection = any ($1) order by projection, generation for share
"""
# Also generations that other code feeds: its processes find the tenant then.
_BEGIN_TENANTS = """
insert into checkpoints (tenant_id, projection, generation, live)
select h.tenant_id, g.projection, g.generation, true from tenant_heads h
join unnest($2::text[], $3::text[]) as p(projection, kind) on p.kind = h.kind
join projection_generations g on g.projection = p.projection and g.status = 'live'
where h.tenant_id = any ($1) and not exists (
    select from checkpoints o where o.tenant_id = h.tenant_id and o.projection = g.projection and o.live
)
order by h.tenant_id, g.projection
on conflict (tenant_id, projection, generation) do update set live = true
"""


class TakenOver(Exception):
    """Another generation began to serve while this one was waited for."""


class _Locked(msgspec.Struct):
    """Live checkpoints under lock: those that this program's code may move, how far the others are, the heads, and the next
    events of each tenant that has some.
    """

    mine: dict[UUID, list[Checkpoint]]
    others: dict[UUID, list[int]]
    heads: dict[UUID, int]
    events: dict[UUID, list[RawEvent]]


class Projector:
    """Folds new events of tenants into the live generations that this program's code may feed."""

    def __init__(self, pool: Pool, projections: Sequence[Projection], vault: Revealer, complain: Complain) -> None:
        self._pool = pool
        self.folding = Folding(projections, vault, complain)
        self._begun: set[UUID] = set()
        self._names = [p.name for p in projections]
        self._hashes = [p.code_hash for p in projections]
        self._kinds = [(p.name, kind.value) for p in projections for kind in p.kinds]
        self._of_kind: dict[str, set[str]] = defaultdict(set)
        for name, kind in self._kinds:
            self._of_kind[kind].add(name)

    async def catch_up(self, tenants: Sequence[UUID]) -> dict[UUID, int]:
        """Brings the tenants' read models to their heads; answers how far all of a tenant's have come, except those that
        have stopped. Waits for other processes that are at the same tenants. MuchToRemove by one of them, whose rows are
        to be removed first.
        """
        reached: dict[UUID, int] = {}
        open_ends = list(tenants)
        while open_ends:
            async with self._pool.acquire() as connection:
                await self._begin(connection, open_ends)
                try:
                    async with connection.transaction():
                        step, more = await self._step(connection, open_ends)
                except TakenOver:
                    continue
            reached.update(step)
            open_ends = more
        return reached

    async def _begin(self, connection: Connection, tenants: Sequence[UUID]) -> None:
        new = [tenant for tenant in tenants if tenant not in self._begun]
        while new:
            try:
                async with connection.transaction():
                    await connection.execute(_HOLD_GENERATIONS, self._names)
                    names, kinds = [name for name, _ in self._kinds], [kind for _, kind in self._kinds]
                    await connection.execute(_BEGIN_TENANTS, new, names, kinds)
            except asyncpg.UniqueViolationError:
                continue  # a generation began to serve one of them at this moment
            if len(self._begun) > _BEGUN_KEPT:
                self._begun.clear()
            self._begun.update(new)
            return

    async def _step(self, connection: Connection, tenants: Sequence[UUID]) -> tuple[dict[UUID, int], list[UUID]]:
        locked = await self._locked(connection, tenants)
        events = await self._events(connection, locked)
        moved = [checkpoint for of_tenant in locked.mine.values() for checkpoint in of_tenant]
        pending = await self.folding.fold(events, locked.heads, moved)
        reached = {}
        for tenant, head in locked.heads.items():
            going = [c.position for c in locked.mine.get(tenant, []) if c.stopped is None]
            reached[tenant] = min([*going, *locked.others[tenant]], default=head)
        await pending.write(connection, advanced(moved), (_CLEAN, [list(reached), list(reached.values())]))
        return reached, [tenant for tenant, of_tenant in events.items() if len(of_tenant) == BATCH]

    async def _locked(self, connection: Connection, tenants: Sequence[UUID]) -> _Locked:
        locked = _Locked(defaultdict(list), defaultdict(list), {}, defaultdict(list))
        seen: dict[UUID, set[str]] = defaultdict(set)
        missing = set(tenants)
        for row in await connection.fetch(_LOCK, tenants, self._names, self._hashes, BATCH):
            if row["projection"] is None:
                locked.events[row["tenant_id"]].append(RawEvent(*row[6:]))
                continue
            name, generation, stopped, mine, head, kind, tenant, _, _, position, *_ = row
            locked.heads[tenant] = head
            seen[tenant].add(name)
            if seen[tenant] == self._of_kind[kind]:
                missing.discard(tenant)
            if stopped is None and mine:
                locked.mine[tenant].append(Checkpoint(tenant, name, generation, position))
            elif stopped is None:
                locked.others[tenant].append(position)
        if missing:  # nothing serves there yet, or another generation took over in between
            for tenant, name in await connection.fetch(_LIVE, list(missing), self._names):
                if name not in seen[tenant]:
                    raise TakenOver
        return locked

    async def _events(self, connection: Connection, locked: _Locked) -> Mapping[UUID, Sequence[RawEvent]]:
        """The next events of each tenant; from the archive too when the others do not follow each other to the head."""
        after = {tenant: min(c.position for c in of_tenant) for tenant, of_tenant in locked.mine.items()}
        if all(_is_whole(locked.events[tenant], after[tenant], locked.heads[tenant]) for tenant in after):
            return locked.events
        found: dict[UUID, list[RawEvent]] = {tenant: [] for tenant in after}
        for row in await connection.fetch(ALL_EVENTS, list(after), list(after.values()), BATCH):
            found[row["tenant_id"]].append(RawEvent(*row))
        return found


def _is_whole(events: Sequence[RawEvent], after: int, head: int) -> bool:
    last = events[-1].position if events else after
    return last == after + len(events) and (len(events) == BATCH or last >= head)
