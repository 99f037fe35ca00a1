"""The asynchronous store for callers that block, with the eventsourcing library's errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

import asyncpg
from eventsourcing.persistence import (
    DatabaseError,
    DataError,
    IntegrityError,
    InternalError,
    OperationalError,
    PersistenceError,
    ProgrammingError,
)

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import Pool, is_lost, open_pool
from domain.ports import Lost, StorageAway, TenantClosed

Answer = TypeVar("Answer")


class EventLoopThread:
    """An event loop in a thread of its own, with a pool and a store on it, for callers that block. Close it when done."""

    def __init__(self, dsn: str, *, pool_size: int = 4) -> None:
        self.dsn = dsn
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="eventsourcing facade", daemon=True)
        self._thread.start()
        try:
            self.pool: Pool = self.run(open_pool(dsn, size=pool_size))
        except BaseException:
            self._stop()
            raise
        self.store = PostgresEventStore(self.pool)

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Waits for the work. Its errors come as the library's: IntegrityError for whatever an append lost to."""
        try:
            return self.start(work).result()
        except (Lost, StorageAway, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _translated(error) from error

    def start(self, work: Coroutine[Any, Any, Answer]) -> Future[Answer]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Finishes what was begun, then ends the connections and the thread."""
        try:
            self.run(self.store.drain())
            self.run(self.pool.close())
        finally:
            self._stop()

    def _stop(self) -> None:
        self.start(_end_the_rest()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> EventLoopThread:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


async def _end_the_rest() -> None:
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


_FAMILIES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], type[PersistenceError]], ...] = (
    (TenantClosed, ProgrammingError),
    (Lost, IntegrityError),
    (asyncpg.IntegrityConstraintViolationError, IntegrityError),
    (asyncpg.DataError, DataError),
    (asyncpg.SyntaxOrAccessError, ProgrammingError),
    (asyncpg.InternalServerError, InternalError),
    ((asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError, asyncpg.InterfaceError), OperationalError),
)


def _translated(error: BaseException) -> PersistenceError:
    if is_lost(error):
        return OperationalError(str(error) or type(error).__name__)
    for kinds, family in _FAMILIES:
        if isinstance(error, kinds):
            return family(str(error) or type(error).__name__)
    return DatabaseError(str(error))
