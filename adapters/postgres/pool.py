"""Connections to PostgreSQL: settings alike for all, reads that outlive a restart, and one name for a server that is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolAcquireContext

from domain.ports import StorageAway

Answer = TypeVar("Answer")
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

if TYPE_CHECKING:
    _Pool = asyncpg.Pool[asyncpg.Record]
    _Acquiring = PoolAcquireContext[asyncpg.Record]
else:
    _Pool, _Acquiring = asyncpg.Pool, PoolAcquireContext

PATIENCE_SECONDS = 10.0
_CONNECT_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5
_LOST = (
    StorageAway,
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleSessionTimeoutError,
)
_CLIENT_ERRORS = (asyncpg.InterfaceError, asyncpg.InternalClientError)
_CLIENT_SAYS = ("connection is closed", "released back to the pool", "not connected", "cannot switch to", "protocol")


def is_lost(error: BaseException) -> bool:
    """Whether the server was lost, refused the connection or is just restarting: the outcome of the call is unknown.

    The client's own errors count when they are about a connection that ended: it has no types for that.
    """
    if isinstance(error, _LOST):
        return True
    return isinstance(error, _CLIENT_ERRORS) and any(words in str(error) for words in _CLIENT_SAYS)


def away(error: BaseException) -> StorageAway:
    """How the rest of the program hears of a lost server."""
    return error if isinstance(error, StorageAway) else StorageAway(type(error).__name__)


async def connect(dsn: str | None = None, **settings: Any) -> asyncpg.Connection[asyncpg.Record]:
    """A connection of its own. Whatever keeps the operating system from connecting is one error: ClientCannotConnectError."""
    try:
        return await asyncpg.connect(dsn, **{"timeout": _CONNECT_SECONDS, **settings})
    except OSError as error:
        raise asyncpg.ClientCannotConnectError(f"no connection ({type(error).__name__})") from error


async def outlive_restarts(call: Callable[[], Awaitable[Answer]], seconds: float = PATIENCE_SECONDS) -> Answer:
    """Repeats a call that may safely be repeated while the server is away; StorageAway when it stays away so long."""
    try:
        return await call()
    except Exception as error:
        if not is_lost(error):
            raise
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + seconds, _FIRST_PAUSE
    while True:
        await asyncio.sleep(pause)
        try:
            return await call()
        except Exception as error:
            if not is_lost(error):
                raise
            if loop.time() > deadline:
                raise away(error) from error
        pause = min(pause * 2, _LONGEST_PAUSE)


class PatientPool(_Pool):
    """A pool whose ``fetch``, ``fetchrow`` and ``fetchval`` wait while the server restarts. They are for statements that may be
    sent twice; what may not goes over ``execute`` or ``acquire``, which wait for nothing. A lost server is StorageAway.
    """

    patience_seconds = PATIENCE_SECONDS
    when_connected: Callable[[], None] | None = None
    """Called after every new connection: the server may have been away before it."""

    def __init__(self, dsn: str, **settings: Any) -> None:
        super().__init__(
            dsn,
            connect=self.connect,
            loop=None,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
            max_queries=50_000,
            **settings,
        )

    def acquire(self, *, timeout: float | None = None) -> PoolAcquireContext[asyncpg.Record]:
        return _Borrowing(self, timeout)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        return await outlive_restarts(partial(super().fetch, query, *args, **options), self.patience_seconds)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        return await outlive_restarts(partial(super().fetchrow, query, *args, **options), self.patience_seconds)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        return await outlive_restarts(partial(super().fetchval, query, *args, **options), self.patience_seconds)

    async def connect(self, dsn: str | None = None, **settings: Any) -> asyncpg.Connection[asyncpg.Record]:
        connection = await connect(dsn, **settings)
        if self.when_connected is not None:
            self.when_connected()
        return connection


class _Borrowing(_Acquiring):
    """A connection taken from the pool; whoever loses it hears StorageAway."""

    __slots__ = ()

    async def __aenter__(self) -> asyncpg.pool.PoolConnectionProxy[asyncpg.Record]:
        try:
            return await super().__aenter__()
        except Exception as error:
            if is_lost(error):
                raise away(error) from error
            raise

    async def __aexit__(self, *failure: Any) -> None:
        error = failure[1]
        try:
            await super().__aexit__(*failure)
        except Exception as refusal:  # what is lost cannot be given back
            error = error or refusal
            if not is_lost(error):
                raise
        if error is not None and not isinstance(error, StorageAway) and is_lost(error):
            raise away(error) from error


async def open_pool(dsn: str, *, pooler: bool = False, size: int = 10) -> PatientPool:
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
    return await PatientPool(
        dsn,
        init_size=1,
        min_size=0,  # a floor is restored behind everybody's back, with a traceback in the log for every failure
        max_size=size,
        max_inactive_connection_lifetime=300,
        statement_cache_size=0 if pooler else 200,
        server_settings=settings,
        reset=_keep,
    )


async def _keep(connection: Connection) -> None:
    """Nothing to reset: no call leaves session state behind, and a reset would cost every call a round trip."""
