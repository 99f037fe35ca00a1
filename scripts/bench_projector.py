"""The projector: what a claim costs beside many idle tenants, and a rebuild of a long history in little memory."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from uuid import uuid4

import msgspec
import uvloop
from bench.causeway import COUNTERS, TENANTS, Measured, NothingSealed, tenant_id
from bench.contenders import payload
from bench.report import percentile
from bench.server import fresh_database, running_server

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.migrate import migrate
from adapters.postgres.pool import Pool, open_pool
from domain.events import Metadata
from domain.ports import Append, StreamEvents, TenantKind
from projections.follower import Follower
from projections.generations import create_tables
from projections.projector import Projector
from projections.rebuild import Progress, Rebuild

DESCRIPTION = """\
  claim idle   a sweep that finds nothing to do, beside --tenants idle tenants (p50 and p99 of 300)
  claim one    a sweep that finds one tenant with one new event among them, and follows it
  rebuild      a new generation of one read model from --events events of one tenant, while nothing else runs:
               events per second, and this process's memory before, at its highest, and after

The server is the embedded PostgreSQL with default durability."""
_PER_APPEND = 5_000
_ROUNDS = 300


def main() -> int:
    parser = argparse.ArgumentParser(description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    options = parser.parse_args()
    with running_server() as server, fresh_database(server, "projector") as dsn:
        found = uvloop.run(measure(dsn, options.tenants, options.events))
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<28} {value}")
    return 0


async def measure(dsn: str, tenants: int, events: int) -> dict[str, str | float]:
    pool = await open_pool(dsn)
    async with pool.acquire() as connection:
        await migrate(connection)
        await create_tables(connection, [COUNTERS])
    store = PostgresEventStore(pool)
    for number in range(TENANTS):
        await store.append(append(number, opens=TenantKind.PROJECT))
    projector = Projector(pool, [COUNTERS], NothingSealed(), print)
    rebuild = Rebuild(pool, projector)
    await rebuild.run(COUNTERS)
    found = await claims(pool, store, Follower(pool, projector, print), tenants)
    found |= await rebuilding(store, rebuild, events)
    await store.drain()
    await pool.close()
    return found


def append(number: int, *streams: StreamEvents, opens: TenantKind | None = None) -> Append:
    metadata = Metadata("project_token:measured", uuid4())
    return Append(tenant_id=tenant_id(number), streams=streams, metadata=metadata, opens=opens)


def stream(events: int) -> StreamEvents:
    return StreamEvents(uuid4(), "measured", 0, tuple(Measured(payload=msgspec.Raw(payload(n))) for n in range(events)))


async def claims(pool: Pool, store: PostgresEventStore, follower: Follower, tenants: int) -> dict[str, str | float]:
    await pool.execute(
        "insert into tenant_heads (tenant_id, kind) select gen_random_uuid(), 'project' from generate_series(1, $1)",
        tenants,
    )
    await pool.execute(
        "insert into checkpoints (tenant_id, projection, generation, live)"
        " select h.tenant_id, g.projection, g.generation, true from tenant_heads h, projection_generations g"
        " where g.status = 'live' on conflict do nothing"
    )
    await pool.execute("analyze")

    async def nothing_to_do() -> None:
        await follower.sweep()

    async def one_to_do() -> None:
        await follower.sweep()

    async def prepare_one() -> None:
        await store.append(append(1, stream(1)))
        await pool.execute("update dirty set marked_at = clock_timestamp() - interval '1 hour'")

    while await follower.sweep():
        continue
    return {
        **await timed("claim idle", nothing_to_do),
        **await timed("claim one", one_to_do, prepare_one),
    }


async def timed(
    name: str, call: Callable[[], Awaitable[None]], before: Callable[[], Awaitable[None]] | None = None
) -> dict[str, str | float]:
    milliseconds = []
    for _ in range(_ROUNDS):
        if before:
            await before()
        started = time.perf_counter()
        await call()
        milliseconds.append((time.perf_counter() - started) * 1_000)
    ordered = sorted(milliseconds)
    return {f"{name} p50 ms": round(median(ordered), 2), f"{name} p99 ms": round(percentile(ordered, 0.99), 2)}


async def rebuilding(store: PostgresEventStore, rebuild: Rebuild, events: int) -> dict[str, str | float]:
    for start in range(0, events, _PER_APPEND):
        size = min(_PER_APPEND, events - start)
        await store.append(append(0, *(stream(100) for _ in range(size // 100))))
    before, highest = memory_mb(), 0.0

    def tell(progress: Progress) -> None:
        nonlocal highest
        highest = max(highest, memory_mb())

    started = time.perf_counter()
    await rebuild.run(COUNTERS, tell)
    seconds = time.perf_counter() - started
    return {
        "rebuild events": events,
        "rebuild events/s": round(events / seconds),
        "memory before MB": before,
        "memory highest MB": highest,
        "memory after MB": memory_mb(),
    }


def memory_mb() -> float:
    """Resident memory of this process now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * 4096 / 1e6, 1)


if __name__ == "__main__":
    sys.exit(main())
