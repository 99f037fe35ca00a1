"""Lines, tables and progress for people at a terminal, for files, and for machines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TextIO

_EVERY_SECONDS = 0.5
_ON_A_TERMINAL_SECONDS = 0.1


class Out:
    """Where lines go. ``redraw`` writes over the line before, where that is possible."""

    def __init__(self, tell: Callable[[str], None], redraw: Callable[[str], None] | None = None) -> None:
        self.line = tell
        self.redraw = redraw

    @classmethod
    def to(cls, stream: TextIO) -> Out:
        def tell(line: str) -> None:
            print(line, file=stream, flush=True)

        def redraw(line: str) -> None:
            print(f"\r\x1b[K{line}", end="", file=stream, flush=True)

        return cls(tell, redraw if stream.isatty() else None)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Columns as wide as they need to be."""
        lines = [tuple(heads), *map(tuple, rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            self.line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


class ProgressLine:
    """Words now and then how far something is, how fast it goes and how long it still takes. One line, drawn again, on a
    terminal; else a line every half second.
    """

    def __init__(
        self, out: Out, *, unit: str = "events", as_json: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._unit = unit
        self._as_json = as_json
        self._clock = clock
        self._began = self._told = clock()
        self._drawn = False

    def __call__(self, about: Mapping[str, str | int], done: int, total: int) -> None:
        """What it is about (names and values; the first value is its name), how many are done, of how many."""
        now = self._clock()
        redraws = self._out.redraw is not None and not self._as_json
        if total == 0 or (done < total and now - self._told < (_ON_A_TERMINAL_SECONDS if redraws else _EVERY_SECONDS)):
            return
        self._told = now
        seconds = now - self._began
        rate = done / seconds if seconds > 0 else 0.0
        left = (total - done) / rate if rate else 0.0
        if self._as_json:
            members = {**about, "done": done, "total": total, "per_second": round(rate), "seconds_left": round(left)}
            self._out.line(json.dumps(members))
            return
        share = done / total
        name = next(iter(about.values()), "")
        counts = f"{done:,}/{total:,} {self._unit}  {rate:,.0f}/s  {left:,.0f} s left"
        text = f"{name}  [{'#' * round(share * 30):<30}] {share:6.1%}  {counts}"
        if self._out.redraw is not None:
            self._drawn = True
            self._out.redraw(text)
        else:
            self._out.line(text)

    def finish(self, line: str) -> None:
        """The last word."""
        self.leave()
        self._out.line(json.dumps({"finished": line}) if self._as_json else line)

    def leave(self) -> None:
        """Leaves the drawn line standing, so that the next one begins below."""
        if self._drawn:
            self._out.line("")
            self._drawn = False
