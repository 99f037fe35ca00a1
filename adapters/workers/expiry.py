"""Removes what has had its time: answers that were kept for repeated commands, and rows of read models that end by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

_EVERY_SECONDS = 300.0
_AT_ONCE = 1_000


class Expiry:
    """Each of ``removals`` takes at most so many and answers how many they were."""

    def __init__(self, *removals: Callable[[int], Awaitable[int]]) -> None:
        self._removals = removals
        self._log = structlog.get_logger("expiry")

    async def run(self, every_seconds: float = _EVERY_SECONDS) -> None:
        """Removes until cancelled: batch after batch while there are some, then after a while again."""
        while True:
            removed = [await self._removed(removal) for removal in self._removals]
            if max(removed, default=0) < _AT_ONCE:
                await asyncio.sleep(every_seconds)

    async def _removed(self, removal: Callable[[int], Awaitable[int]]) -> int:
        try:
            return await removal(_AT_ONCE)
        except Exception as error:  # a database that is away comes back
            self._log.warning("expiry_failed", error=type(error).__name__)
            return 0
