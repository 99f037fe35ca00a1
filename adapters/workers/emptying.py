"""Goes on where somebody who deleted a project was stopped: what a closed tenant still holds is removed, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

_EVERY_SECONDS = 5.0


class Emptying:
    """``step`` takes one, and answers whether there was anything to do that nobody else is doing."""

    def __init__(self, step: Callable[[], Awaitable[bool]]) -> None:
        self._step = step
        self._log = structlog.get_logger("emptying")

    async def run(self, every_seconds: float = _EVERY_SECONDS) -> None:
        """Takes steps until cancelled: one after the other while there are some, then after a while again."""
        while True:
            try:
                more = await self._step()
            except Exception as error:  # a database that is away comes back
                self._log.warning("emptying_failed", error=type(error).__name__)
                more = False
            if not more:
                await asyncio.sleep(every_seconds)
