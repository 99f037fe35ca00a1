"""One structured line per happening, for people (console) or machines (json), without anybody's secrets."""

from __future__ import annotations

import logging
import sys
from typing import Any, BinaryIO, cast

import msgspec
import structlog

_encoder = msgspec.json.Encoder(enc_hook=repr)


def _json_line(logger: object, name: str, event: structlog.typing.EventDict) -> bytes:
    try:
        return _encoder.encode(event)
    except UnicodeEncodeError:  # half a character somewhere
        return _encoder.encode({name: ascii(value) for name, value in event.items()})


def _text_line(renderer: Any) -> structlog.typing.Processor:
    def render(logger: object, name: str, event: structlog.typing.EventDict) -> bytes:
        return str(renderer(logger, name, event)).encode("utf-8", "backslashreplace")

    return render


def configure_logs(style: str) -> None:
    """``console`` for people or ``json``, one object a line, to standard error; what libraries say comes along."""
    renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)
    lines = cast(BinaryIO, SteadyLines(sys.stderr.buffer))
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _json_line if style == "json" else _text_line(renderer),
        ],
        logger_factory=structlog.BytesLoggerFactory(lines),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [LibraryLines()]
    root.setLevel(logging.WARNING)


class SteadyLines:
    """Lines to a stream that may break (a full disk, a reader that went away): requests are answered all the same, and
    the first line that can be written again is followed by how many could not.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lost = 0

    def write(self, line: bytes) -> None:
        try:
            self._stream.write(line)
            self._stream.flush()
            if self._lost:
                self._stream.write(b'{"event":"log_lines_lost","lines":%d}\n' % self._lost)
                self._lost = 0
        except (OSError, ValueError):
            self._lost += 1

    def flush(self) -> None:
        """Every line is flushed when it is written."""


class LibraryLines(logging.Handler):
    """What libraries log, as our lines: who, and the first line of the message before anything is filled in. Arguments,
    exceptions and the rest of the message are left out: they may repeat what callers sent.
    """

    def emit(self, record: logging.LogRecord) -> None:
        said = str(record.msg).partition("\n")[0][:200]
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        log = structlog.get_logger("library")
        log.log(record.levelno, "library", library=record.name, said=said, **({"error": error} if error else {}))
