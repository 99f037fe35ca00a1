"""Runs cells: every contender in a fresh database of one server, round by round in turn, and prints what came out."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import psycopg

from bench.contenders import ALL, OURS, Entry
from bench.driver import Driver, DriverError
from bench.report import Row, Sample, as_json, ratio_lines, table
from bench.server import fresh_database, running_server, sync_time_ms

CONNECTIONS = 16
_FACTS = ["fsync", "synchronous_commit", "full_page_writes", "wal_sync_method"]


@dataclass(frozen=True)
class Team:
    """One contender in one cell: its database and its driving processes."""

    entry: Entry
    dsn: str
    drivers: Sequence[Driver]

    def query(self, statement: str) -> int:
        """The single number that a statement answers from this contender's database."""
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(statement).fetchone()
        return int(row[0]) if row else 0

    def analyze(self) -> None:
        """Fresh planner statistics, so that the luck of the autovacuum decides nothing."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("ANALYZE")


class Cell(Protocol):
    """One comparison; `kind` selects the contenders that take part in it."""

    name: str
    kind: str
    processes: int

    def prepare(self, team: Team) -> None:
        """What comes once before the rounds and is not measured."""

    def measure(self, team: Team) -> Sample:
        """One round."""

    def verify(self, team: Team) -> None:
        """Raise DriverError when the contender has not stored what it said."""


def parser(description: str, cells: Sequence[str]) -> argparse.ArgumentParser:
    """The options that all programs share."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [entry.name for entry in ALL]
    options.add_argument("--seconds", type=float, default=5, help="length of a measured round (default 5)")
    options.add_argument("--warm-up", type=float, default=1, help="seconds before each round, not counted (default 1)")
    options.add_argument("--rounds", type=int, default=3, help="rounds, of which medians are taken (default 3)")
    options.add_argument("--only", metavar="NAME,...", help=f"contenders to measure, of: {', '.join(names)}")
    options.add_argument("--cells", metavar="NAME,...", help=f"cells to measure, of: {', '.join(cells)}")
    options.add_argument("--base", choices=names, default=OURS, help=f"whose figures are compared (default {OURS})")
    options.add_argument("--dsn", help="use this PostgreSQL instead of a fresh one; databases bench_* are made there")
    options.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return options


def chosen(wanted: str | None, known: Sequence[str], what: str) -> list[str]:
    """The names in a comma-separated option, all when it is not given; an unknown one ends the program."""
    names = wanted.split(",") if wanted else list(known)
    for name in names:
        if name not in known:
            sys.exit(f"no {what} is called {name}; there are: {', '.join(known)}")
    return names


def _present(only: str | None, kinds: set[str]) -> list[Entry]:
    names = chosen(only, [entry.name for entry in ALL], "contender")
    wanted = [entry for entry in ALL if entry.name in names and entry.kinds & kinds]
    for entry in wanted:
        if reason := entry.missing():
            print(f"{entry.name} contender: {reason}", file=sys.stderr)
    return [entry for entry in wanted if entry.missing() is None]


def _facts(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        settings = {}
        for name in ["server_version", *_FACTS]:
            row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
            settings[name] = row[0] if row else "?"
    version = settings.pop("server_version")
    return ", ".join([f"PostgreSQL {version}", *(f"{k} {v}" for k, v in settings.items()), f"{os.cpu_count()} CPUs"])


def _team(stack: ExitStack, server: str, entry: Entry, processes: int) -> Team:
    dsn = stack.enter_context(fresh_database(server, f"bench_{entry.name.replace('-', '_')}"))
    drivers = [stack.enter_context(Driver(entry)) for _ in range(processes)]
    drivers[0].ask("install", dsn=dsn)
    for driver in drivers:
        driver.ask("open", dsn=dsn, connections=max(1, CONNECTIONS // processes))
    return Team(entry, dsn, drivers)


def _compare(server: str, cell: Cell, entries: Sequence[Entry], rounds: int) -> list[Row]:
    with ExitStack() as stack:
        teams = [_team(stack, server, entry, cell.processes) for entry in entries if cell.kind in entry.kinds]
        for team in teams:
            cell.prepare(team)
        samples: list[list[Sample]] = [[] for _ in teams]
        for _ in range(rounds):
            for team, measured in zip(teams, samples, strict=True):
                measured.append(cell.measure(team))
        for team in teams:
            cell.verify(team)
            for driver in team.drivers:
                driver.ask("close")
        return [Row(cell.name, team.entry.name, measured) for team, measured in zip(teams, samples, strict=True)]


def run(cells: Sequence[Cell], options: argparse.Namespace) -> int:
    """Measure, print, and return the exit code: 1 when a contender or the server failed."""
    entries = _present(options.only, {cell.kind for cell in cells})
    if not entries:
        print("there is nothing to measure", file=sys.stderr)
        return 1
    rows: list[Row] = []
    try:
        with running_server(options.dsn) as server:
            facts = _facts(server)
            if options.dsn is None:
                facts += f", a synced 8 kB write takes {sync_time_ms():.2f} ms"
            if not options.json:
                print(f"{facts}; {options.rounds} rounds of {options.seconds:g} s\n{table([])}", flush=True)
            for cell in cells:
                measured = _compare(server, cell, entries, options.rounds)
                rows.extend(measured)
                if not options.json:
                    print(table(measured, heading=False), flush=True)
    except (DriverError, psycopg.Error) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(as_json(rows, options.base, facts), indent=2))
    elif lines := ratio_lines(rows, options.base):
        print(f"\n{lines}")
    return 0
