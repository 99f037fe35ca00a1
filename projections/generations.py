"""Generations of read models: which code feeds which, and that their tables stand in the declared shape."""

from __future__ import annotations

from collections.abc import Sequence

from projections.projection import Projection
from projections.reading import Connection


async def create_tables(connection: Connection, projections: Sequence[Projection]) -> None:
    """Makes the tables that are missing; ValueError when one stands there in another shape."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(0x63617574)")
        for projection in projections:
            for table in projection.tables:
                for statement in table.create():
                    await connection.execute(statement)
                await table.check_shape(connection)


async def live_generation(connection: Connection, projection: Projection) -> tuple[int, bytes] | None:
    """The generation that new tenants begin with, and the hash of the code that feeds it."""
    row = await connection.fetchrow(
        "select generation, code_hash from projection_generations where projection = $1 and status = 'live'",
        projection.name,
    )
    return (row["generation"], bytes(row["code_hash"])) if row else None


async def outdated(connection: Connection, projections: Sequence[Projection]) -> list[Projection]:
    """Those whose live generation another code feeds, or which have none, or are in the middle of a rebuild by it."""
    found = []
    for projection in projections:
        live = await live_generation(connection, projection)
        if live is None or live[1] != projection.code_hash or await _left_behind(connection, projection, live[0]):
            found.append(projection)
    return found


async def _left_behind(connection: Connection, projection: Projection, live: int) -> bool:
    """Whether some tenant still serves another generation than the live one."""
    return bool(
        await connection.fetchval(
            "select exists (select from checkpoints where projection = $1 and live and generation <> $2)",
            projection.name,
            live,
        )
    )


async def stopped(connection: Connection) -> list[tuple[str, str, str]]:
    """What stopped: (projection, tenant, why), at most twenty."""
    rows = await connection.fetch(
        "select projection, tenant_id, stopped from checkpoints where stopped is not null and live order by 1, 2 limit 20"
    )
    return [(row["projection"], str(row["tenant_id"]), row["stopped"]) for row in rows]


async def resume_stopped(connection: Connection, projections: Sequence[Projection]) -> int:
    """Lets stopped projections of this code try again, for instance after an upgrade that knows the event."""
    async with connection.transaction():
        rows = await connection.fetch(
            "update checkpoints c set stopped = null from projection_generations g, unnest($1::text[], $2::bytea[]) as p(name, hash)"
            " where c.stopped is not null and g.projection = c.projection and g.generation = c.generation"
            " and p.name = g.projection and p.hash = g.code_hash returning c.tenant_id",
            [projection.name for projection in projections],
            [projection.code_hash for projection in projections],
        )
        await connection.execute(
            "insert into dirty (tenant_id, position) select tenant_id, position from tenant_heads"
            " where tenant_id = any ($1) on conflict do nothing",
            list({row["tenant_id"] for row in rows}),
        )
    return len(rows)
