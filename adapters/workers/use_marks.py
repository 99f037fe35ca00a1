"""Notes which connections are used, and when their tokens are due: gathered in memory, written every few seconds."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import UUID

import structlog

from domain.connections.refresh_queue import ConnectionKey, RefreshQueue, Use
from domain.ports import Clock


class UseMarks:
    """``note`` is cheap enough for every use."""

    def __init__(self, queue: RefreshQueue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._uses: dict[ConnectionKey, Use] = {}
        self._log = structlog.get_logger("use_marks")

    def note(self, project_id: UUID, connection_id: UUID, due_at: datetime | None) -> None:
        self._uses[project_id, connection_id] = Use(self._clock(), due_at)

    async def finish(self) -> None:
        """Writes what was gathered, if the database takes it now; a lost mark is only a mark."""
        uses, self._uses = self._uses, {}
        try:
            if uses:
                await self._queue.note(uses)
        except Exception as error:
            self._log.warning("marks_lost", error=type(error).__name__)

    async def run(self, every_seconds: float = 2.0) -> None:
        """Writes until cancelled; what is gathered then is for ``finish``."""
        while True:
            await asyncio.sleep(every_seconds)
            await self.finish()
