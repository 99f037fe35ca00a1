"""The delivery queue in memory: the same answers as PostgreSQL's, without durability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from adapters.memory.event_store import MemoryEventStore
from adapters.memory.messages import AT_ONCE, Logged, Queued
from domain.deliveries.letter import BEFORE
from domain.deliveries.ports import Claim, DeliveryRecord, DeliveryStatus, Outcome, WaitingTenant
from domain.events import Recorded

_KEPT = timedelta(days=30)


class MemoryDeliveryQueue:
    """DeliveryQueue over the memory store's messages."""

    def __init__(self, store: MemoryEventStore) -> None:
        self._tenants = store.tenants

    async def waiting(self, now: datetime, after: UUID, at_most: int) -> list[WaitingTenant]:
        found = sorted(tenant_id for tenant_id, tenant in self._tenants.items() if tenant.outbox and tenant_id > after)
        return [WaitingTenant(one, self._is_due(one, now), self._failing_since(one)) for one in found[:at_most]]

    def _is_due(self, tenant_id: UUID, now: datetime) -> bool:
        return any(one.due_at <= now for one in self._tenants[tenant_id].outbox.values())

    def _failing_since(self, tenant_id: UUID) -> datetime | None:
        failing = self._tenants[tenant_id].failing
        return failing[1] if failing else None

    async def claim(self, now: datetime, wanted: Mapping[UUID, int], lease: timedelta) -> list[Claim]:
        return [one for tenant_id, number in wanted.items() for one in self._claimed(tenant_id, number, now, lease)]

    def _claimed(self, tenant_id: UUID, number: int, now: datetime, lease: timedelta) -> Iterator[Claim]:
        due = [(one.due_at, key) for key, one in self._tenants[tenant_id].outbox.items() if one.due_at <= now]
        for _, message_id in sorted(due)[:number]:
            one = self._tenants[tenant_id].outbox[message_id]
            one.due_at, one.held, one.fence = now + lease, True, one.fence + 1
            about = one.announcement
            yield Claim(tenant_id, message_id, about.stream_id, about.version, about.kind, one.attempts, one.fence)

    async def history(self, tenant_id: UUID, stream_id: UUID, version: int) -> list[Recorded]:
        tenant = self._tenants.get(tenant_id)
        events = tenant.streams[stream_id][:version] if tenant and stream_id in tenant.streams else []
        return [one for one in events if one.version == version or one.event.TOPIC in BEFORE]

    async def finish(self, outcome: Outcome) -> None:
        claim = outcome.claim
        tenant = self._tenants[claim.tenant_id]
        there = tenant.outbox.get(claim.message_id)
        if outcome.status is DeliveryStatus.DELIVERED:
            tenant.failing = None
        if there is None or there.fence != claim.fence or not there.held:
            return
        there.announcement = msgspec.structs.replace(
            there.announcement, kind=outcome.kind, subject_id=outcome.subject_id
        )
        self._log(claim.tenant_id, there, outcome.status, outcome.at)
        if outcome.retry_at is None:
            del tenant.outbox[claim.message_id]
        else:
            there.held, there.due_at = False, outcome.retry_at
            there.attempts += 1

    def _log(self, tenant_id: UUID, there: Queued, status: DeliveryStatus, at: datetime) -> None:
        log, about = self._tenants[tenant_id].deliveries, there.announcement
        before = log.get(about.message_id)
        tries = before.tries + 1 if before else 1
        log[about.message_id] = Logged(about, there.created_at, status, at, tries)

    async def set_aside(
        self, tenant_id: UUID, read_at: tuple[UUID, int], now: datetime, note: str, at_most: int
    ) -> int:
        tenant, (stream_id, version) = self._tenants[tenant_id], read_at
        if len(tenant.streams.get(stream_id, ())) != version:
            return 0
        free = [key for key, one in sorted(tenant.outbox.items()) if not one.held or one.due_at <= now][:at_most]
        for message_id in free:
            there = tenant.outbox.pop(message_id)
            if note:
                self._log(tenant_id, there, DeliveryStatus.FAILED, now)
        return len(free)

    async def mark_failing(self, tenant_id: UUID, address: bytes, now: datetime) -> datetime:
        tenant = self._tenants[tenant_id]
        if tenant.closed:
            return now
        if tenant.failing is None or tenant.failing[0] != address:
            tenant.failing = (address, now)
        return tenant.failing[1]

    async def forget_failures(self, tenant_id: UUID) -> None:
        self._tenants[tenant_id].failing = None

    async def recover(self, tenant_id: UUID, since: datetime) -> int:
        tenant, recovered = self._tenants[tenant_id], 0
        for message_id, logged in tenant.deliveries.items():
            if (
                logged.status is DeliveryStatus.FAILED
                and logged.created_at >= since
                and message_id not in tenant.outbox
            ):
                tenant.outbox[message_id] = Queued(logged.announcement, logged.created_at)
                recovered += 1
        for one in tenant.outbox.values():
            if one.attempts and not one.held and one.created_at >= since:
                one.due_at, one.attempts = AT_ONCE, 0
                recovered += 1
        return recovered

    async def record(self, tenant_id: UUID, message_id: UUID) -> DeliveryRecord | None:
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            return None
        queued, logged = tenant.outbox.get(message_id), tenant.deliveries.get(message_id)
        if queued:
            return DeliveryRecord(queued.announcement, DeliveryStatus.PENDING, queued.attempts)
        return DeliveryRecord(logged.announcement, logged.status, 0) if logged else None

    async def remove_old(self, at_most: int) -> int:
        limit = datetime.now(UTC) - _KEPT
        old = [
            (tenant, message_id)
            for tenant in self._tenants.values()
            for message_id, one in tenant.deliveries.items()
            if one.attempted_at < limit
        ][:at_most]
        for tenant, message_id in old:
            del tenant.deliveries[message_id]
        return len(old)
