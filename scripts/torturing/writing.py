"""A process that appends to hot streams until its time is up, then prints how many events were acknowledged.

python -m scripts.torturing.writing DSN WRITER SECONDS TENANT...
"""

import asyncio
import random
import sys
import time
from uuid import UUID, uuid5

import asyncpg

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import Pool, open_pool
from domain.events import Metadata
from domain.ids import new_id
from domain.ports import Append, Lost, StreamEvents
from scripts.torturing.marks import Marked

CALLERS = 8
HOT_STREAMS = 4
_VERSION = "select version from streams where tenant_id = $1 and stream_id = $2"
LONGEST = 5
"""Events per stream of an append."""


class Writer:
    """Appends of one to two streams and one to five events each; most of them meet other writers in hot streams."""

    def __init__(self, pool: Pool, writer: int, tenants: list[UUID]) -> None:
        self._pool = pool
        self._store = PostgresEventStore(pool)
        self._writer = writer
        self._tenants = tenants
        self._number = 0
        self.acknowledged: list[int] = []

    async def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._call_until(end) for _ in range(CALLERS)))
        await self._store.drain()

    async def _call_until(self, end: float) -> None:
        while time.monotonic() < end:
            tenant = random.choice(self._tenants)
            streams = [await self._hot(tenant)] if random.random() < 0.7 else []
            if not streams or random.random() < 0.3:
                streams.append(StreamEvents(new_id(), "torture", 0, self._events()))
            append = Append(
                tenant_id=tenant, streams=tuple(streams), metadata=Metadata(f"writer:{self._writer}", new_id())
            )
            try:
                await self._store.append(append)
            except Lost:
                continue
            except asyncpg.PostgresError:  # a mutant collides in every way; what is not acknowledged counts for nothing
                continue
            self.acknowledged += [event.number for stream in streams for event in stream.events]  # type: ignore[attr-defined]

    async def _hot(self, tenant: UUID) -> StreamEvents:
        stream_id = uuid5(tenant, f"hot {random.randrange(HOT_STREAMS)}")
        version = await self._pool.fetchval(_VERSION, tenant, stream_id) or 0
        return StreamEvents(stream_id, "torture", version, self._events())

    def _events(self) -> tuple[Marked, ...]:
        first, self._number = self._number, self._number + random.randint(1, LONGEST)
        return tuple(Marked(writer=self._writer, number=number) for number in range(first, self._number))


async def main(dsn: str, writer: int, seconds: float, tenants: list[UUID]) -> None:
    pool = await open_pool(dsn, size=4)
    working = Writer(pool, writer, tenants)
    try:
        await working.run(seconds)
    finally:
        await pool.close()
    print(" ".join(map(str, working.acknowledged)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), [UUID(tenant) for tenant in sys.argv[4:]]))
