"""Rebuilding read models: what scripts/rebuild says, and the rebuild at a start that brings new folds."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence

from adapters.cli.progress import Out, ProgressLine
from projections.generations import GenerationRow, create_tables, list_generations, outdated, resume_stopped, stopped
from projections.projection import Projection
from projections.reading import Pool
from projections.rebuild import Progress, Rebuild, Superseded, Tell

_DESCRIPTION = (
    "Folds the history again into a new generation of a read model, while the service runs; it takes over tenant by tenant."
    " The generation before is kept. May be stopped with Ctrl-C at any moment: the same command goes on."
)


def parse(arguments: Sequence[str], projections: Sequence[Projection]) -> argparse.Namespace:
    """Exits with 2 and one line when a projection is unknown or nothing is asked for."""
    names = [projection.name for projection in projections]
    parser = argparse.ArgumentParser(prog="scripts/rebuild", description=_DESCRIPTION)
    parser.add_argument("projection", nargs="?", metavar="PROJECTION", help=f"one of {', '.join(names)}")
    parser.add_argument("--all", action="store_true", help="every read model, one after the other")
    parser.add_argument(
        "--roll-back", metavar="PROJECTION", help="bring the generation that was kept up to date and back"
    )
    parser.add_argument("--list", action="store_true", help="generations, who is served by them, and how far they are")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    chosen = parser.parse_args(arguments)
    if sum((chosen.projection is not None, chosen.all, chosen.roll_back is not None, chosen.list)) != 1:
        parser.exit(2, f"scripts/rebuild: say one of PROJECTION ({', '.join(names)}), --all, --roll-back, --list\n")
    for name in (chosen.projection, chosen.roll_back):
        if name is not None and name not in names:
            parser.exit(2, f"scripts/rebuild: there is no read model {name!r}; there are {', '.join(names)}\n")
    return chosen


async def rebuild(
    rebuild: Rebuild, pool: Pool, projections: Sequence[Projection], chosen: argparse.Namespace, out: Out
) -> int:
    """Does what was asked; the exit code is 1 when something could not be brought to life."""
    if chosen.list:
        async with pool.acquire() as connection:
            _print_list(await list_generations(connection, projections), chosen.json, out)
        return 0
    wanted = [p for p in projections if chosen.all or p.name in (chosen.projection, chosen.roll_back)]
    for projection in wanted:
        line = ProgressLine(out, as_json=chosen.json)
        try:
            run = rebuild.roll_back if chosen.roll_back else rebuild.run
            generation = await run(projection, _telling(line))
        except asyncio.CancelledError:
            line.leave()
            print("stopped: the same command goes on from here", file=sys.stderr)
            raise
        except (LookupError, Superseded) as reason:
            out.line(json.dumps({"projection": projection.name, "error": str(reason)}) if chosen.json else str(reason))
            return 1
        line.finish(f"{projection.name}: generation {generation} serves")
    return await _report_stopped(pool, wanted, chosen.json, out)


def _telling(line: ProgressLine) -> Tell:
    def tell(progress: Progress) -> None:
        about: dict[str, str | int] = {"projection": progress.projection, "generation": progress.generation}
        line(about, progress.done, progress.total)

    return tell


async def _report_stopped(pool: Pool, wanted: Sequence[Projection], as_json: bool, out: Out) -> int:
    names = {projection.name for projection in wanted}
    async with pool.acquire() as connection:
        found = [row for row in await stopped(connection) if row[0] in names]
    for projection, tenant, why in found:
        if as_json:
            out.line(json.dumps({"projection": projection, "tenant": tenant, "stopped": why}))
        else:
            out.line(f"{projection} of tenant {tenant} has stopped at {why}")
    return 1 if found else 0


def _print_list(rows: Sequence[GenerationRow], as_json: bool, out: Out) -> None:
    if as_json:
        for row in rows:
            members = {name: getattr(row, name) for name in row.__struct_fields__}
            out.line(json.dumps({**members, "created_at": row.created_at.isoformat()}))
        return
    heads = ("read model", "generation", "status", "fed by", "tenants", "serving", "events behind", "stopped", "made")
    cells = [
        (
            row.projection,
            str(row.generation),
            row.status,
            "this program" if row.own_code else "other code",
            f"{row.tenants:,}",
            f"{row.serving:,}",
            f"{row.behind:,}",
            f"{row.stopped:,}",
            f"{row.created_at:%Y-%m-%d %H:%M:%S}",
        )
        for row in rows
    ]
    out.table(heads, cells)


async def make_tables(pool: Pool, projections: Sequence[Projection]) -> None:
    async with pool.acquire() as connection:
        await create_tables(connection, projections)


async def bring_up_to_date(
    rebuild: Rebuild, pool: Pool, projections: Sequence[Projection], tell: Callable[[str], None]
) -> None:
    """Makes missing tables, lets what has stopped try again and rebuilds what other code fed; nothing is told where there
    is nothing to fold.
    """
    async with pool.acquire() as connection:
        await create_tables(connection, projections)
        await resume_stopped(connection, projections)
        stale = await outdated(connection, projections)
    for projection in stale:
        line = ProgressLine(Out(tell))
        await rebuild.run(projection, _telling(line))
