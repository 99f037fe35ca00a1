"""The service's own logs, written to memory for the length of a test."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import structlog

from adapters.logs import configure_logs


@contextmanager
def logs_of_its_own(style: str) -> Iterator[io.BytesIO]:
    """What is logged inside the block, as it would stand on standard error."""
    written, root = io.BytesIO(), logging.getLogger()
    handlers, level = root.handlers, root.level
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", SimpleNamespace(buffer=written, isatty=lambda: False))
        configure_logs(style)
    try:
        yield written
    finally:
        structlog.reset_defaults()
        root.handlers = handlers
        root.setLevel(level)
