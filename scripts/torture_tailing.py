"""Tailing: readers follow each tenant by position while processes write to hot streams; they may not miss a thing."""

import argparse
import asyncio
import sys
from uuid import UUID

import asyncpg

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import open_pool
from domain.events import Recorded
from domain.ids import new_id
from scripts.torturing.databases import migrated_database
from scripts.torturing.marks import Marked
from scripts.torturing.mutant import make_mutant
from scripts.torturing.verdict import Verdict, parser, run

READERS = 2
_OPEN = "insert into tenant_heads (tenant_id, kind) select unnest($1::uuid[]), 'project'"


class Reader:
    """Asks again and again for what comes after its checkpoint, like every consumer of the store."""

    def __init__(self, store: PostgresEventStore, tenant: UUID) -> None:
        self._store = store
        self.tenant = tenant
        self.checkpoint = 0
        self.seen: list[Recorded] = []
        self.gaps = 0

    async def run(self, written: asyncio.Event) -> None:
        while True:
            is_last = written.is_set()
            for one in await self._store.read_tenant(self.tenant, self.checkpoint, 500):
                self.gaps += one.position != self.checkpoint + 1
                self.checkpoint = one.position
                self.seen.append(one)
                is_last = False
            if is_last:
                return


async def write(dsn: str, writer: int, seconds: float, tenants: list[UUID]) -> set[tuple[int, int]]:
    """Runs a writing process; what was acknowledged to it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "scripts.torturing.writing",
        dsn,
        str(writer),
        str(seconds),
        *map(str, tenants),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the writing process {writer} broke")
    return {(writer, int(number)) for number in said.split()}


_MUTANT_ROUNDS = 10


async def torture(options: argparse.Namespace) -> Verdict:
    """Over a mutant: rounds until a reader has missed something, because that takes two commits in the wrong order."""
    verdict = await probe(options)
    if not options.mutant:
        return verdict
    for _ in range(_MUTANT_ROUNDS):
        if any(" missed " in violation for violation in verdict.violations):
            break
        verdict = await probe(options)
    return turned_round(verdict)


async def probe(options: argparse.Namespace) -> Verdict:
    verdict = Verdict("tailing, without the head lock" if options.mutant else "tailing")
    tenants = [new_id() for _ in range(options.tenants)]
    async with migrated_database(options.server) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute(_OPEN, tenants)
        if options.mutant:
            await make_mutant(connection, tenants)
        pool = await open_pool(dsn)
        readers = [Reader(PostgresEventStore(pool), tenant) for tenant in tenants for _ in range(READERS)]
        written = asyncio.Event()
        reading = asyncio.gather(*(reader.run(written) for reader in readers))
        acknowledged = await asyncio.gather(
            *(write(dsn, writer, options.seconds, tenants) for writer in range(options.writers))
        )
        written.set()
        await reading
        stored = {tenant: set(await _stored(connection, tenant)) for tenant in tenants}
        disordered = await connection.fetchval(_DISORDERED)
        await pool.close()
        await connection.close()
    judge(verdict, readers, set().union(*acknowledged), stored, disordered)
    return verdict


def turned_round(probe: Verdict) -> Verdict:
    """Over a mutant the probe has to find something: that readers missed events."""
    verdict = Verdict(probe.title)
    verdict.did = probe.did
    verdict.did["broken promises noticed"] = len(probe.violations)
    verdict.check(any(" missed " in violation for violation in probe.violations), "the probe did not catch the mutant")
    return verdict


async def _stored(connection: asyncpg.Connection, tenant: UUID) -> list[tuple[int, UUID, int]]:
    rows = await connection.fetch("select position, stream_id, version from events where tenant_id = $1", tenant)
    return [(row[0], row[1], row[2]) for row in rows]


_DISORDERED = """
select count(*) from (
    select version - lag(version, 1, 0) over (partition by tenant_id, stream_id order by position) as step,
        recorded_at < lag(recorded_at) over (partition by tenant_id order by position) as backwards
    from events
) e where step <> 1 or backwards
"""


def judge(
    verdict: Verdict,
    readers: list[Reader],
    acknowledged: set[tuple[int, int]],
    stored: dict[UUID, set[tuple[int, UUID, int]]],
    disordered: int,
) -> None:
    verdict.did["events stored"] = sum(map(len, stored.values()))
    verdict.did["events acknowledged"] = len(acknowledged)
    verdict.did["events read by tailing readers"] = sum(len(reader.seen) for reader in readers)
    for reader in readers:
        seen = {(one.position, one.stream_id, one.version) for one in reader.seen}
        missed = len(stored[reader.tenant] - seen)
        verdict.check(missed == 0, f"a reader of tenant {reader.tenant} missed {missed:,} events")
        verdict.check(reader.gaps == 0, f"a reader of tenant {reader.tenant} met {reader.gaps:,} gaps in the positions")
        verdict.check(len(seen) == len(reader.seen), f"a reader of tenant {reader.tenant} read events twice")
    for tenant, events in stored.items():
        positions = sorted(position for position, _, _ in events)
        verdict.check(positions == list(range(1, len(events) + 1)), f"tenant {tenant} has gaps in its positions")
    marks = [
        (one.event.writer, one.event.number)
        for reader in {reader.tenant: reader for reader in readers}.values()
        for one in reader.seen
        if isinstance(one.event, Marked)
    ]
    lost = len(acknowledged - set(marks))
    verdict.check(lost == 0, f"{lost:,} acknowledged events were not read")
    verdict.check(len(marks) == len(set(marks)), "events were stored twice")
    verdict.check(disordered == 0, f"{disordered:,} events are not in the order of their versions and times")
    verdict.check(bool(marks) and bool(acknowledged), "nothing was written")


def main(arguments: list[str]) -> int:
    options = parser("tailing", __doc__ or "", seconds=20)
    options.add_argument("--writers", type=int, default=3, help="writing processes (3)")
    options.add_argument("--tenants", type=int, default=2, help="tenants that all write to (2)")
    options.add_argument("--server", help="address of a PostgreSQL's database 'causeway', where databases may be made")
    options.add_argument("--mutant", action="store_true", help="without the head lock: the probe must catch it")
    return run(torture, options.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
