"""One structured line per happening, for people (console) or machines (json), without anybody's secrets."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import structlog

_encoder = msgspec.json.Encoder(enc_hook=repr)


def _json_line(logger: object, name: str, event: structlog.typing.EventDict) -> bytes:
    return _encoder.encode(event)


def configure_logs(style: str) -> None:
    """``console`` for people or ``json``, one object a line, to standard error."""
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    if style == "json":
        structlog.configure(
            processors=[structlog.processors.add_log_level, stamp, _json_line],
            logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
            cache_logger_on_first_use=True,
        )
        return
    renderer: Any = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, renderer],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
