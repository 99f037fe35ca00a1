"""Read-your-writes: a write is answered when its tenant's read models have passed it; concurrent writes share the work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from domain.batching import Batcher, Waiting, settle
from projections.folding import Complain
from projections.projector import Projector
from projections.reading import AWAY, Pool

_ORPHANED_AFTER_SECONDS = 1.0
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 3.2)
_CLAIM = """
select tenant_id, position from dirty where marked_at < clock_timestamp() - make_interval(secs => $1)
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
        self._complain = complain

    async def follow(self, tenant_id: UUID, position: int) -> None:
        """Returns when the tenant's read models have passed the position, or have stopped, which /readyz tells."""
        await self._rounds.submit(tenant_id)

    async def drain(self) -> None:
        await self._rounds.drain()

    async def _round(self, batch: list[Waiting[UUID, None]]) -> None:
        """The appends are stored: a database that is away for a moment must not look like a failure of theirs."""
        failed: dict[UUID, Exception | None] = {}
        behind = list({tenant for tenant, _ in batch})
        for pause in _PAUSES:
            _, failed = await self._catch_up(behind)
            behind = [tenant for tenant, error in failed.items() if isinstance(error, AWAY)]
            if not behind:
                break
            await asyncio.sleep(pause)
        for tenant, future in batch:
            settle(future, failed.get(tenant))

    async def _catch_up(self, tenants: Sequence[UUID]) -> tuple[dict[UUID, int], dict[UUID, Exception | None]]:
        """How far each has come, and what was in the way: together, then one by one, so that a tenant hurts only itself."""
        failed: dict[UUID, Exception | None] = {}
        try:
            return await self._projector.catch_up(tenants), failed
        except Exception as error:
            if len(tenants) == 1:
                return {}, {tenants[0]: error}
        reached: dict[UUID, int] = {}
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
            claimed = await connection.fetch(_CLAIM, _ORPHANED_AFTER_SECONDS, limit)
        marks: dict[UUID, int] = {}
        for tenant, position in claimed:
            marks[tenant] = max(position, marks.get(tenant, 0))
        if not marks:
            return 0
        reached, failed = await self._catch_up(list(marks))
        for tenant, error in failed.items():
            self._complain("sweep_failed", tenant=str(tenant), error=type(error).__name__)
        behind = [tenant for tenant, position in marks.items() if reached.get(tenant, 0) < position]
        if behind:
            await self._pool.execute(_DEFER, behind)
        return len(marks) - len(behind)

    async def run(self, wakeups: asyncio.Event, poll_seconds: float = 1.0) -> None:
        """Sweeps until cancelled: after a wake-up and at least every ``poll_seconds``."""
        while True:
            try:
                swept = await self.sweep()
            except Exception as error:  # a database that is away comes back
                self._complain("sweep_failed", error=type(error).__name__)
                swept = 0
            if swept == 0:
                wakeups.clear()
                await _pause(wakeups, poll_seconds)


async def _pause(wakeups: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):  # wait_for() can lose a cancellation that comes together with the wake-up
            await wakeups.wait()
    except TimeoutError:
        return
    await asyncio.sleep(_ORPHANED_AFTER_SECONDS)
