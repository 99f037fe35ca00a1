"""Rebuilding read models with a progress line: at a start that brings new folds, or when somebody asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from projections.projection import Projection
from projections.rebuild import Progress, Rebuild

_EVERY_SECONDS = 0.5


class ProgressLine:
    """Words a progress now and then: how far, how fast, how long still."""

    def __init__(self, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._began = clock()
        self._told = 0.0

    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        if progress.total == 0:
            return
        if progress.done < progress.total and now - self._told < _EVERY_SECONDS:
            return
        self._told = now
        self._tell(worded(progress, now - self._began))


def worded(progress: Progress, seconds: float) -> str:
    share = progress.done / progress.total if progress.total else 1.0
    bar = "#" * round(share * 30)
    rate = progress.done / seconds if seconds > 0 else 0.0
    left = (progress.total - progress.done) / rate if rate else 0.0
    return (
        f"{progress.projection}  [{bar:<30}] {share:6.1%}  {progress.done:,}/{progress.total:,} events"
        f"  {rate:,.0f}/s  {left:,.0f} s left"
    )


async def rebuild_outdated(rebuild: Rebuild, projections: Sequence[Projection], tell: Callable[[str], None]) -> None:
    """Rebuilds what other code fed; nothing is told where there is nothing to fold."""
    for projection in projections:
        await rebuild.run(projection, ProgressLine(tell))
