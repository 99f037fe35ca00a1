"""The refresh queue on PostgreSQL: one row for each connection in use, found by when it is due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from adapters.postgres.pool import Pool
from domain.connections.refresh_queue import ConnectionKey, Due, Use

_NOTE = """
insert into connection_marks as m (tenant_id, connection_id, last_used_at, due_at)
select u.tenant_id, u.connection_id, u.last_used_at, u.due_at
from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[]) as u(tenant_id, connection_id, last_used_at, due_at)
join tenant_heads h on h.tenant_id = u.tenant_id and h.closed_at is null
order by u.tenant_id, u.connection_id
on conflict (tenant_id, connection_id) do update
    set last_used_at = greatest(m.last_used_at, excluded.last_used_at), due_at = least(m.due_at, excluded.due_at)
"""
_CLAIM = """
update connection_marks m set due_at = clock_timestamp() + interval '2 minutes'
from (
    select tenant_id, connection_id from connection_marks
    where due_at <= clock_timestamp() and tenant_id <> all ($2::uuid[])
    order by due_at limit $1 for update skip locked
) due
where m.tenant_id = due.tenant_id and m.connection_id = due.connection_id
returning m.tenant_id, m.connection_id, m.last_used_at
"""
_SETTLE = "update connection_marks set due_at = $3 where tenant_id = $1 and connection_id = $2"


class PostgresRefreshQueue:
    """RefreshQueue."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def note(self, uses: Mapping[ConnectionKey, Use]) -> None:
        await self._pool.execute(
            _NOTE,
            [project_id for project_id, _ in uses],
            [connection_id for _, connection_id in uses],
            [use.last_used_at for use in uses.values()],
            [use.due_at for use in uses.values()],
        )

    async def claim(self, limit: int, busy: Iterable[UUID]) -> list[Due]:
        return [Due(*row) for row in await self._pool.fetch(_CLAIM, limit, list(busy))]

    async def settle(self, project_id: UUID, connection_id: UUID, due_at: datetime | None) -> None:
        await self._pool.execute(_SETTLE, project_id, connection_id, due_at)
