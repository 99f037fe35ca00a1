"""Tells of a storage that is away in at most one line per second, however many requests were turned down."""

from __future__ import annotations

import asyncio

import structlog

_EVERY_SECONDS = 1.0


class AwayLog:
    """For one event loop. The first is told at once; those of the next second together."""

    def __init__(self, every_seconds: float = _EVERY_SECONDS) -> None:
        self._every_seconds = every_seconds
        self._log = structlog.get_logger("http")
        self._untold = 0
        self._why = ""
        self._waiting = False

    def note(self, why: str) -> None:
        """``why`` is the name of what the storage's client said; the line has that of the last request."""
        self._untold += 1
        self._why = why
        if not self._waiting:
            self._tell()

    def _tell(self) -> None:
        self._waiting = self._untold > 0
        if self._waiting:
            self._log.warning("database_away", requests=self._untold, error=self._why)
            self._untold = 0
            asyncio.get_running_loop().call_later(self._every_seconds, self._tell)
