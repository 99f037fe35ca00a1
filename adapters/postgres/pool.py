"""Connection pools: the same settings for every connection, whatever asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

import asyncpg

Answer = TypeVar("Answer")
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

CONNECTION_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    ConnectionError,
    OSError,
)
"""What a lost, refused or just restarting server raises: the outcome of the call is unknown."""


async def open_pool(dsn: str, *, pooler: bool = False, size: int = 10) -> Pool:
    """A pool of at most ``size`` connections. ``pooler``: the address is a transaction-mode pooler, which loses
    prepared statements and session settings between transactions.
    """
    settings = (
        {}
        if pooler
        else {
            "application_name": "causeway",
            "timezone": "UTC",
            "statement_timeout": "60000",
            "lock_timeout": "15000",
            "idle_in_transaction_session_timeout": "60000",
            "jit": "off",
        }
    )
    return await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        max_inactive_connection_lifetime=300,
        statement_cache_size=0 if pooler else 200,
        server_settings=settings,
        reset=_keep,
    )


async def _keep(connection: Connection) -> None:
    """Nothing to reset: no call leaves session state behind, and a reset would cost every call a round trip."""


async def outlive_restarts(
    call: Callable[[], Awaitable[Answer]], *, attempts: int = 8, first_pause: float = 0.05
) -> Answer:
    """Repeats a call that may safely be repeated while the server is away, for about ten seconds in all."""
    pause = first_pause
    for attempt in range(attempts):
        try:
            return await call()
        except CONNECTION_LOST:
            if attempt == attempts - 1:
                raise
            await asyncio.sleep(pause)
            pause *= 2
    raise AssertionError("unreachable")
