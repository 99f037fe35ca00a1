"""Several processes of one service: each keeps its place, and one that dies is replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence

import structlog

from adapters.cli.listening import FINISH_SECONDS

READY = "ready"
"""What a child process prints when it is at work."""
_PAUSE_SECONDS = 1.0


class Children:
    """``arguments`` answers the words that start the process in a place (0, 1, ...); ``buried`` hears of a place whose
    process has ended.
    """

    def __init__(
        self, arguments: Callable[[int], Sequence[str]], environment: dict[str, str], buried: Callable[[int], None]
    ) -> None:
        self._arguments = arguments
        self._environment = environment
        self._buried = buried
        self._running: set[asyncio.subprocess.Process] = set()
        self._log = structlog.get_logger("processes")

    async def keep(self, count: int, stop: asyncio.Event, serving: Callable[[], None]) -> None:
        """Keeps so many running until ``stop``; then lets them finish. ``serving`` is called when all of the first ones
        have said READY.
        """
        starting = set(range(count))

        def is_ready(place: int) -> None:
            if place in starting:
                starting.remove(place)
                if not starting:
                    serving()

        keepers = [asyncio.create_task(self._keep(place, stop, is_ready)) for place in range(count)]
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: self._tell(signal.SIGHUP))
        await stop.wait()
        self._tell(signal.SIGTERM)
        done = asyncio.gather(*keepers)
        try:
            async with asyncio.timeout(FINISH_SECONDS + 10):
                await done
        except TimeoutError:
            self._tell(signal.SIGKILL)

    async def _keep(self, place: int, stop: asyncio.Event, is_ready: Callable[[int], None]) -> None:
        while not stop.is_set():
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._arguments(place),
                env=self._environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            self._running.add(child)
            if stop.is_set():  # it was begun too late to be told with the others
                _send(child, signal.SIGTERM)
            while child.stdout and (line := await child.stdout.readline()):
                if line.decode().strip() == READY:
                    is_ready(place)
            code = await child.wait()
            self._running.discard(child)
            self._buried(place)
            if not stop.is_set():
                self._log.error("process_died", pid=child.pid, code=code)
                await _pause(stop, _PAUSE_SECONDS)

    def _tell(self, number: signal.Signals) -> None:
        for child in self._running:
            _send(child, number)


def _send(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if child.returncode is None:
        os.kill(child.pid, number)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
