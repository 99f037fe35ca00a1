"""The answer to /metrics: the figures of all processes, and what the database says about the read models."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Iterable

import structlog
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from adapters.metrics.shared import everybodys
from projections.lag import Behind, Marks

_LIMIT_SECONDS = 1.0
_ATTEMPTS = 5
_PAUSE_SECONDS = 0.01


class Scrape:
    """``settle`` brings this process's own figures up to date. What ``marks`` and ``behind`` do not answer in time, a second
    for both, is left out, and ``causeway_database_figures_complete`` is 0.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        settle: Callable[[], None],
        marks: Callable[[], Awaitable[Marks]],
        behind: Callable[[], Awaitable[Behind]],
        limit_seconds: float = _LIMIT_SECONDS,
    ) -> None:
        self._registry = registry
        self._settle = settle
        self._marks = marks
        self._behind = behind
        self._limit_seconds = limit_seconds
        self._log = structlog.get_logger("metrics")

    async def __call__(self) -> bytes:
        """Prometheus text, version 0.0.4."""
        figures = await self._of_the_database()
        self._settle()
        return await self._of_the_processes() + generate_latest(figures)

    async def _of_the_processes(self) -> bytes:
        for attempt in range(_ATTEMPTS):
            try:
                return generate_latest(everybodys(self._registry))
            except struct.error:  # a file that a starting process is just making is empty for a moment
                if attempt == _ATTEMPTS - 1:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)
        raise AssertionError("unreachable")

    async def _of_the_database(self) -> CollectorRegistry:
        found = _Found()
        complete = 0
        try:
            async with asyncio.timeout(self._limit_seconds):
                marks = await self._marks()
                found.add(
                    "causeway_projector_oldest_mark_seconds", "Age of the oldest dirty mark", marks.oldest_seconds
                )
                found.add("causeway_projections_stopped", "Read models of tenants that go no further", marks.stopped)
                behind = await self._behind()
                found.add("causeway_projector_marked_tenants", "Tenants with events to fold", behind.tenants)
                found.add("causeway_projector_lag_events", "Events that their read models lack, in sum", behind.events)
            complete = 1
        except Exception as error:
            self._log.warning("figures_missing", error=type(error).__name__)
        found.add("causeway_database_figures_complete", "Whether the database answered in time", complete)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(found)
        return registry


class _Found(Collector):
    def __init__(self) -> None:
        self._families: list[Metric] = []

    def add(self, name: str, documentation: str, value: float) -> None:
        self._families.append(GaugeMetricFamily(name, documentation, value=value))

    def collect(self) -> Iterable[Metric]:
        return self._families
