"""Notes when tokens were last used: gathered in memory, written every few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

import structlog

from domain.ports import Clock

Marks = dict[tuple[UUID, UUID], datetime]


class TokenMarks:
    """``note`` is cheap enough for every request."""

    def __init__(self, write: Callable[[Marks], Awaitable[None]], clock: Clock) -> None:
        self._write = write
        self._clock = clock
        self._marks: Marks = {}
        self._log = structlog.get_logger("token_marks")

    def note(self, tenant_id: UUID, token_id: UUID) -> None:
        self._marks[tenant_id, token_id] = self._clock()

    async def flush(self) -> None:
        marks, self._marks = self._marks, {}
        if marks:
            await self._write(marks)

    async def finish(self) -> None:
        """Writes what was gathered, if the database takes it now; a lost mark is only a mark."""
        try:
            await self.flush()
        except Exception as error:
            self._log.warning("marks_lost", error=type(error).__name__)

    async def run(self, every_seconds: float = 5.0) -> None:
        """Writes until cancelled; what is gathered then is for ``finish``."""
        while True:
            await asyncio.sleep(every_seconds)
            await self.finish()
