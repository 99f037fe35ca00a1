"""Refreshing: how many tokens per second, how punctual one worker is, and what a million idle connections cost."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import uvloop
from bench.report import percentile
from bench.server import fresh_database, running_server

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adapters.postgres.migrate import migrate
from adapters.postgres.refresh_queue import PostgresRefreshQueue
from adapters.workers.refreshing import RefreshWorker
from domain.connections.oauth import Client, Target
from domain.ids import new_id
from scripts.bench.refreshing import (
    Seeded,
    bench_node,
    cpu_seconds,
    family,
    mark,
    seed,
    seed_idle,
    settle_down,
    token_endpoint,
)
from scripts.torturing.refresh_node import APP, Node, utc_now

DESCRIPTION = """\
One process of the product (use cases, worker, event store, vault, read models; no web server), a provider in a process of its
own that answers after --latency, the embedded PostgreSQL with default durability. Every connection is an end user's with a key
of its own, in one of --projects projects.

  call         the provider's token endpoint through the product's OAuth client alone: the ceiling
  on demand    refreshes by whoever uses connections whose tokens have ended, --at-once at a time
  flat out     refreshes by the worker when everything is due at once
  at pace      the worker while --due connections come due evenly over an hour, for --seconds of it: how late their tokens
               were renewed
  compressed   the same at two thirds of the rate that the worker showed flat out
  idle         the time of a claim that finds nothing and the CPU of the waiting worker and of PostgreSQL, before and after
               --idle connections were added that nobody uses

