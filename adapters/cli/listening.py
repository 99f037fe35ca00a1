"""A port that is bound early and served late, and a stop that finishes the requests in flight."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from aiohttp import web

from adapters.settings import CannotStart

FINISH_SECONDS = 25.0
"""How long requests in flight may still take when the service stops."""
_BACKLOG = 1024


def bind_port(host: str, port: int, setting: str, *, shared: bool) -> socket.socket:
    """A bound socket; ``shared`` lets several processes bind the same port (SO_REUSEPORT). CannotStart names the setting
    that another port is chosen with.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {host}:{port} ({error.strerror}); stop what uses it, or choose another {setting}"
        ) from None
    return bound


async def serve_web(
    app: web.Application, bound: socket.socket, stop: asyncio.Event, serving: Callable[[], None]
) -> None:
    """Serves until ``stop``; then takes no more connections and finishes the requests in flight. ``serving`` is called
    when connections are taken.
    """
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=FINISH_SECONDS)
    await runner.setup()
    await web.SockSite(runner, bound, backlog=_BACKLOG).start()
    serving()
    try:
        await stop.wait()
    finally:
        await runner.cleanup()
