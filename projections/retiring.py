"""What remains of earlier generations: one is kept for a roll-back, the others' rows and abandoned tables are removed.

Erasing a person reaches all generations in the tables that a program declares. So none is kept in others: once a new shape
serves everybody, what lies in the old one goes, rows and tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from projections.generations import SERVES_NOBODY
from projections.projection import Projection
from projections.reading import Connection, Pool

_ROWS = 20_000
"""Rows per statement: no statement runs long, however large a tenant is."""
LOCK_PATIENCE = "2s"
"""How long a table that is to go may be waited for; whoever reads it meanwhile waits as long."""

# A generation that still serves somebody stays. A newer one that is being built is another program's.
_DROP = f"""
update projection_generations g set status = 'dropped'
where projection = $1 and generation <> $2 and status <> 'live' and (status <> 'building' or generation < $2)
and generation is distinct from (
    select max(k.generation) from projection_generations k
    where k.projection = $1 and k.status = 'kept' and k.generation <> $2 and k.tables = $3
)
and {SERVES_NOBODY}
"""
_STANDING = """
select t.name, exists (
    select from projection_generations g where g.status <> 'dropped' and t.name = any (g.tables)
) as used
from unnest($1::text[]) as t(name) where to_regclass(t.name) is not null
"""


async def retire_older(pool: Pool, projection: Projection, generation: int) -> None:
    """Keeps the generation before this one, if it lies in the same tables, and removes the others. May be stopped at any
    moment and run again.
    """
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "select from projection_generations where projection = $1 order by generation for update", projection.name
        )
        await connection.execute(_DROP, projection.name, generation, projection.table_names)
    for row in await pool.fetch(
        "select generation, tables from projection_generations where projection = $1 and status = 'dropped'",
        projection.name,
    ):
        await _remove(pool, projection, row["generation"], row["tables"])


async def _remove(pool: Pool, projection: Projection, generation: int, tables: Sequence[str]) -> None:
    standing, abandoned = [], []
    for name, used in await pool.fetch(_STANDING, tables):
        if used or name in projection.table_names:
            standing.append(name)
        elif not await _drop_table(pool, name):
            abandoned.append(name)
    while tenants := await pool.fetch(
        "select tenant_id from checkpoints where projection = $1 and generation = $2 limit 500",
        projection.name,
        generation,
    ):
        ids = [row["tenant_id"] for row in tenants]
        async with pool.acquire() as connection:
            for name in (*standing, *abandoned):
                while await _remove_rows(connection, name, ids, generation):
                    pass
            await connection.execute(
                "delete from checkpoints where tenant_id = any ($1) and projection = $2 and generation = $3",
                ids,
                projection.name,
                generation,
            )
    if not abandoned:
        await pool.execute(
            "delete from projection_generations where projection = $1 and generation = $2", projection.name, generation
        )


async def _drop_table(pool: Pool, name: str) -> bool:
    """False when somebody reads it for long, such as a backup: then its rows go one by one, and it goes the next time."""
    try:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("select set_config('lock_timeout', $1, true)", LOCK_PATIENCE)
            await connection.execute(f"drop table if exists {name}")
    except asyncpg.LockNotAvailableError:
        return False
    return True


async def _remove_rows(connection: Connection, table: str, tenants: Sequence[UUID], generation: int) -> int:
    status = await connection.execute(
        f"delete from {table} where ctid = any (array("
        f"select ctid from {table} where tenant_id = any ($1) and generation = $2 limit {_ROWS}))",
        tenants,
        generation,
    )
    return int(status.rpartition(" ")[2])
