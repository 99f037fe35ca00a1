"""Running the service: one process or several on one port, and a stop that finishes what was begun."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

import structlog
from aiohttp import web

from adapters.settings import CannotStart

_FINISH_SECONDS = 25.0
_BACKLOG = 1024
READY = "ready"
"""What a child process prints when it is at work."""


def bind_port(host: str, port: int, *, shared: bool) -> socket.socket:
    """A bound socket; ``shared`` lets several processes bind the same port (SO_REUSEPORT)."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {host}:{port} ({error.strerror}); stop what uses it, or choose another CAUSEWAY_PORT"
        ) from None
    return bound


def cancel_on_signals() -> None:
    """Until the service runs, SIGTERM and SIGINT cancel the calling task, so that what was started is stopped."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    if task is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)


def stop_with_parent(stop: asyncio.Event) -> None:
    """Sets ``stop`` when the supervising process is gone: its end of this process's standard input closes then."""
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()

    def end() -> None:
        loop.remove_reader(descriptor)
        stop.set()

    loop.add_reader(descriptor, end)


def stop_on_signals(reload: Callable[[], None]) -> asyncio.Event:
    """Set by SIGINT and SIGTERM; SIGHUP calls ``reload``."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    return stop


async def serve_web(
    app: web.Application, bound: socket.socket, stop: asyncio.Event, serving: Callable[[], None]
) -> None:
    """Serves until ``stop``; then takes no more connections and finishes the requests in flight. ``serving`` is called
    when connections are taken.
    """
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_FINISH_SECONDS)
    await runner.setup()
    await web.SockSite(runner, bound, backlog=_BACKLOG).start()
    serving()
    try:
        await stop.wait()
    finally:
        await runner.cleanup()


async def supervise(
    arguments: Sequence[str],
    environment: dict[str, str],
    count: int,
    stop: asyncio.Event,
    serving: Callable[[], None],
) -> None:
    """Keeps ``count`` child processes of this program running until ``stop``; then lets them finish. ``serving`` is called
    when all of the first ones have said READY.
    """
    log = structlog.get_logger("processes")
    children: set[asyncio.subprocess.Process] = set()
    waiting = count

    async def keep() -> None:
        nonlocal waiting
        while not stop.is_set():
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                env=environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            children.add(child)
            if stop.is_set():  # it was begun too late to be told with the others
                _tell({child}, signal.SIGTERM)
            while child.stdout and (line := await child.stdout.readline()):
                if line.decode().strip() == READY:
                    waiting -= 1
                    if waiting == 0:
                        serving()
            code = await child.wait()
            children.discard(child)
            if not stop.is_set():
                log.error("process_died", pid=child.pid, code=code)
                await _pause(stop, 1.0)

    keepers = [asyncio.create_task(keep()) for _ in range(count)]
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: _tell(children, signal.SIGHUP))
    await stop.wait()
    _tell(children, signal.SIGTERM)
    done = asyncio.gather(*keepers)
    try:
        async with asyncio.timeout(_FINISH_SECONDS + 10):
            await done
    except TimeoutError:
        _tell(children, signal.SIGKILL)


def _tell(children: set[asyncio.subprocess.Process], number: signal.Signals) -> None:
    for child in children:
        if child.returncode is None:
            os.kill(child.pid, number)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
