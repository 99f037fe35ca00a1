"""Samples become rows, rows become an aligned table, JSON and ratios."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

_COLUMNS = ["cell", "contender", "per second", "min..max", "p50 ms", "min..max", "p99 ms"]
_WIDTHS = [24, 14, 11, 18, 8, 14, 8]


@dataclass(frozen=True)
class Sample:
    """One round: things per second and, where single calls were timed, their latencies in milliseconds."""

    per_second: float
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True)
class Row:
    """All rounds of one contender in one cell."""

    cell: str
    contender: str
    samples: Sequence[Sample]

    def values(self, field: str) -> list[float]:
        return [value for sample in self.samples if (value := getattr(sample, field)) is not None]

    def median(self, field: str) -> float | None:
        values = self.values(field)
        return median(values) if values else None


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0..1) of the ordered values do not exceed."""
    return ordered[max(0, ceil(len(ordered) * share) - 1)]


def sample_of(latencies_us: Sequence[int], seconds: float) -> Sample:
    """The sample of a window of `seconds`; raises ValueError when nothing ended inside it."""
    if not latencies_us:
        raise ValueError(f"nothing ended within {seconds} seconds")
    ordered = sorted(latencies_us)
    return Sample(len(ordered) / seconds, percentile(ordered, 0.5) / 1_000, percentile(ordered, 0.99) / 1_000)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _range(values: Sequence[float]) -> str:
    return f"{_number(min(values))}..{_number(max(values))}" if values else "-"


def table(rows: Sequence[Row], *, heading: bool = True) -> str:
    """Medians over the rounds with their smallest and largest values, aligned."""
    lines = [_COLUMNS] if heading else []
    for row in rows:
        rates, middles = row.values("per_second"), row.values("p50_ms")
        lines.append(
            [
                row.cell,
                row.contender,
                _number(row.median("per_second")),
                _range(rates),
                _number(row.median("p50_ms")),
                _range(middles),
                _number(row.median("p99_ms")),
            ]
        )
    return "\n".join("  ".join(_aligned(line)).rstrip() for line in lines)


def _aligned(line: Sequence[str]) -> list[str]:
    padded = zip(line, _WIDTHS, strict=True)
    return [cell.ljust(width) if n < 2 else cell.rjust(width) for n, (cell, width) in enumerate(padded)]


def ratios(rows: Sequence[Row], base: str) -> list[dict[str, str | float | None]]:
    """For each cell and other contender: base's rate over its rate, and base's median time over its median time."""
    found = []
    for ours in (row for row in rows if row.contender == base):
        for peer in (row for row in rows if row.cell == ours.cell and row.contender != base):
            time, peer_time = ours.median("p50_ms"), peer.median("p50_ms")
            found.append(
                {
                    "cell": ours.cell,
                    "contender": base,
                    "against": peer.contender,
                    "rate": _over(ours.median("per_second"), peer.median("per_second")),
                    "p50_time": _over(time, peer_time),
                }
            )
    return found


def _over(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours is not None and theirs else None


def ratio_lines(rows: Sequence[Row], base: str) -> str:
    """The ratios as sentences."""
    lines = []
    for ratio in ratios(rows, base):
        line = f"{ratio['cell']}: {base} has {ratio['rate']:.2f} times the rate of {ratio['against']}"
        if ratio["p50_time"] is not None:
            line += f" and takes {ratio['p50_time']:.2f} times its p50 time"
        lines.append(line)
    return "\n".join(lines)


def as_json(rows: Sequence[Row], base: str, facts: str) -> dict[str, object]:
    """Everything that was measured, for machines."""
    measured = [
        {
            "cell": row.cell,
            "contender": row.contender,
            **{
                field: {"median": row.median(field), "min": min(row.values(field)), "max": max(row.values(field))}
                for field in ("per_second", "p50_ms", "p99_ms")
                if row.values(field)
            },
        }
        for row in rows
    ]
    return {"server": facts, "rows": measured, "ratios": ratios(rows, base)}
