"""Blue/green rebuild: a new generation fills beside the live one and takes over, tenant by tenant, while all is running."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID

import msgspec

from projections.generations import live_generation
from projections.projection import Projection
from projections.projector import _ALL_EVENTS, BATCH, Checkpoint, Projector, RawEvent
from projections.reading import Connection, Pool


class Progress(msgspec.Struct, frozen=True):
    """Events folded so far, and how many there were to fold when it began."""

    projection: str
    generation: int
    done: int
    total: int


Tell = Callable[[Progress], None]

_BEHIND = """
select h.tenant_id, h.position - coalesce(c.position, 0) as missing from tenant_heads h
left join checkpoints c on c.tenant_id = h.tenant_id and c.projection = $1 and c.generation = $2
where h.kind = any ($3) and h.tenant_id > $4 and not coalesce(c.live, false) order by h.tenant_id limit $5
"""
_TOTAL = _BEHIND.replace(
    "h.tenant_id, h.position - coalesce(c.position, 0) as missing", "sum(h.position - coalesce(c.position, 0))::bigint"
).replace(" order by h.tenant_id limit $5", "")
_BEGIN = """
insert into checkpoints (tenant_id, projection, generation, live) select unnest($1::uuid[]), $2, $3, false on conflict do nothing
"""
_LOCK = """
select tenant_id, generation, position, live from checkpoints
where tenant_id = any ($1) and projection = $2 and (live or generation = $3)
order by tenant_id, projection, generation for update
"""
_FLIP = """
update checkpoints set live = (generation = $3), stopped = case when generation = $3 then stopped end
where tenant_id = any ($1) and projection = $2 and (live or generation = $3)
"""
_NO_TENANT = UUID(int=0)


class Rebuild:
    """Brings one generation of a projection to life. May be stopped at any moment and run again: it goes on."""

    def __init__(self, pool: Pool, projector: Projector) -> None:
        self._pool = pool
        self._projector = projector

    async def run(self, projection: Projection, tell: Tell = lambda progress: None) -> int:
        """Fills a new generation with this program's code, or goes on with the one begun; answers its number."""
        async with self._pool.acquire() as connection:
            generation = await self._begun(connection, projection)
        await self._bring_live(projection, generation, tell)
        await self._drop_old(projection, generation)
        return generation

    async def roll_back(self, projection: Projection, tell: Tell = lambda progress: None) -> int:
        """Brings the kept generation up to date and back to life. LookupError when none is kept for this code."""
        kept = await self._pool.fetchval(
            "select max(generation) from projection_generations where projection = $1 and status = 'kept' and code_hash = $2",
            projection.name,
            projection.code_hash,
        )
        if kept is None:
            raise LookupError(f"no earlier generation of {projection.name} is kept that this program could feed")
        await self._bring_live(projection, kept, tell)
        return int(kept)

    async def _begun(self, connection: Connection, projection: Projection) -> int:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(0x63617575)")
            live = await live_generation(connection, projection)
            begun = await connection.fetchval(
                "select max(generation) from projection_generations"
                " where projection = $1 and status = 'building' and code_hash = $2",
                projection.name,
                projection.code_hash,
            )
            if begun is not None:
                return int(begun)
            if live and live[1] == projection.code_hash and await self._unfinished(connection, projection, live[0]):
                return live[0]
            highest = await connection.fetchval(
                "select coalesce(max(generation), 0) from projection_generations where projection = $1", projection.name
            )
            await connection.execute(
                "insert into projection_generations (projection, generation, code_hash, status) values ($1, $2, $3, 'building')",
                projection.name,
                highest + 1,
                projection.code_hash,
            )
            return int(highest + 1)

    async def _unfinished(self, connection: Connection, projection: Projection, generation: int) -> bool:
        return bool(
            await connection.fetchval(
                "select exists (select from checkpoints where projection = $1 and live and generation <> $2)",
                projection.name,
                generation,
            )
        )

    async def _bring_live(self, projection: Projection, generation: int, tell: Tell) -> None:
        kinds = [kind.value for kind in projection.kinds]
        total = await self._pool.fetchval(_TOTAL, projection.name, generation, kinds, _NO_TENANT) or 0
        done = 0
        tell(Progress(projection.name, generation, 0, total))
        for last_pass in (False, True):
            if last_pass:
                await self._announce(projection, generation)
            async for group in self._groups(projection, generation, kinds):
                async for folded in self._fill(projection, generation, group):
                    done += folded
                    tell(Progress(projection.name, generation, done, max(total, done)))

    async def _announce(self, projection: Projection, generation: int) -> None:
        """From here on new tenants begin with this generation; the one before is kept."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "update projection_generations set status = 'kept' where projection = $1 and status = 'live' and generation <> $2",
                projection.name,
                generation,
            )
            await connection.execute(
                "update projection_generations set status = 'live' where projection = $1 and generation = $2",
                projection.name,
                generation,
            )

    async def _groups(self, projection: Projection, generation: int, kinds: Sequence[str]) -> AsyncIterator[list[UUID]]:
        """Tenants that are not there yet, as many at a time as have a batch of events between them."""
        after = _NO_TENANT
        group: list[UUID] = []
        size = 0
        while rows := await self._pool.fetch(_BEHIND, projection.name, generation, kinds, after, 500):
            for tenant_id, missing in rows:
                if group and size + missing > BATCH:
                    yield group
                    group, size = [], 0
                group.append(tenant_id)
                size += missing
            after = rows[-1]["tenant_id"]
        if group:
            yield group

    async def _fill(self, projection: Projection, generation: int, group: Sequence[UUID]) -> AsyncIterator[int]:
        """Folds batch after batch; the one that reaches the end also makes the generation live for these tenants."""
        await self._pool.execute(_BEGIN, group, projection.name, generation)
        remaining = list(group)
        while remaining:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute("select set_config('synchronous_commit', 'off', true)")
                folded, remaining = await self._step(connection, projection, generation, remaining)
            yield folded

    async def _step(
        self, connection: Connection, projection: Projection, generation: int, tenants: list[UUID]
    ) -> tuple[int, list[UUID]]:
        rows = await connection.fetch(_LOCK, tenants, projection.name, generation)
        mine = {
            row["tenant_id"]: Checkpoint(row["tenant_id"], projection.name, generation, row["position"])
            for row in rows
            if row["generation"] == generation
        }
        found: dict[UUID, list[RawEvent]] = {tenant: [] for tenant in mine}
        after = [checkpoint.position for checkpoint in mine.values()]
        for row in await connection.fetch(_ALL_EVENTS, list(mine), after, BATCH):
            found[row["tenant_id"]].append(RawEvent(*row))
        await self._projector.fold(connection, found, list(mine.values()))
        arrived = [tenant for tenant, events in found.items() if len(events) < BATCH or mine[tenant].stopped]
        await connection.execute(_FLIP, arrived, projection.name, generation)
        return sum(map(len, found.values())), [tenant for tenant in tenants if tenant not in set(arrived)]

    async def _drop_old(self, projection: Projection, generation: int) -> None:
        """Keeps the generation before this one, for a roll-back, and removes what is older."""
        older = await self._pool.fetch(
            "select generation from projection_generations where projection = $1 and generation < $2 and status <> 'live'"
            " order by generation desc offset 1",
            projection.name,
            generation,
        )
        for row in older:
            await self._remove(projection, row["generation"])

    async def _remove(self, projection: Projection, generation: int) -> None:
        while tenants := await self._pool.fetch(
            "select tenant_id from checkpoints where projection = $1 and generation = $2 and not live limit 500",
            projection.name,
            generation,
        ):
            ids = [row["tenant_id"] for row in tenants]
            async with self._pool.acquire() as connection, connection.transaction():
                for table in projection.tables:
                    await connection.execute(
                        f"delete from {table.name} where tenant_id = any ($1) and generation = $2",
                        ids,
                        generation,
                    )
                await connection.execute(
                    "delete from checkpoints where tenant_id = any ($1) and projection = $2 and generation = $3",
                    ids,
                    projection.name,
                    generation,
                )
        await self._pool.execute(
            "delete from projection_generations where projection = $1 and generation = $2", projection.name, generation
        )