What was measured at pace holds for the rest of the hour as far as its seconds are alike: that is derived, like the minutes that
say so. Of what came due, the last three seconds before the end do not count as missed. Lateness counts from the moment when a
connection was due, which is five minutes before its token ends."""
_CLAIMS = 300
_IDLE_SECONDS = 10.0
_SETTLING_SECONDS = 3.0
_LATE = """
select d.connection_id, extract(epoch from e.recorded_at - d.due_at) as late from bench_due d
join events e on e.tenant_id = d.tenant_id and e.stream_id = d.connection_id and e.topic = 'connection.token_refreshed'
"""


def main() -> int:
    options = parse()
    with running_server() as server, fresh_database(server, "refresh") as dsn:
        found = uvloop.run(measure(dsn, options))
    print(json.dumps(found) if options.json else "\n".join(f"{name:<56} {value}" for name, value in found.items()))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="how long each rate is measured (30)")
    parser.add_argument("--projects", type=int, default=50)
    parser.add_argument("--at-once", type=int, default=80)
    parser.add_argument("--due", type=int, default=100_000, help="connections that come due within an hour (100,000)")
    parser.add_argument("--idle", type=int, default=1_000_000, help="connections that nobody uses (1,000,000)")
    parser.add_argument("--latency", type=float, default=50, help="milliseconds before the provider answers (50)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    return parser.parse_args()


class Bench:
    def __init__(self, node: Node, postmaster: int, options: argparse.Namespace) -> None:
        self._node, self._postmaster, self._options = node, postmaster, options
        self._left: list[Seeded] = []
        self.found: dict[str, float | str] = {}

    async def run(self, projects: list[UUID]) -> None:
        self._left = await seed(self._node, projects, self._options.due)
        random.shuffle(self._left)
        await self._node.pool.execute("vacuum analyze")
        await self._call()
        await self._on_demand()
        await self._at_pace("at pace", self._options.due / 3600)
        rate = await self._flat_out()
        await self._at_pace("compressed", rate * 2 / 3)
        await self._idle("before")
        await seed_idle(self._node, projects[0], self._options.idle)
        await self._idle("after")

    async def _call(self) -> None:
        app, scheme = self._node.catalogue.scheme(APP, "oauth2")
        target = Target(app, scheme, Client("causeway", "a-secret-of-the-client"))

        async def call() -> bool:
            await self._node.oauth.refresh(target, refresh_token="call.1", scopes=("read",), seconds=30.0)
            return True

        await self._rate("call", call)

    async def _on_demand(self) -> None:
        async def use() -> bool:
            one = self._left.pop()
            usable = await self._node.refresher.usable(one.project_id, one.connection_id)
            return usable.version == 2

        await self._rate("on demand", use)

    async def _rate(self, name: str, do: Callable[[], Awaitable[bool]]) -> None:
        """Some callers, each of which begins again as soon as it has got its answer."""
        until, took, failed = time.perf_counter() + self._options.seconds, list[float](), 0

        async def caller() -> None:
            nonlocal failed
            while time.perf_counter() < until and len(self._left) > 1_000:
                begun = time.perf_counter()
                failed += not await do()
                took.append(time.perf_counter() - begun)

        used, begun = self._cpu(), time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(self._options.at_once)))
        self._tell(name, len(took) / (time.perf_counter() - begun), len(took), used)
        took.sort()
        self.found[f"{name}: p50 ms, p99 ms"] = f"{percentile(took, 0.5) * 1e3:.0f}, {percentile(took, 0.99) * 1e3:.0f}"
        if failed:
            self.found[f"{name}: wrong answers"] = failed

    async def _flat_out(self) -> float:
        number = min(len(self._left) // 2, int(self._options.seconds * 1_000))
        await self._due(number, [utc_now()] * number)
        used, begun = self._cpu(), time.perf_counter()
        await self._work(self._options.seconds)
        done = await self._done()
        rate = len(done) / (time.perf_counter() - begun)
        self._tell("flat out", rate, len(done), used)
        self.found["flat out: an hour's connections take, minutes (derived)"] = round(self._options.due / rate / 60, 1)
        return rate

    async def _at_pace(self, name: str, rate: float) -> None:
        """Marks everything that is left, and looks at what came due while it was measured."""
        start, number = utc_now() + timedelta(seconds=0.5), len(self._left)
        due_at = [start + timedelta(seconds=one / rate) for one in range(number)]
        await self._due(number, due_at)
        used = self._cpu()
        ended = await self._work(self._options.seconds)
        measured = sum(due < ended - timedelta(seconds=_SETTLING_SECONDS) for due in due_at)
        late = sorted(await self._done())
        self._tell(name, rate, len(late), used)
        self.found[f"{name}: waiting, due, renewed"] = f"{number:,}, {measured:,}, {len(late):,}"
        shown = ", ".join(f"{percentile(late, share):.2f}" for share in (0.5, 0.99, 1.0))
        self.found[f"{name}: late p50 s, p99 s, most s"] = shown

    async def _work(self, seconds: float) -> datetime:
        """Answers when the worker stopped looking for more."""
        worker = RefreshWorker(PostgresRefreshQueue(self._node.pool), self._node.refresher, utc_now)
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(seconds)
        running.cancel()
        ended = utc_now()
        await asyncio.gather(running, return_exceptions=True)
        await worker.finish()
        return ended

    async def _due(self, number: int, due_at: list[datetime]) -> None:
        chosen, pool = self._left[:number], self._node.pool
        await pool.execute("truncate bench_due")
        await pool.execute("truncate connection_marks")
        await mark(self._node, chosen, due_at)
        await pool.execute("insert into bench_due select tenant_id, connection_id, due_at from connection_marks")
        await pool.execute("analyze bench_due, connection_marks")

    async def _done(self) -> list[float]:
        """How late each token was renewed, in seconds; what was renewed is used up."""
        rows = await self._node.pool.fetch(_LATE)
        renewed = {row["connection_id"] for row in rows}
        self._left = [one for one in self._left if one.connection_id not in renewed]
        return [float(row["late"]) for row in rows]

    async def _idle(self, when: str) -> None:
        pool = self._node.pool
        await pool.execute(
            "update connection_marks set due_at = clock_timestamp() + interval '1 hour' where due_at is not null"
        )
        queue, took = PostgresRefreshQueue(pool), []
        for _ in range(_CLAIMS):
            begun = time.perf_counter()
            await queue.claim(40, [])
            took.append(time.perf_counter() - begun)
        took.sort()
        self.found[f"idle {when}: rows of credentials"] = await pool.fetchval("select count(*) from credentials")
        shown = f"{percentile(took, 0.5) * 1e3:.2f}, {percentile(took, 0.99) * 1e3:.2f}"
        self.found[f"idle {when}: claim p50 ms, p99 ms"] = shown
        await settle_down(self._node)
        await asyncio.sleep(_SETTLING_SECONDS)
        own, server = self._cpu()
        await self._work(_IDLE_SECONDS)
        now_own, now_server = self._cpu()
        shares = (100 * (now - then) / _IDLE_SECONDS for now, then in ((now_own, own), (now_server, server)))
        self.found[f"idle {when}: CPU of the worker %, of PostgreSQL %"] = ", ".join(f"{share:.2f}" for share in shares)

    def _cpu(self) -> tuple[float, float]:
        return time.process_time(), cpu_seconds(family(self._postmaster))

    def _tell(self, name: str, rate: float, number: int, used: tuple[float, float]) -> None:
        self.found[f"{name}: refreshes/s"] = round(rate, 1)
        shares = (1e3 * (now - then) / max(1, number) for now, then in zip(self._cpu(), used, strict=True))
        self.found[f"{name}: CPU ms each, here and PostgreSQL"] = ", ".join(f"{share:.2f}" for share in shares)


async def measure(dsn: str, options: argparse.Namespace) -> dict[str, float | str]:
    connection = await asyncpg.connect(dsn)
    await migrate(connection)
    await connection.execute(
        "create table bench_due (tenant_id uuid, connection_id uuid primary key, due_at timestamptz)"
    )
    backend = connection.get_server_pid()
    postmaster = int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])  # noqa: ASYNC240 - not a disk
    await connection.close()
    projects = [new_id() for _ in range(options.projects)]
    with tempfile.TemporaryDirectory() as folder:
        async with token_endpoint(options.latency, 3600) as url, bench_node(dsn, folder, url, projects) as node:
            bench = Bench(node, postmaster, options)
            await bench.run(projects)
            return bench.found


if __name__ == "__main__":
    sys.exit(main())
