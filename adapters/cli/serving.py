"""Runs the service: as one process, or as several that share a port and are watched over."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec
from aiohttp import web

from adapters.cli.command_line import tell
from adapters.cli.listening import bind_port, serve_web
from adapters.cli.signals import stop_on_signals, when_parent_ends
from adapters.cli.supervising import READY, Children
from adapters.metrics.shared import bury, share
from adapters.settings import PORT, PUBLIC_URL, WORKER_PORT, Settings, default_public_url
from adapters.workers.supervisor import Supervisor

_MOST_PROCESSES = 64


class Process(Protocol):
    """One process, wired. ``housekeeping`` are the loops that every process runs, ``workers`` those of a worker; ``reload``
    reads again what may have changed on disk.
    """

    def web_app(self) -> web.Application: ...
    def watched_app(self) -> web.Application: ...
    def housekeeping(self) -> Supervisor: ...
    def workers(self) -> Supervisor: ...
    def reload(self) -> None: ...


P = TypeVar("P", bound=Process)


class Wiring(Generic[P]):
    """How to get at a database's address, how to wire a process on it, and how to prepare the ground, once per start."""

    def __init__(
        self,
        database: Callable[[Settings], AbstractAsyncContextManager[str]],
        wire: Callable[[Settings, str], AbstractAsyncContextManager[P]],
        prepare: Callable[[P, bool], Awaitable[None]],
    ) -> None:
        self.database, self.wire, self.prepare = database, wire, prepare


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Exits with 2 and one line when something is asked that is not there."""
    parser = argparse.ArgumentParser(prog="scripts/serve", description="Starts Causeway.")
    parser.add_argument("--role", choices=("all", "web", "worker"), default="all", help="what this start does (all)")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="processes that share the port (1)")
    parser.add_argument("--child", type=int, metavar="PLACE", help=argparse.SUPPRESS)
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if not 1 <= chosen.processes <= _MOST_PROCESSES:
        parser.error(f"--processes takes 1 to {_MOST_PROCESSES}")
    return chosen


async def serve(settings: Settings, chosen: argparse.Namespace, wiring: Wiring[P]) -> int:
    """Serves until told to stop; the exit code. What is wrong with the port is told before a database is started."""
    is_child = chosen.child is not None
    bound, settings = _bind(settings, chosen.role, shared=is_child or chosen.processes > 1)
    if is_child:
        share(chosen.figures, chosen.child)
        await _serve_as_child(settings, chosen, bound, wiring)
        return 0
    async with wiring.database(settings) as dsn:
        if chosen.processes == 1:
            await _serve_alone(settings, dsn, chosen.role, bound, wiring)
        else:
            await _serve_together(settings, dsn, chosen, bound, wiring)
    return 0


def _bind(settings: Settings, role: str, *, shared: bool) -> tuple[socket.socket | None, Settings]:
    """The socket that this role serves on, if any, and the settings with the port that was really taken."""
    if role != "worker":
        bound = bind_port(settings.host, settings.port, PORT, shared=shared)
        return bound, settings.with_port(bound.getsockname()[1])
    if settings.worker_port is None:
        return None, settings
    bound = bind_port(settings.host, settings.worker_port, WORKER_PORT, shared=shared)
    return bound, msgspec.structs.replace(settings, worker_port=bound.getsockname()[1])


async def _serve_alone(settings: Settings, dsn: str, role: str, bound: socket.socket | None, wiring: Wiring[P]) -> None:
    async with wiring.wire(settings, dsn) as process:
        await wiring.prepare(process, role != "worker")
        stop = stop_on_signals(process.reload)
        await _work(process, role, bound, stop, lambda: tell(_at_work(settings, role)))


async def _serve_as_child(
    settings: Settings, chosen: argparse.Namespace, bound: socket.socket | None, wiring: Wiring[P]
) -> None:
    async with wiring.wire(settings, settings.database_url) as process:
        stop = stop_on_signals(process.reload)
        orphaned = when_parent_ends(stop.set)
        await _work(process, chosen.role, bound, stop, lambda: tell(READY))
    if orphaned.is_set():
        shutil.rmtree(chosen.figures, ignore_errors=True)


async def _serve_together(
    settings: Settings, dsn: str, chosen: argparse.Namespace, bound: socket.socket | None, wiring: Wiring[P]
) -> None:
    """Prepares the ground and watches over the processes; the port stays ours while they come and go."""
    async with wiring.wire(settings, dsn) as process:
        await wiring.prepare(process, chosen.role != "worker")
    stop = stop_on_signals(lambda: None)
    with tempfile.TemporaryDirectory(prefix="causeway-figures-", ignore_cleanup_errors=True) as folder:

        def words(place: int) -> list[str]:
            program = os.path.abspath(sys.argv[0])
            return [program, "serve", "--role", chosen.role, "--child", str(place), "--figures", folder]

        children = Children(words, _environment(settings, dsn), lambda place: bury(Path(folder), place))
        at_work = _at_work(settings, chosen.role, f" with {chosen.processes} processes")
        await children.keep(chosen.processes, stop, lambda: tell(at_work))
    if bound:
        bound.close()


async def _work(
    process: Process, role: str, bound: socket.socket | None, stop: asyncio.Event, serving: Callable[[], None]
) -> None:
    """Runs the loops and serves until ``stop``; ``serving`` is called when the process is at work."""
    _settle_memory()
    housekeeping, workers = process.housekeeping(), process.workers()
    housekeeping.start()
    if role != "web":
        workers.start()
    try:
        if bound:
            app = process.watched_app() if role == "worker" else process.web_app()
            await serve_web(app, bound, stop, serving)
        else:
            serving()
            await stop.wait()
    finally:
        await housekeeping.stop()
        await workers.stop()


def _settle_memory() -> None:
    """What stands after the start stays: the collector need not look at it again, nor after every few hundred objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _at_work(settings: Settings, role: str, how: str = "") -> str:
    if role != "worker":
        return f"Causeway serves on {settings.public_url}{how}"
    if settings.worker_port is None:
        return f"Causeway works{how}"
    return f"Causeway works{how}; how it is: {default_public_url(settings.host, settings.worker_port)}/readyz"


def _environment(settings: Settings, dsn: str) -> dict[str, str]:
    """What a child needs beside what was given to this process."""
    given = {
        **os.environ,
        "CAUSEWAY_DATABASE_URL": dsn,
        "CAUSEWAY_DATA_DIR": str(settings.data_dir),
        "CAUSEWAY_LOG": settings.log,
    }
    if settings.port:
        given |= {PORT: str(settings.port), PUBLIC_URL: settings.public_url}
    if settings.worker_port is not None:
        given[WORKER_PORT] = str(settings.worker_port)
    return given
