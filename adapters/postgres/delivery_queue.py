"""The outbox and the delivery log: messages are claimed for a lease, and what became of them is written in batches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from adapters.postgres.delivery_statements import (
    CLAIM,
    FINISH,
    HISTORY,
    MARK_FAILING,
    OPEN,
    RECORD,
    RECOVER,
    REMOVE_OLD,
    SET_ASIDE,
    WAITING,
)
from adapters.postgres.pool import Pool
from domain.batching import Batcher, SharedQuery, Waiting, settle
from domain.deliveries.ports import Claim, DeliveryRecord, DeliveryStatus, Outcome, WaitingTenant
from domain.event_codec import decode_event, decode_metadata
from domain.events import Recorded
from domain.ports import Announcement

Answer = TypeVar("Answer")


class PostgresDeliveryQueue:
    """DeliveryQueue. What may be lost with the last moments of a crashed server (claims, log entries) does not wait for the
    disk: the message is then tried again.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._history = SharedQuery(pool.fetch, HISTORY)
        self._outcomes: Batcher[Outcome, None] = Batcher(self._write)

    async def waiting(self, now: datetime, after: UUID, at_most: int) -> list[WaitingTenant]:
        return [WaitingTenant(*row) for row in await self._pool.fetch(WAITING, now, after, at_most)]

    async def claim(self, now: datetime, wanted: Mapping[UUID, int], lease: timedelta) -> list[Claim]:
        rows = await self._pool.fetch(CLAIM, list(wanted), list(wanted.values()), now, now + lease)
        return [Claim(*row) for row in rows]

    async def history(self, tenant_id: UUID, stream_id: UUID, version: int) -> list[Recorded]:
        return [_recorded(*row[1:]) for row in await self._history.ask(tenant_id, stream_id, version)]

    async def finish(self, outcome: Outcome) -> None:
        await self._outcomes.submit(outcome)

    async def drain(self) -> None:
        """Returns when every outcome was written."""
        await self._outcomes.drain()

    async def _write(self, batch: list[Waiting[Outcome, None]]) -> None:
        ordered = sorted((outcome for outcome, _ in batch), key=lambda one: (one.claim.tenant_id, one.claim.message_id))
        columns = [list(column) for column in zip(*map(_columns, ordered), strict=True)]
        await _in_turn(lambda: self._pool.fetch(FINISH, *columns))
        for _, future in batch:
            settle(future, None)

    async def set_aside(
        self, tenant_id: UUID, read_at: tuple[UUID, int], now: datetime, note: str, at_most: int
    ) -> int:
        entry = _entry(now, None, 0, note)
        return int(
            await _in_turn(lambda: self._pool.fetchval(SET_ASIDE, tenant_id, *read_at, now, note, entry, at_most))
        )

    async def mark_failing(self, tenant_id: UUID, address: bytes, now: datetime) -> datetime:
        return await self._pool.fetchval(MARK_FAILING, tenant_id, address, now) or now

    async def forget_failures(self, tenant_id: UUID) -> None:
        await self._pool.execute("delete from failing_webhooks where tenant_id = $1", tenant_id)

    async def recover(self, tenant_id: UUID, since: datetime) -> int:
        async def again() -> int:
            async with self._pool.acquire() as connection, connection.transaction():
                if not await connection.fetchval(OPEN, tenant_id):
                    return 0
                return int(await connection.fetchval(RECOVER, tenant_id, since))

        return await _in_turn(again)

    async def record(self, tenant_id: UUID, message_id: UUID) -> DeliveryRecord | None:
        row = await self._pool.fetchrow(RECORD, tenant_id, message_id)
        if row is None:
            return None
        return DeliveryRecord(Announcement(*row[:5]), DeliveryStatus(row["status"]), row["attempts"])

    async def remove_old(self, at_most: int) -> int:
        return len(await self._pool.fetch(REMOVE_OLD, at_most))


async def _in_turn(call: Callable[[], Awaitable[Answer]], attempts: int = 5) -> Answer:
    """Repeats a call that met another in the opposite order: erasures and deletions lock messages too."""
    for _ in range(attempts - 1):
        try:
            return await call()
        except asyncpg.DeadlockDetectedError:
            continue
    return await call()


def _columns(outcome: Outcome) -> tuple[Any, ...]:
    claim = outcome.claim
    entry = _entry(outcome.at, outcome.status_code, outcome.duration_ms, outcome.note)
    return (
        claim.tenant_id,
        claim.message_id,
        claim.fence,
        outcome.status,
        outcome.at,
        outcome.kind,
        outcome.subject_id,
        outcome.retry_at,
        entry,
    )


def _entry(at: datetime, status_code: int | None, duration_ms: int, note: str) -> str:
    entry = {"at": at, "status_code": status_code, "duration_ms": duration_ms, "note": note}
    return msgspec.json.encode(entry).decode()


def _recorded(
    tenant_id: UUID,
    stream_id: UUID,
    version: int,
    position: int,
    recorded_at: datetime,
    topic: str,
    state: bytes,
    metadata: bytes,
) -> Recorded:
    return Recorded(
        tenant_id, stream_id, version, position, recorded_at, decode_event(topic, state), decode_metadata(metadata)
    )
