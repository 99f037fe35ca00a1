"""Logs: one line each, libraries included, and a stream that breaks breaks nothing else."""

from __future__ import annotations

import io
import logging

import msgspec
import structlog

from adapters.logs import SteadyLines
from tests.own_logs import logs_of_its_own


def test_what_libraries_say_becomes_a_line_without_arguments_or_exceptions() -> None:
    with logs_of_its_own("json") as written:
        try:
            raise ValueError("planted-in-an-exception")
        except ValueError:
            logging.getLogger("some.library").exception("Trouble with %s\nplanted-below", "planted-argument")
    line = msgspec.json.decode(written.getvalue())
    assert (line["event"], line["library"], line["said"]) == ("library", "some.library", "Trouble with %s")
    assert (line["error"], line["level"]) == ("ValueError", "error")
    assert "planted" not in str(line)


def test_both_styles_write_a_line_each() -> None:
    for style in ("json", "console"):
        with logs_of_its_own(style) as written:
            structlog.get_logger("own").info("happened", number=7, text="Zoë \ud800")
        assert written.getvalue().count(b"\n") == 1
        assert b"happened" in written.getvalue()


class Breaking(io.BytesIO):
    """A stream that can be made to fail as a full disk does."""

    broken = False

    def write(self, line: bytes) -> int:  # type: ignore[override]
        if self.broken:
            raise OSError(28, "No space left on device")
        return super().write(line)


def test_lines_that_could_not_be_written_are_counted_and_told_later() -> None:
    stream = Breaking()
    lines = SteadyLines(stream)
    lines.write(b"one\n")
    stream.broken = True
    lines.write(b"two\n")
    lines.write(b"three\n")
    stream.broken = False
    lines.write(b"four\n")
    lines.write(b"five\n")
    assert stream.getvalue() == b'one\nfour\n{"event":"log_lines_lost","lines":2}\nfive\n'


def test_a_closed_stream_raises_nothing() -> None:
    stream = io.BytesIO()
    stream.close()
    SteadyLines(stream).write(b"one\n")
    assert stream.closed
