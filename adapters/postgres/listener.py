"""One LISTEN connection per process: sets events when somebody appended. Polling goes on beside it."""

from __future__ import annotations

import asyncio

import structlog

from adapters.postgres.pool import connect, is_lost

CHANNEL = "causeway_events"


async def listen(dsn: str, *wakeups: asyncio.Event) -> None:
    """Listens until cancelled; connects again when the connection is lost."""
    log = structlog.get_logger("listener")
    pause = 0.1

    def wake(*_: object) -> None:
        for one in wakeups:
            one.set()

    while True:
        try:
            connection = await connect(dsn, server_settings={"application_name": "causeway listener"})
            try:
                closed = asyncio.get_running_loop().create_future()
                connection.add_termination_listener(lambda _, done=closed: done.done() or done.set_result(None))
                await connection.add_listener(CHANNEL, wake)
                wake()
                pause = 0.1
                await closed
            finally:
                await connection.close(timeout=1)
        except Exception as error:
            if not is_lost(error):
                raise
            log.warning("listener_lost", error=type(error).__name__)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 5.0)
