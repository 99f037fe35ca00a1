"""The delivery log as developers read it: every message to a project's webhook, how it stands, and how it was tried."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from domain.deliveries.ports import DeliveryStatus
from projections.reading import Listing, Page, Pool


class TryRow(msgspec.Struct, frozen=True):
    """``note`` says what was wrong, and is empty when the message arrived; ``status_code`` null: nothing was answered."""

    at: datetime
    status_code: int | None
    duration_ms: int
    note: str


class DeliveryRow(msgspec.Struct, frozen=True):
    """``attempts`` are the newest twenty, oldest first; ``next_attempt_at`` is for messages that wait for another."""

    id: UUID
    type: str
    connection_id: UUID
    status: DeliveryStatus
    created_at: datetime
    next_attempt_at: datetime | None
    attempts: list[TryRow]


_TRIES = msgspec.json.Decoder(list[TryRow])
# A message is in the queue while it waits, in the log once it was tried, and in both while it is tried again.
_ALL = """
select d.message_id, coalesce(o.kind, d.kind) as kind, d.stream_id,
    case when o.message_id is null then d.status else 'pending' end as status, d.created_at,
    case when o.attempts > 0 and not o.held then o.due_at end as next_attempt_at, d.tries::text as tries
from deliveries d left join outbox o on o.tenant_id = d.tenant_id and o.message_id = d.message_id
where d.tenant_id = $1
union all
select o.message_id, o.kind, o.stream_id, 'pending', o.created_at, null, '[]' from outbox o
where o.tenant_id = $1 and not exists (
    select from deliveries d where d.tenant_id = o.tenant_id and d.message_id = o.message_id
)
"""
_LIST = f"""
select m.* from ({_ALL}) m where $2::text is null or m.status = $2
order by m.message_id desc limit $3 offset $4
"""
_COUNT = f"select count(*) from ({_ALL}) m where $2::text is null or m.status = $2"
_ONE = f"select m.* from ({_ALL}) m where m.message_id = $2"


class DeliveryQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self, project_id: UUID, status: DeliveryStatus | None, page: Page) -> Listing[DeliveryRow]:
        """Newest first; those of one status, or all."""
        rows = await self._pool.fetch(_LIST, project_id, status, page.size, page.offset)
        total = await self._pool.fetchval(_COUNT, project_id, status)
        return Listing([_row(row) for row in rows], total, page)

    async def one(self, project_id: UUID, delivery_id: UUID) -> DeliveryRow | None:
        row = await self._pool.fetchrow(_ONE, project_id, delivery_id)
        return _row(row) if row else None


def _row(row: asyncpg.Record) -> DeliveryRow:
    message_id, kind, stream_id, status, created_at, next_attempt_at, tries = row
    return DeliveryRow(
        message_id, kind, stream_id, DeliveryStatus(status), created_at, next_attempt_at, _TRIES.decode(tries)
    )
