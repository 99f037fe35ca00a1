"""A histogram for hot paths: noting a value costs a fraction of a microsecond; what was noted is handed on now and then."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Histogram


class TalliedHistogram(Histogram):
    """``note`` counts in plain numbers; the histogram itself knows of it after ``settle``. For one event loop."""

    def __init__(self, name: str, documentation: str, *, registry: CollectorRegistry, buckets: Sequence[float]) -> None:
        super().__init__(name, documentation, registry=registry, buckets=buckets)
        self._counts = [0] * len(self._upper_bounds)
        self._total = 0.0

    def note(self, amount: float) -> None:
        self._counts[bisect_left(self._upper_bounds, amount)] += 1
        self._total += amount

    def settle(self) -> None:
        counts, total = self._counts, self._total
        self._counts, self._total = [0] * len(counts), 0.0
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        if total:
            self._sum.inc(total)
