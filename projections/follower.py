"""Read-your-writes: a write is answered when its tenant's read models have passed it; concurrent writes share the work."""

from __future__ import annotations

import asyncio
from uuid import UUID

from domain.batching import Batcher, Waiting, settle
from projections.projector import Complain, Projector
from projections.reading import Pool

_ORPHANED_AFTER_SECONDS = 1.0
_CLAIM = """
select tenant_id from dirty where marked_at < clock_timestamp() - make_interval(secs => $1)
order by marked_at limit $2 for update skip locked
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
        await self._projector.catch_up(list({tenant for tenant, _ in batch}))
        for _, future in batch:
            settle(future, None)

    async def sweep(self, limit: int = 100) -> int:
        """Follows for tenants whose writer did not; answers how many there were. Processes share them without a leader."""
        async with self._pool.acquire() as connection, connection.transaction():
            tenants = {row["tenant_id"] for row in await connection.fetch(_CLAIM, _ORPHANED_AFTER_SECONDS, limit)}
        if tenants:
            await self._projector.catch_up(list(tenants))
        return len(tenants)

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
        await asyncio.wait_for(wakeups.wait(), seconds)
    except TimeoutError:
        return
    await asyncio.sleep(_ORPHANED_AFTER_SECONDS)
