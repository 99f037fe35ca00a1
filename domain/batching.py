"""One call in flight; what queues meanwhile goes next, together. Appends share a commit this way, reads share a query."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from domain.ports import StorageAway

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Waiting = tuple[Item, "asyncio.Future[Answer]"]


class Batcher(Generic[Item, Answer]):
    """Gathers concurrent calls of one event loop into batches.

    ``run`` takes the waiting items and settles every future. No timer: a lonely caller waits for nobody.
    ``choose`` may leave items for a later batch; it must take at least one. A caller that is cancelled cancels nothing of the batch.
    """

    def __init__(
        self,
        run: Callable[[list[Waiting[Item, Answer]]], Awaitable[None]],
        *,
        limit: int = 512,
        choose: Callable[[deque[Waiting[Item, Answer]], int], list[Waiting[Item, Answer]]] | None = None,
        lanes: int = 1,
    ) -> None:
        self._run = run
        self._limit = limit
        self._choose = choose or _first
        self._lanes = lanes
        self._queue: deque[Waiting[Item, Answer]] = deque()
        self._flights: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, item: Item) -> asyncio.Future[Answer]:
        """Queues the item; the future is the caller's own."""
        loop = self._loop or self._begin()
        future: asyncio.Future[Answer] = loop.create_future()
        self._queue.append((item, future))
        if len(self._flights) < self._lanes:
            self._flights.add(loop.create_task(self._fly()))
        return future

    def _begin(self) -> asyncio.AbstractEventLoop:
        """Remembers the loop: asking for it costs a system call each time."""
        self._loop = asyncio.get_running_loop()
        return self._loop

    @property
    def queued(self) -> int:
        """How many wait for the next batch."""
        return len(self._queue)

    async def drain(self) -> None:
        """Returns when nothing is queued or in flight."""
        while self._flights:
            await asyncio.wait(self._flights)

    async def _fly(self) -> None:
        flight = asyncio.current_task()
        try:
            while self._queue:
                batch = self._choose(self._queue, self._limit)
                try:
                    await self._run(batch)
                except Exception as error:  # every caller hears of it
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
        finally:
            # Here and not in a callback: whoever submits next must not count on a flight that has looked for the last time.
            if flight is not None:
                self._flights.discard(flight)


def _first(queue: deque[Waiting[Item, Answer]], limit: int) -> list[Waiting[Item, Answer]]:
    return [queue.popleft() for _ in range(min(limit, len(queue)))]


def settle(future: asyncio.Future[Answer], answer: Answer | BaseException) -> None:
    """Answers a caller that may have been cancelled in the meantime."""
    if future.done():
        return
    if isinstance(answer, BaseException):
        future.set_exception(answer)
    else:
        future.set_result(answer)


class SharedQuery:
    """One statement that answers many callers at once.

    The statement takes one array per argument, unnests them ``with ordinality`` and returns, as its first column,
    the 1-based number of the caller that a row belongs to. ``fetch`` runs it, for example a pool's fetch.
    """

    def __init__(
        self,
        fetch: Callable[..., Awaitable[Sequence[Sequence[Any]]]],
        statement: str,
        *,
        limit: int = 256,
        lanes: int = 1,
    ) -> None:
        self._fetch = fetch
        self._statement = statement
        self._batcher: Batcher[tuple[Any, ...], list[Sequence[Any]]] = Batcher(self._run, limit=limit, lanes=lanes)

    def ask(self, *arguments: Any) -> asyncio.Future[list[Sequence[Any]]]:
        """The caller's rows, each with its number in front."""
        return self._batcher.submit(arguments)

    async def _run(self, batch: list[Waiting[tuple[Any, ...], list[Sequence[Any]]]]) -> None:
        try:
            found = await self._ask([item for item, _ in batch])
        except StorageAway:
            raise
        except Exception:
            if len(batch) == 1:
                raise
            # one of them poisoned the statement: it alone shall hear of it
            alone = await asyncio.gather(*(self._ask([item]) for item, _ in batch), return_exceptions=True)
            for (_, future), answer in zip(batch, alone, strict=True):
                settle(future, answer if isinstance(answer, BaseException) else answer[0])
            return
        for (_, future), rows in zip(batch, found, strict=True):
            settle(future, rows)

    async def _ask(self, questions: list[tuple[Any, ...]]) -> list[list[Sequence[Any]]]:
        found: list[list[Sequence[Any]]] = [[] for _ in questions]
        for row in await self._fetch(self._statement, *map(list, zip(*questions, strict=True))):
            found[row[0] - 1].append(row)
        return found
