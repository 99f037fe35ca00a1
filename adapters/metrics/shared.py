"""Figures of several processes: each keeps its own in files that live in memory, and any of them can sum them all."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # what prometheus_client calls it


def share(folder: Path, slot: int) -> None:
    """From now on this process's figures are kept in the folder, under the number of its place in the service. Whoever
    takes a dead process's place goes on counting where that one was killed. Call it before anything is measured.
    """
    os.environ[_FOLDER] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]


def bury(folder: Path, slot: int) -> None:
    """The process in this place has ended: what it counted stays, what it was in the middle of does not."""
    mark_process_dead(slot, str(folder))  # type: ignore[no-untyped-call]


def everybodys(own: CollectorRegistry) -> CollectorRegistry:
    """The figures of all processes that share with this one; its own where it is alone."""
    folder = os.environ.get(_FOLDER)
    if not folder:
        return own
    registry = CollectorRegistry(auto_describe=False)
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    return registry
