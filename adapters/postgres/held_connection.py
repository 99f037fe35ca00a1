"""A pool's connection that stays out between calls that follow closely: taking one for each call costs as much as the call."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from adapters.postgres.pool import Pool

_IDLE_SECONDS = 0.05


class HeldConnection:
    """For one caller at a time. Goes back to the pool when it is idle, and when a call failed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: PoolConnectionProxy[asyncpg.Record] | None = None
        self._used_at = 0.0
        self.is_busy = False
        self._releasing: asyncio.Task[None] | None = None

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        loop = asyncio.get_running_loop()
        self.is_busy = True
        try:
            if self._connection is None:
                self._connection = await self._pool.acquire()
                loop.call_later(_IDLE_SECONDS, self._let_go_when_idle, loop)
            return await self._connection.fetch(statement, *arguments)
        except BaseException:
            await self._release()
            raise
        finally:
            self.is_busy = False
            self._used_at = loop.time()

    async def let_go(self) -> None:
        """Gives the connection back now, if nobody is calling; returns when it is back."""
        if not self.is_busy:
            await self._release()
        if self._releasing is not None:
            await self._releasing

    def _let_go_when_idle(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._connection is None:
            return
        if self.is_busy or loop.time() - self._used_at < _IDLE_SECONDS:
            loop.call_later(_IDLE_SECONDS, self._let_go_when_idle, loop)
        else:  # taken away in this very step, so that no caller gets it while it goes back
            connection, self._connection = self._connection, None
            self._releasing = loop.create_task(self._pool.release(connection))

    async def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._pool.release(connection)
