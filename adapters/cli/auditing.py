"""What scripts/replay_audit says: differences, read models as they were, and the history of a stream."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from uuid import UUID

from adapters.cli.progress import Out, ProgressLine
from adapters.cli.timeline import print_timeline
from adapters.cli.wording import counted, finding_in_words, json_line, shown, spelled
from projections.as_of import RowAsOf, rows_as_of
from projections.audit import Audit, Counted, SecondReader
from projections.findings import Finding
from projections.projection import Projection
from projections.reading import Pool
from projections.replay import VaultOn

SECOND_OPINION_UP_TO = 100_000
"""Events up to which an audit asks for a second opinion by itself: it takes longer than the first."""

OpenSecond = Callable[[], AbstractAsyncContextManager[SecondReader]]
_DESCRIPTION = (
    "Folds the whole history again and compares it with every read model, row by row, while the service runs. Prints what"
    " differs; the exit code is 1 if anything does."
)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/replay_audit", description=_DESCRIPTION)
    parser.add_argument("--tenant", type=_id, metavar="ID", help="only this tenant: a project's or company's id")
    parser.add_argument(
        "--as-of", type=_time, metavar="TIME", help="print the read models as they were at that time (ISO 8601; UTC)"
    )
    parser.add_argument("--stream", type=_id, metavar="ID", help="print the history of that stream, up to --as-of")
    parser.add_argument(
        "--second-opinion",
        action=argparse.BooleanOptionalAction,
        help="read everything a second time through the eventsourcing library's notification log"
        f" (by itself up to {SECOND_OPINION_UP_TO:,} events)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    return parser.parse_args(arguments)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError("an id has 36 characters, like 01a2055a-6ea7-702a-8df6-82bcb0d9a870") from None


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-11-22T20:15:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class Auditor:
    """Carries out what was asked, over an open pool; ``second`` is None where no second opinion can be had."""

    def __init__(
        self, pool: Pool, projections: Sequence[Projection], vault_on: VaultOn, second: OpenSecond | None
    ) -> None:
        self._pool = pool
        self._projections = projections
        self._vault_on = vault_on
        self._second = second

    async def run(self, chosen: argparse.Namespace, out: Out, aside: Out) -> int:
        """The exit code: 0 fine, 1 something differs or is not there, 2 the question makes no sense here. Progress and
        summary go ``aside``.
        """
        total = await self._pool.fetchval(
            "select sum(position)::bigint from tenant_heads where $1::uuid is null or tenant_id = $1", chosen.tenant
        )
        if chosen.tenant is not None and total is None:
            aside.line(f"scripts/replay_audit: there is no tenant {chosen.tenant}")
            return 2
        if chosen.stream is not None:
            return await self._stream(chosen, out, aside)
        if chosen.as_of is not None:
            return await self._as_of(chosen, out)
        wanted = chosen.second_opinion
        if wanted and self._second is None:
            aside.line(
                "scripts/replay_audit: a second opinion needs the database itself, not a transaction-mode pooler"
            )
            return 2
        if wanted is None:
            wanted = (total or 0) <= SECOND_OPINION_UP_TO
        if wanted and self._second is not None:
            async with self._second() as second:
                return await self._audit(chosen, total or 0, second, out, aside)
        return await self._audit(chosen, total or 0, None, out, aside)

    async def _audit(
        self, chosen: argparse.Namespace, total: int, second: SecondReader | None, out: Out, aside: Out
    ) -> int:
        audit = Audit(self._pool, self._projections, self._vault_on, second)
        line = ProgressLine(aside)
        audit.told = lambda done: line({"name": "audit"}, min(done.events, total), total)
        async for finding in audit.run(chosen.tenant):
            line.leave()
            out.line(json_line(finding) if chosen.json else finding_in_words(finding))
        line.leave()
        if chosen.json:
            out.line(json_line({"summary": audit.counted, "second_opinion": second is not None}))
        aside.line(_summary(audit.counted, second is not None))
        return 1 if audit.counted.findings else 0

    async def _stream(self, chosen: argparse.Namespace, out: Out, aside: Out) -> int:
        until = chosen.as_of or datetime.max.replace(tzinfo=UTC)
        if await print_timeline(self._pool, self._vault_on, chosen.stream, until, chosen.tenant, chosen.json, out):
            return 0
        aside.line(f"scripts/replay_audit: there is no stream {chosen.stream}")
        return 1

    async def _as_of(self, chosen: argparse.Namespace, out: Out) -> int:
        code = 0
        rows: list[RowAsOf] = []
        async for row in rows_as_of(self._pool, self._projections, self._vault_on, chosen.as_of, chosen.tenant):
            if isinstance(row, Finding):
                code = 1
                out.line(json_line(row) if chosen.json else finding_in_words(row))
            elif chosen.json:
                out.line(json_line(row))
            else:
                if rows and (rows[-1].tenant_id, rows[-1].table) != (row.tenant_id, row.table):
                    _print_table(rows, out)
                    rows = []
                rows.append(row)
        if rows:
            _print_table(rows, out)
        return code


def _print_table(rows: Sequence[RowAsOf], out: Out) -> None:
    first = rows[0]
    out.line(f"{first.projection} of tenant {first.tenant_id}: {first.table}")
    names = (*first.key, *first.values)
    out.table(
        [spelled(name) for name in names],
        [[shown(one) for one in (*row.key.values(), *row.values.values())] for row in rows],
    )
    out.line("")


def _summary(done: Counted, second: bool) -> str:
    found = counted(done.findings, "difference") if done.findings else "no difference"
    twice = ", read a second time through the eventsourcing library" if second else ""
    events, rows = counted(done.events, "event"), counted(done.rows, "row")
    return f"{counted(done.tenants, 'tenant')}, {events}{twice}, {rows} compared: {found}"
