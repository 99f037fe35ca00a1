"""Blue/green rebuild: a new generation fills beside the live one and takes over, tenant by tenant, while all is running."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID

import asyncpg
import msgspec

from projections.folding import ALL_EVENTS, BATCH, Checkpoint, RawEvent, advanced
from projections.generations import live_generation, unfinished
from projections.projection import Projection
from projections.projector import Projector, TakenOver
from projections.reading import Connection, Pool
from projections.retiring import retire_older
from projections.rows import MuchToRemove


class Progress(msgspec.Struct, frozen=True):
    """Events folded so far, and how many there were to fold when it began."""

    projection: str
    generation: int
    done: int
    total: int


Tell = Callable[[Progress], None]


class Superseded(Exception):
    """Another rebuild or roll-back of the projection was faster, and went another way."""


_BEHIND = """
select h.tenant_id, h.position - coalesce(c.position, 0) as missing from tenant_heads h
left join checkpoints c on c.tenant_id = h.tenant_id and c.projection = $1 and c.generation = $2
where h.kind = any ($3) and h.tenant_id > $4 and h.tenant_id <= $5 and not coalesce(c.live, false)
order by h.tenant_id limit $6
"""
_TOTAL = _BEHIND.replace(
    "h.tenant_id, h.position - coalesce(c.position, 0) as missing", "sum(h.position - coalesce(c.position, 0))::bigint"
).replace("order by h.tenant_id limit $6", "")
_BEGIN = """
insert into checkpoints (tenant_id, projection, generation, live) select unnest($1::uuid[]), $2, $3, false on conflict do nothing
"""
# Whoever announces or drops a generation waits for the steps that are being made, and the next step sees it.
_STATUS = "select status from projection_generations where projection = $1 and generation = $2 for share"
_LARGEST = """
select max(h.position - c.position) from tenant_heads h join checkpoints c on c.tenant_id = h.tenant_id
where c.tenant_id = any ($1) and c.projection = $2 and c.generation = $3
"""
_LOCK = """
select c.tenant_id, c.generation, c.position, c.live, h.position as head from checkpoints c
join tenant_heads h on h.tenant_id = c.tenant_id
where c.tenant_id = any ($1) and c.projection = $2 and (c.generation = $3 or (c.live and $4))
order by c.tenant_id, c.projection, c.generation for update of c
"""
_LIVE = "select tenant_id, generation from checkpoints where tenant_id = any ($1) and projection = $2 and live"
# Two statements: the index that allows one live checkpoint looks at every row as it changes.
_REST = """
update checkpoints set live = false, stopped = null
where tenant_id = any ($1) and projection = $2 and live and generation <> $3
"""
_SERVE = (
    "update checkpoints set live = true where tenant_id = any ($1) and projection = $2 and generation = $3 and not live"
)
_NO_TENANT, _LAST_TENANT = UUID(int=0), UUID(int=2**128 - 1)
_TENANTS = 500
"""Tenants per transaction, however little each has to fold."""


class Rebuild:
    """Brings one generation of a projection to life. May be stopped at any moment and run again: it goes on."""

    def __init__(self, pool: Pool, projector: Projector) -> None:
        self._pool = pool
        self._folding = projector.folding

    async def run(self, projection: Projection, tell: Tell = lambda progress: None) -> int:
        """Fills a new generation with this program's code, or goes on with the one begun; answers its number.

        Superseded when another went another way meanwhile. A tenant whose history cannot be folded as far as what
        serves it now keeps that; its new checkpoint says where it stopped.
        """
        async with self._pool.acquire() as connection:
            generation = await self._begun(connection, projection)
        await self._bring_live(projection, generation, tell)
        await retire_older(self._pool, projection, generation)
        return generation

    async def roll_back(self, projection: Projection, tell: Tell = lambda progress: None) -> int:
        """Brings the kept generation up to date and back to life. LookupError when none is kept for this code."""
        async with self._pool.acquire() as connection:
            generation = await self._halfway(connection, projection)
            if generation is None:
                generation = await connection.fetchval(
                    "select max(generation) from projection_generations where projection = $1 and status = 'kept' and code_hash = $2",
                    projection.name,
                    projection.code_hash,
                )
        if generation is None:
            raise LookupError(f"no earlier generation of {projection.name} is kept that this program could feed")
        await self._bring_live(projection, int(generation), tell)
        await retire_older(self._pool, projection, int(generation))
        return int(generation)

    async def _begun(self, connection: Connection, projection: Projection) -> int:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(0x63617575)")
            begun = await connection.fetchval(
                "select max(generation) from projection_generations"
                " where projection = $1 and status = 'building' and code_hash = $2",
                projection.name,
                projection.code_hash,
            )
            begun = begun or await self._halfway(connection, projection)
            if begun is not None:
                return int(begun)
            highest = await connection.fetchval(
                "select coalesce(max(generation), 0) from projection_generations where projection = $1", projection.name
            )
            await connection.execute(
                "insert into projection_generations (projection, generation, code_hash, tables, status)"
                " values ($1, $2, $3, $4, 'building')",
                projection.name,
                highest + 1,
                projection.code_hash,
                projection.table_names,
            )
            return int(highest + 1)

    async def _halfway(self, connection: Connection, projection: Projection) -> int | None:
        """The live generation, if it was announced and then left with work to do."""
        live = await live_generation(connection, projection)
        if live is None or live[1] != projection.code_hash:
            return None
        dropping = await connection.fetchval(
            "select exists (select from projection_generations where projection = $1 and status = 'dropped')",
            projection.name,
        )
        return live[0] if dropping or await unfinished(connection, projection, live[0]) else None

    async def _bring_live(self, projection: Projection, generation: int, tell: Tell) -> None:
        kinds = [kind.value for kind in projection.kinds]
        # Ids grow with time: whoever is made after this is not run after, but begins with the generation once it is announced.
        last = (
            await self._pool.fetchval("select tenant_id from tenant_heads order by tenant_id desc limit 1")
            or _NO_TENANT
        )
        total = await self._pool.fetchval(_TOTAL, projection.name, generation, kinds, _NO_TENANT, last) or 0
        done = 0
        tell(Progress(projection.name, generation, 0, total))
        for announced in (False, True):
            if announced:
                await self._announce(projection, generation)
            async for group in self._groups(projection, generation, kinds, _LAST_TENANT if announced else last):
                async for folded in self._fill(projection, generation, group, announced):
                    done += folded
                    tell(Progress(projection.name, generation, done, max(total, done)))

    async def _announce(self, projection: Projection, generation: int) -> None:
        """From here on new tenants begin with this generation; the one before is kept."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                "select generation, status from projection_generations where projection = $1 order by generation for update",
                projection.name,
            )
            statuses = {row["generation"]: row["status"] for row in rows}
            if statuses.get(generation) in (None, "dropped"):
                raise Superseded(f"another rebuild of {projection.name} has taken over")
            if statuses[generation] == "live":
                return
            # One is kept: that which serves until now.
            await connection.execute(
                "update projection_generations g set status = 'dropped' where projection = $1 and status = 'kept' and generation <> $2"
                " and not exists (select from checkpoints c where c.projection = $1 and c.generation = g.generation and c.live)",
                projection.name,
                generation,
            )
            await connection.execute(
                "update projection_generations set status = 'kept' where projection = $1 and status = 'live'",
                projection.name,
            )
            await connection.execute(
                "update projection_generations set status = 'live' where projection = $1 and generation = $2",
                projection.name,
                generation,
            )

    async def _groups(
        self, projection: Projection, generation: int, kinds: Sequence[str], last: UUID
    ) -> AsyncIterator[list[UUID]]:
        """Tenants that are not there yet, as many at a time as have a batch of events between them."""
        after = _NO_TENANT
        group: list[UUID] = []
        size = 0
        while rows := await self._pool.fetch(_BEHIND, projection.name, generation, kinds, after, last, 500):
            for tenant_id, missing in rows:
                if group and (size + missing > BATCH or len(group) == _TENANTS):
                    yield group
                    group, size = [], 0
                group.append(tenant_id)
                size += missing
            after = rows[-1]["tenant_id"]
        if group:
            yield group

    async def _fill(
        self, projection: Projection, generation: int, group: Sequence[UUID], announced: bool
    ) -> AsyncIterator[int]:
        """Folds batch after batch; the one that reaches the end also makes the generation live for these tenants."""
        await self._pool.execute(_BEGIN, group, projection.name, generation)
        remaining, halted = list(group), False
        while remaining:
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    await connection.execute("select set_config('synchronous_commit', 'off', true)")
                    status = await connection.fetchval(_STATUS, projection.name, generation)
                    if status is None or status == "dropped" or (announced and status != "live"):
                        raise Superseded(f"another rebuild or roll-back of {projection.name} has taken over")
                    folded, remaining, halted = await self._step(connection, projection, generation, remaining, halted)
            except (TakenOver, asyncpg.UniqueViolationError):
                continue  # the latter: a tenant was begun at this moment
            except MuchToRemove as much:
                await much.remove(self._pool)
                continue
            yield folded

    async def _step(
        self, connection: Connection, projection: Projection, generation: int, tenants: list[UUID], halted: bool
    ) -> tuple[int, list[UUID], bool]:
        """A batch of each tenant: how many events, who has more, and whether somebody has ``halted`` before its end.

        Only where all can come to their end is what serves locked too, so that writers, who wait for that, wait for one
        batch.
        """
        largest = await connection.fetchval(_LARGEST, tenants, projection.name, generation)
        closing = halted or largest is None or largest < BATCH
        rows = await connection.fetch(_LOCK, tenants, projection.name, generation, closing)
        mine = [
            Checkpoint(row["tenant_id"], projection.name, generation, row["position"])
            for row in rows
            if row["generation"] == generation
        ]
        heads = {row["tenant_id"]: row["head"] for row in rows}
        serving = {row["tenant_id"]: row["position"] for row in rows if row["live"]}
        if closing:
            locked = {(row["tenant_id"], row["generation"]) for row in rows}
            if any(tuple(row) not in locked for row in await connection.fetch(_LIVE, tenants, projection.name)):
                raise TakenOver
        found: dict[UUID, list[RawEvent]] = {checkpoint.tenant_id: [] for checkpoint in mine}
        for row in await connection.fetch(ALL_EVENTS, list(found), [c.position for c in mine], BATCH):
            found[row["tenant_id"]].append(RawEvent(*row))
        pending = await self._folding.fold(found, heads, mine)
        await pending.write(connection, advanced(mine))
        folded = sum(map(len, found.values()))
        if not closing:
            return folded, tenants, any(c.stopped is not None for c in mine)
        arrived = [c for c in mine if c.stopped is not None or len(found[c.tenant_id]) < BATCH]
        # Who has stopped serves only if nothing that is served now would be lost.
        ready = [c.tenant_id for c in arrived if c.stopped is None or c.position >= serving.get(c.tenant_id, 0)]
        await connection.execute(_REST, ready, projection.name, generation)
        await connection.execute(_SERVE, ready, projection.name, generation)
        done = {c.tenant_id for c in arrived}
        return folded, [tenant for tenant in tenants if tenant not in done], False
