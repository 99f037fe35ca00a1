"""How far the read models are behind: figures for whoever watches the service."""

from __future__ import annotations

import msgspec

from projections.reading import Pool

_MARKS = """
select coalesce(extract(epoch from clock_timestamp() - (select min(d.marked_at) from dirty d)), 0)::float8, (
    select count(c.tenant_id) from checkpoints c
    left join projection_generations g on g.projection = c.projection and g.generation = c.generation
    where c.stopped is not null and (c.live or g.status = 'live')
)
"""
# A tenant whose read models have all stopped is not behind: nothing goes on there.
_BEHIND = """
select count(*), coalesce(sum(greatest(h.position - c.position, 0)), 0)::bigint
from (select distinct d.tenant_id from dirty d) d
join tenant_heads h on h.tenant_id = d.tenant_id
cross join lateral (
    select case when count(*) = 0 then 0 else coalesce(min(o.position) filter (where o.stopped is null), h.position) end as position
    from checkpoints o where o.tenant_id = d.tenant_id and o.live
) c
"""


class Marks(msgspec.Struct, frozen=True):
    """How old the oldest dirty mark is, 0 when there is none (a tenant that had to make room is marked anew), and how many
    read models of tenants have stopped.
    """

    oldest_seconds: float
    stopped: int


class Behind(msgspec.Struct, frozen=True):
    """How many tenants are marked dirty, and how many events the slowest read model of each lacks, in sum."""

    tenants: int
    events: int


async def marks(pool: Pool) -> Marks:
    """Two looks into indexes, whatever the size of the tables."""
    row = await pool.fetchrow(_MARKS)
    return Marks(*row) if row else Marks(0.0, 0)


async def behind(pool: Pool) -> Behind:
    """Costs a few microseconds per marked tenant."""
    row = await pool.fetchrow(_BEHIND)
    return Behind(*row) if row else Behind(0, 0)
