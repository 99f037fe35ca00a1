"""Kills parts of a running service, without warning."""

import asyncio
import os
import random
import signal
import socket
from collections import Counter
from contextlib import suppress
from pathlib import Path

from adapters.postgres.embedded.postmaster import find_postmaster
from scripts.torturing.services import Service


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Victim:
    """A service of several processes on one port, with its embedded PostgreSQL; started again when it was killed."""

    def __init__(self, data_dir: Path, processes: int) -> None:
        self._data_dir = data_dir
        self._processes = processes
        self._port = free_port()
        self.service: Service | None = None
        self.killed: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> Service:
        arguments = ("--processes", str(self._processes))
        self.service = await Service.start(self._data_dir, *arguments, PORT=str(self._port))
        return await self.service.serving()

    async def kill_until(self, stop: asyncio.Event, longest_pause: float = 2.0) -> None:
        """Kills one thing after another; at the end a service runs."""
        kills = {
            "PostgreSQL server": self._kill_server,
            "PostgreSQL backend": self._kill_backend,
            "serving process": self._kill_process,
            "whole service": self._kill_service,
        }
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0.2, longest_pause)):
                    await stop.wait()
                return
            what = min(kills, key=lambda name: (self.killed[name], random.random()))
            await kills[what]()
            self.killed[what] += 1

    async def _kill_server(self) -> None:
        _kill(find_postmaster(self._data_dir))

    async def _kill_backend(self) -> None:
        server = find_postmaster(self._data_dir)
        if server is not None:
            backends = _children(server)
            _kill(random.choice(backends) if backends else None)

    async def _kill_process(self) -> None:
        if self.service is not None and (children := self.service.children()):
            _kill(random.choice(children))

    async def _kill_service(self) -> None:
        if self.service is not None:
            await self.service.kill()
        await self.start()


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _kill(pid: int | None) -> None:
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
