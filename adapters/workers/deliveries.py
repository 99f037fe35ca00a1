"""Delivers messages to projects' webhooks: takes what is due, from each project its share, and sees it through."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from adapters.workers.attempts import Attempts
from domain.deliveries.composing import Endpoint
from domain.deliveries.ports import Claim, DeliveryQueue, WaitingTenant
from domain.ports import Clock

LEASE = timedelta(seconds=60)
"""How long a claim lasts: an attempt takes 15 seconds at most, what surrounds it far less."""

_NOBODY = UUID(int=0)
_LOOKED_AT = 200
_GATHERING_SECONDS = 0.01
_GRACE_SECONDS = 3.0


class Deliveries:
    """A loop; setting ``wakeups`` makes it look. ``at_once`` attempts are under way at most, of one project ``per_tenant``; a
    project whose endpoint has been failing for a while gets a few, and all such together no more than half, so that the dead
    never take the place of the living.
    """

    def __init__(
        self,
        queue: DeliveryQueue,
        attempts: Attempts,
        clock: Clock,
        *,
        at_once: int = 256,
        per_tenant: int = 32,
        when_failing: int = 4,
        failing_after: timedelta = timedelta(seconds=10),
        rest_seconds: float = 0.25,
    ) -> None:
        self._queue = queue
        self._attempts = attempts
        self._clock = clock
        self._at_once, self._per_tenant, self._when_failing = at_once, per_tenant, when_failing
        self._failing_after, self._rest_seconds = failing_after, rest_seconds
        self._flying: Counter[UUID] = Counter()
        self._failing: set[UUID] = set()
        self._rests: dict[UUID, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = _NOBODY
        self.wakeups = asyncio.Event()
        self._log = structlog.get_logger("deliveries")

    async def run(self, poll_seconds: float = 1.0) -> None:
        """Delivers until cancelled; then attempts under way get a moment to end, and the rest is tried again elsewhere."""
        try:
            while True:
                self.wakeups.clear()
                try:
                    again = await self.round()
                except Exception as error:  # a database that is away comes back
                    self._log.warning("round_failed", error=type(error).__name__)
                    again = False
                if not again:
                    await self._pause(poll_seconds)
                await asyncio.sleep(_GATHERING_SECONDS)
        finally:
            await self._land()

    async def round(self) -> bool:
        """Starts attempts for what is due, as far as there is room; answers whether to look again at once."""
        if self._flying.total() >= self._at_once:
            return False
        now = self._clock()
        waiting = await self._queue.waiting(now, self._next, _LOOKED_AT)
        more = len(waiting) == _LOOKED_AT
        self._next = waiting[-1].tenant_id if more else _NOBODY
        shares = self._shares([one for one in waiting if one.is_due], now)
        found = await asyncio.gather(*map(self._endpoint, shares))
        open_ones = {tenant: one for tenant, one in zip(shares, found, strict=True) if one is not None}
        claims = await self._queue.claim(now, {tenant: shares[tenant] for tenant in open_ones}, LEASE)
        for claim in claims:
            self._start(claim, open_ones[claim.tenant_id])
        return more or bool(claims)

    def _shares(self, due: list[WaitingTenant], now: datetime) -> dict[UUID, int]:
        """How many messages of each to take: what is free is divided, and where it does not suffice for all, others come first
        the next time.
        """
        room = self._at_once - self._flying.total()
        self._failing = {
            one.tenant_id for one in due if one.failing_since and now - one.failing_since > self._failing_after
        } | {tenant for tenant in self._failing if self._flying[tenant]}
        failing_room = self._at_once // 2 - sum(self._flying[tenant] for tenant in self._failing)
        share, shares = max(1, room // max(1, len(due))), {}
        for one in due:
            tenant, is_failing = one.tenant_id, one.tenant_id in self._failing
            limit = min(room, failing_room) if is_failing else room
            most = (self._when_failing if is_failing else self._per_tenant) - self._flying[tenant]
            if limit <= 0 and not is_failing:
                self._next = UUID(int=tenant.int - 1)  # with this one it goes on
                break
            number = min(most, share, limit)
            if number <= 0 or self._rests.get(tenant, 0.0) > time.monotonic():
                continue
            shares[tenant] = number
            room -= number
            failing_room -= number if is_failing else 0
        return shares

    async def _endpoint(self, tenant_id: UUID) -> Endpoint | None:
        """Where its messages go, or None when they go nowhere now."""
        try:
            return await self._attempts.endpoint(tenant_id)
        except Exception as error:  # others are not concerned; it is looked at again
            self._log.warning("endpoint_failed", tenant=str(tenant_id), error=type(error).__name__)
            return None

    def _start(self, claim: Claim, endpoint: Endpoint) -> None:
        self._flying[claim.tenant_id] += 1
        task = asyncio.create_task(self._attempt(claim, endpoint))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attempt(self, claim: Claim, endpoint: Endpoint) -> None:
        tenant = claim.tenant_id
        try:
            arrived = await self._attempts.make(claim, endpoint)
            if arrived:
                self._rests.pop(tenant, None)
            elif tenant in self._failing:
                self._rests[tenant] = time.monotonic() + self._rest_seconds
        except Exception as error:  # it comes again when its lease has run out
            message = str(claim.message_id)
            self._log.warning("attempt_failed", tenant=str(tenant), message=message, error=type(error).__name__)
        finally:
            self._flying[tenant] -= 1
            if not self._flying[tenant]:
                del self._flying[tenant]
            self.wakeups.set()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.wakeups.wait()
        except TimeoutError:
            self._rests = {tenant: until for tenant, until in self._rests.items() if until > time.monotonic()}

    async def _land(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_GRACE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await self.settled()

    async def settled(self) -> None:
        """Returns when nothing is under way any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)
