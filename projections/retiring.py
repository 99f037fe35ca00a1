"""What remains of earlier generations: one is kept for a roll-back, the others' rows are removed."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from projections.projection import Projection
from projections.reading import Connection, Pool

_ROWS = 20_000
"""Rows per statement: no statement runs long, however large a tenant is."""

# A generation that still serves somebody stays. A newer one that is being built is another program's.
_DROP = """
update projection_generations g set status = 'dropped'
where projection = $1 and generation <> $2 and status <> 'live' and (status <> 'building' or generation < $2)
and generation is distinct from (
    select max(k.generation) from projection_generations k where k.projection = $1 and k.status = 'kept' and k.generation <> $2
)
and not exists (select from checkpoints c where c.projection = $1 and c.generation = g.generation and c.live)
"""


async def retire_older(pool: Pool, projection: Projection, generation: int) -> None:
    """Keeps the generation before this one and removes the others. May be stopped at any moment and run again."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "select from projection_generations where projection = $1 order by generation for update", projection.name
        )
        await connection.execute(_DROP, projection.name, generation)
    for row in await pool.fetch(
        "select generation from projection_generations where projection = $1 and status = 'dropped'", projection.name
    ):
        await _remove(pool, projection, row["generation"])


async def _remove(pool: Pool, projection: Projection, generation: int) -> None:
    while tenants := await pool.fetch(
        "select tenant_id from checkpoints where projection = $1 and generation = $2 limit 500",
        projection.name,
        generation,
    ):
        ids = [row["tenant_id"] for row in tenants]
        async with pool.acquire() as connection:
            for table in projection.tables:
                while await _remove_rows(connection, table.name, ids, generation) == _ROWS:
                    pass
            await connection.execute(
                "delete from checkpoints where tenant_id = any ($1) and projection = $2 and generation = $3",
                ids,
                projection.name,
                generation,
            )
    await pool.execute(
        "delete from projection_generations where projection = $1 and generation = $2", projection.name, generation
    )


async def _remove_rows(connection: Connection, table: str, tenants: Sequence[UUID], generation: int) -> int:
    status = await connection.execute(
        f"delete from {table} where ctid = any (array("
        f"select ctid from {table} where tenant_id = any ($1) and generation = $2 limit {_ROWS}))",
        tenants,
        generation,
    )
    return int(status.rpartition(" ")[2])
