"""The refresh queue on PostgreSQL: one row for each connection in use, found by when it is due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from adapters.postgres.pool import Pool
from domain.connections.refresh_queue import ConnectionKey, Due, Use

_NOTE = "select note_uses($1, $2, $3, $4)"
_NOTED_AT_ONCE = 500
"""Rows per step: nobody who writes for these projects waits for long."""

_CLAIM = """
with due as materialized (
    select tenant_id, connection_id from connection_marks
    where due_at <= statement_timestamp() and tenant_id <> all ($2::uuid[])
    order by due_at limit $1 for update skip locked
)
update connection_marks m set due_at = clock_timestamp() + interval '2 minutes' from due
where m.tenant_id = due.tenant_id and m.connection_id = due.connection_id
returning m.tenant_id, m.connection_id, m.last_used_at
"""
_SETTLE = "update connection_marks set due_at = $3 where tenant_id = $1 and connection_id = $2"


class PostgresRefreshQueue:
    """RefreshQueue."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def note(self, uses: Mapping[ConnectionKey, Use]) -> None:
        noted = list(uses.items())
        for start in range(0, len(noted), _NOTED_AT_ONCE):
            step = noted[start : start + _NOTED_AT_ONCE]
            await self._pool.execute(
                _NOTE,
                [project_id for (project_id, _), _ in step],
                [connection_id for (_, connection_id), _ in step],
                [use.last_used_at for _, use in step],
                [use.due_at for _, use in step],
            )

    async def claim(self, limit: int, busy: Iterable[UUID]) -> list[Due]:
        return [Due(*row) for row in await self._pool.fetch(_CLAIM, limit, list(busy))]

    async def settle(self, project_id: UUID, connection_id: UUID, due_at: datetime | None) -> None:
        await self._pool.execute(_SETTLE, project_id, connection_id, due_at)
