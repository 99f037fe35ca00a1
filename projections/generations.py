"""Generations of read models: which code feeds which, and that their tables stand in the declared shape."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from projections.projection import Projection
from projections.reading import Connection

SERVES_NOBODY = "not exists (select from checkpoints c where c.projection = g.projection and c.generation = g.generation and c.live)"


async def create_tables(connection: Connection, projections: Sequence[Projection]) -> None:
    """Makes the tables that are missing; ValueError when one stands there in another shape."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(0x63617574)")
        for projection in projections:
            for table in projection.tables:
                for name, statement in table.create().items():
                    # Even "if not exists" waits for who writes there, and that may wait for us.
                    if not await connection.fetchval("select to_regclass($1) is not null", name):
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
        if live is None or live[1] != projection.code_hash or await unfinished(connection, projection, live[0]):
            found.append(projection)
    return found


async def unfinished(connection: Connection, projection: Projection, live: int) -> bool:
    """Whether some tenant still serves another generation than the live one, and not because the live one has stopped
    there before; or whether one is still kept that erasure does not reach, because it lies in other tables.
    """
    return bool(
        await connection.fetchval(
            "select exists (select from checkpoints c where c.projection = $1 and c.live and c.generation <> $2 and not exists ("
            "select from checkpoints o where o.tenant_id = c.tenant_id and o.projection = c.projection and o.generation = $2"
            " and o.stopped is not null)) or exists (select from projection_generations g where g.projection = $1"
            f" and g.status = 'kept' and g.tables <> $3 and {SERVES_NOBODY})",
            projection.name,
            live,
            projection.table_names,
        )
    )


async def stopped(connection: Connection) -> list[tuple[str, str, str]]:
    """What stopped and serves, or should serve by now: (projection, tenant, why), at most twenty."""
    rows = await connection.fetch(
        "select c.projection, c.tenant_id, c.stopped from checkpoints c"
        " left join projection_generations g on g.projection = c.projection and g.generation = c.generation"
        " where c.stopped is not null and (c.live or g.status = 'live') order by 1, 2 limit 20"
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


class GenerationRow(msgspec.Struct, frozen=True):
    """``status``: building, live, kept for a roll-back, or dropped (its rows are being removed). ``tenants`` have rows of
    it, ``serving`` is how many of them are answered from it; ``behind`` is how many events they lack in sum, ``stopped``
    how many of them go no further.
    """

    projection: str
    generation: int
    status: str
    own_code: bool
    created_at: datetime
    tenants: int
    serving: int
    behind: int
    stopped: int


async def list_generations(connection: Connection, projections: Sequence[Projection]) -> list[GenerationRow]:
    """All generations of these projections; ``own_code``: this program feeds it."""
    rows = await connection.fetch(
        "select g.projection, g.generation, g.status, g.code_hash = p.hash, g.created_at, count(c.tenant_id),"
        " count(*) filter (where c.live), coalesce(sum(h.position - c.position), 0)::bigint, count(c.stopped)"
        " from unnest($1::text[], $2::bytea[]) with ordinality as p(name, hash, i)"
        " join projection_generations g on g.projection = p.name"
        " left join checkpoints c on c.projection = g.projection and c.generation = g.generation"
        " left join tenant_heads h on h.tenant_id = c.tenant_id"
        " group by p.i, p.hash, g.projection, g.generation order by p.i, g.generation",
        [projection.name for projection in projections],
        [projection.code_hash for projection in projections],
    )
    return [GenerationRow(*row) for row in rows]
