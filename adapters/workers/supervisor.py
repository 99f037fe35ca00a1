"""Runs the loops, tells when one breaks, and starts it again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog


class Supervisor:
    """``start`` begins the named loops, ``stop`` cancels them and waits; a loop that misses its cancellation, which
    libraries may swallow, is cancelled again.
    """

    def __init__(self, loops: Mapping[str, Callable[[], Awaitable[None]]], patience_seconds: float = 5.0) -> None:
        self._loops = loops
        self._patience_seconds = patience_seconds
        self._tasks: list[asyncio.Task[None]] = []
        self._log = structlog.get_logger("supervisor")

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._keep(name, loop), name=name) for name, loop in self._loops.items()]

    async def stop(self) -> None:
        running = {task for task in self._tasks if not task.done()}
        while running:
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=self._patience_seconds)

    async def _keep(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        pause = 0.5
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await loop()
            except Exception as error:
                self._log.error("loop_broke", loop=name, error=type(error).__name__)
            if asyncio.get_running_loop().time() - started > 60:
                pause = 0.5
            await asyncio.sleep(pause)
            pause = min(pause * 2, 30.0)
