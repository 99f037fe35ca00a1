"""Read-your-writes: a write is answered when its tenant's read models have passed it; concurrent writes share the work."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from uuid import UUID

from domain.batching import Batcher, Waiting, settle
from domain.ports import StorageAway
from projections.folding import Complain
from projections.projector import Projector
from projections.reading import Pool
from projections.rows import MuchToRemove

_ORPHANED_AFTER_SECONDS = 1.0
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 3.2)
_CLAIM = """
select tenant_id, position from dirty where marked_at < statement_timestamp() - make_interval(secs => $1)
order by marked_at limit $2 for update skip locked
"""
# Whose code is not here, or whose event is a riddle, makes room for others and is looked at again later.
_DEFER = """
update dirty d set marked_at = clock_timestamp() from unnest($1::uuid[]) as u(tenant_id) where d.tenant_id = u.tenant_id
"""


class Follower:
    """ReadModels. Whoever appends follows its own append, so that no process depends on another; ``sweep`` does it for
    those that died in between.
    """

    def __init__(self, pool: Pool, projector: Projector, complain: Complain) -> None:
        self._pool = pool
        self._projector = projector
        self._rounds: Batcher[UUID, None] = Batcher(self._round, limit=1_000)
        self._removals: set[asyncio.Task[None]] = set()
        self._complain = complain
        self._doubted_at = -math.inf
        self._doubts = asyncio.Event()
        self._wakeups: asyncio.Event | None = None

    def doubt(self) -> None:
        """The database may have crashed: commits of read models that it had not written to its disk are lost then, and their
        marks are back. The next sweep, which begins now, takes every mark that is older than this moment.
        """
        self._doubted_at = time.monotonic()
        self._doubts.set()
        if self._wakeups is not None:
            self._wakeups.set()

    async def follow(self, tenant_id: UUID, position: int) -> None:
        """Returns when the tenant's read models have passed the position, or have stopped, which /readyz tells."""
        await self._rounds.submit(tenant_id)

    async def drain(self) -> None:
        await self._rounds.drain()
        while self._removals:
            await asyncio.wait(self._removals)
            await self._rounds.drain()

    async def _round(self, batch: list[Waiting[UUID, None]]) -> None:
        """The appends are stored: a database that is away for a moment must not look like a failure of theirs."""
        failed: dict[UUID, Exception | None] = {}
        behind = list({tenant for tenant, _ in batch})
        for pause in _PAUSES:
            _, found = await self._catch_up(behind)
            failed = {tenant: error for tenant, error in failed.items() if tenant not in behind} | found
            behind = [tenant for tenant, error in failed.items() if isinstance(error, StorageAway)]
            if not behind:
                break
            await asyncio.sleep(pause)
        for tenant, future in batch:
            error = failed.get(tenant)
            if isinstance(error, MuchToRemove):
                removal = asyncio.create_task(self._remove_first(error, future))
                self._removals.add(removal)
                removal.add_done_callback(self._removals.discard)
            else:
                settle(future, error)

    async def _remove_first(self, much: MuchToRemove, future: asyncio.Future[None]) -> None:
        """Beside the rounds, so that others do not wait for it."""
        try:
            await much.remove(self._pool)
            await self._rounds.submit(much.tenant_id)
        except Exception as error:
            settle(future, error)
        else:
            settle(future, None)

    async def _catch_up(self, tenants: Sequence[UUID]) -> tuple[dict[UUID, int], dict[UUID, Exception | None]]:
        """How far each has come, and what was in the way: together, then one by one, so that a tenant hurts only itself."""
        failed: dict[UUID, Exception | None] = {}
        try:
            return await self._projector.catch_up(tenants), failed
        except MuchToRemove as much:
            others = [tenant for tenant in tenants if tenant != much.tenant_id]
            reached, failed = await self._catch_up(others) if others else ({}, failed)
            return reached, {**failed, much.tenant_id: much}
        except Exception as error:
            if len(tenants) == 1 or isinstance(error, StorageAway):
                return {}, dict.fromkeys(tenants, error)
        reached = {}
        for tenant in tenants:
            try:
                reached |= await self._projector.catch_up([tenant])
            except Exception as error:
                failed[tenant] = error
        return reached, failed

    async def sweep(self, limit: int = 100) -> int:
        """Follows for tenants whose writer did not; answers for how many that worked. Processes share them without a
        leader.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            age = min(_ORPHANED_AFTER_SECONDS, time.monotonic() - self._doubted_at)
            claimed = await connection.fetch(_CLAIM, age, limit)
        marks: dict[UUID, int] = {}
        for tenant, position in claimed:
            marks[tenant] = max(position, marks.get(tenant, 0))
        if not marks:
            return 0
        reached, failed = await self._catch_up(list(marks))
        for tenant, error in failed.items():
            if isinstance(error, MuchToRemove):
                await error.remove(self._pool)
            else:
                self._complain("sweep_failed", tenant=str(tenant), error=type(error).__name__)
        behind = [tenant for tenant, position in marks.items() if reached.get(tenant, 0) < position]
        if behind:
            await self._pool.execute(_DEFER, behind)
        return len(marks) - len(behind)

    async def run(self, wakeups: asyncio.Event, poll_seconds: float = 1.0) -> None:
        """Sweeps until cancelled: after a wake-up and at least every ``poll_seconds``; what stood there before it at once."""
        self._wakeups = wakeups
        self.doubt()
        while True:
            self._doubts.clear()
            try:
                swept = await self.sweep()
            except Exception as error:  # a database that is away comes back
                self._complain("sweep_failed", error=type(error).__name__)
                swept = 0
            if swept == 0 and not self._doubts.is_set():
                wakeups.clear()
                await _pause(wakeups, self._doubts, poll_seconds)


async def _pause(wakeups: asyncio.Event, doubts: asyncio.Event, seconds: float) -> None:
    """After a wake-up the mark it is about comes of age first; a doubt does not wait for that."""
    if await _happens(wakeups, seconds):
        await _happens(doubts, _ORPHANED_AFTER_SECONDS)


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):  # wait_for() can lose a cancellation that comes together with the event
            return await event.wait()
    except TimeoutError:
        return False
