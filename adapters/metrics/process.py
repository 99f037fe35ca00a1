"""What one process measures: its calls of the event store, what waits for them, and its database connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge

from adapters.metrics.tallied_histogram import TalliedHistogram

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_EVERY_SECONDS = 1.0


class Connections(Protocol):
    """A pool that says how many connections it holds, how many of them are idle, and how many there may be."""

    def get_size(self) -> int: ...
    def get_idle_size(self) -> int: ...
    def get_max_size(self) -> int: ...


class ProcessFigures:
    """Figures of this process, summed over the processes of a service by whoever answers /metrics. ``waiting`` answers how
    many appends wait for the next call.
    """

    def __init__(self, registry: CollectorRegistry, connections: Connections, waiting: Callable[[], int]) -> None:
        self._connections = connections
        self._waiting = waiting
        self._sizes = TalliedHistogram(
            "causeway_append_batch_size", "Appends that shared one call", registry=registry, buckets=_SIZES
        )
        self._seconds = TalliedHistogram(
            "causeway_append_batch_seconds", "Time that such a call took", registry=registry, buckets=_SECONDS
        )
        self._appends_waiting = _gauge("causeway_appends_waiting", "Appends that wait for the next call", registry)
        self._in_use = _gauge("causeway_pool_connections_in_use", "Database connections that work", registry)
        limit = _gauge("causeway_pool_connections_limit", "Database connections there may be", registry)
        limit.set(connections.get_max_size())
        _gauge("causeway_processes", "Processes whose figures are summed here", registry).set(1)

    def note_batch(self, appends: int, seconds: float) -> None:
        """One call of the event store is over, whatever came of it."""
        self._sizes.note(appends)
        self._seconds.note(seconds)

    def settle(self) -> None:
        """Brings up to date what other processes may read."""
        self._sizes.settle()
        self._seconds.settle()
        self._appends_waiting.set(self._waiting())
        self._in_use.set(self._connections.get_size() - self._connections.get_idle_size())

    async def run(self, every_seconds: float = _EVERY_SECONDS) -> None:
        """Settles until cancelled."""
        while True:
            self.settle()
            await asyncio.sleep(every_seconds)


def _gauge(name: str, documentation: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, documentation, registry=registry, multiprocess_mode="livesum")
