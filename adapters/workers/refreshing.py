"""Renews the tokens of connections in use before they end, many at a time, and no project's troubles are another's."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from domain.connections.connection import ConnectionNotFound
from domain.connections.refresh_queue import Due, RefreshQueue
from domain.connections.refresher import Refresher
from domain.connections.refreshing import ConnectionUnusable, RefreshTrouble, next_look
from domain.errors import Refusal
from domain.ports import Clock

AT_ONCE = 200
OF_ONE_PROJECT = 80
"""At most so many refreshes wait for providers, in all and for one project."""

_PER_CLAIM = OF_ONE_PROJECT // 2
_GATHERING_SECONDS = 0.05
"""Between claims, so that each finds several."""

IN_USE = timedelta(hours=24)
"""A connection that was not used for so long is renewed when it is used again, and not before."""

_TRY_AGAIN = timedelta(minutes=1)


class RefreshWorker:
    def __init__(self, queue: RefreshQueue, refresher: Refresher, clock: Clock) -> None:
        self._queue = queue
        self._refresher = refresher
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()
        self._of_project: Counter[UUID] = Counter()
        self._log = structlog.get_logger("refreshing")

    async def run(self, poll_seconds: float = 1.0) -> None:
        """Until cancelled; refreshes that have begun go on, the refresher drains them."""
        while True:
            try:
                begun = await self.step()
            except Exception as error:  # a database that is away comes back
                self._log.warning("refresh_claim_failed", error=type(error).__name__)
                begun = 0
            if len(self._running) >= AT_ONCE:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(_GATHERING_SECONDS if begun else poll_seconds)

    async def step(self) -> int:
        """Begins what is due, as far as there is room; answers how many."""
        room = AT_ONCE - len(self._running)
        busy = [project for project, count in self._of_project.items() if count > OF_ONE_PROJECT - _PER_CLAIM]
        due = await self._queue.claim(min(room, _PER_CLAIM), busy) if room > 0 else []
        for one in due:
            self._of_project[one.project_id] += 1
            task = asyncio.create_task(self._see_to(one))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return len(due)

    async def finish(self) -> None:
        """Returns when nothing that was begun is still going on."""
        while self._running:
            await asyncio.wait(self._running)

    async def _see_to(self, due: Due) -> None:
        try:
            await self._queue.settle(due.project_id, due.connection_id, await self._next(due))
        except Exception as error:  # it stays claimed for a while and comes back by itself
            self._log.warning("refresh_not_settled", tenant=str(due.project_id), error=type(error).__name__)
        finally:
            self._of_project[due.project_id] -= 1
            if not self._of_project[due.project_id]:
                del self._of_project[due.project_id]

    async def _next(self, due: Due) -> datetime | None:
        in_use = due.last_used_at > self._clock() - IN_USE
        try:
            state = await self._refresher.renew(due.project_id, due.connection_id, in_use=in_use)
        except RefreshTrouble as trouble:
            return trouble.retry_at or self._clock() + _TRY_AGAIN
        except (ConnectionNotFound, ConnectionUnusable):
            return None
        except Refusal as refusal:
            self._log.warning("refresh_refused", tenant=str(due.project_id), code=refusal.code)
            return self._clock() + _TRY_AGAIN
        return next_look(state, self._clock()) if in_use or not state.renewable else None
