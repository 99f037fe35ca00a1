"""Causeway's own store and projector, through the same classes that the service uses."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.migrate import migrate
from adapters.postgres.pool import open_pool
from bench.contenders import Contender, Payload
from domain.events import Event, Metadata, Recorded, Reveal
from domain.ports import Append, StreamEvents, TenantKind
from projections.generations import create_tables
from projections.projection import Projection, unknown
from projections.projector import Projector
from projections.rows import Rows
from projections.tables import Table

TENANTS = 64
_SEED_STREAMS = 50


class Measured(Event, frozen=True):
    """The measured event. Its payload arrives as JSON, as it does at the peers."""

    TOPIC = "measured.happened"
    payload: msgspec.Raw


READ_MODEL = Table(
    "read_model",
    key={"stream": "uuid"},
    columns={"events": "bigint", "last_value": "bigint", "updated_at_ms": "bigint"},
)
_decode = msgspec.json.Decoder(Payload).decode


def fold(rows: Rows, recorded: Recorded, reveal: Reveal) -> None:
    match recorded.event:
        case Measured(payload=payload):
            event = _decode(payload)
            rows.put(
                READ_MODEL,
                (recorded.stream_id,),
                events=recorded.version,
                last_value=event.value,
                updated_at_ms=event.at_ms,
            )
        case _:
            raise unknown(recorded)


COUNTERS = Projection(
    name="counters",
    kinds=frozenset({TenantKind.PROJECT}),
    reads=frozenset({"measured"}),
    tables=(READ_MODEL,),
    fold=fold,
)


class NothingSealed:
    """The measured events hold nothing personal."""

    async def revealer(self, recorded: Sequence[Recorded]) -> Reveal:
        return str


def tenant_id(number: int) -> UUID:
    return uuid5(NAMESPACE_OID, f"tenant {number}")


class Causeway(Contender):
    """PostgresEventStore.append and read_stream; Projector.catch_up from the first event on."""

    async def install(self, dsn: str) -> None:
        pool = await open_pool(dsn)
        async with pool.acquire() as connection:
            await migrate(connection)
        store = PostgresEventStore(pool)
        for number in range(TENANTS):
            await store.append(
                Append(tenant_id=tenant_id(number), streams=(), metadata=_metadata(), opens=TenantKind.PROJECT)
            )
        await pool.close()

    async def open(self, dsn: str, connections: int) -> None:
        self._pool = await open_pool(dsn, size=connections)
        self._store = PostgresEventStore(self._pool)

    async def append(self, stream: UUID, tenant: int, expected_version: int, payload: bytes) -> None:
        events = StreamEvents(stream, "measured", expected_version, (Measured(payload=msgspec.Raw(payload)),))
        await self._store.append(Append(tenant_id=tenant_id(tenant), streams=(events,), metadata=_metadata()))

    async def seed(self, tenant: int, streams: Mapping[UUID, Sequence[bytes]]) -> None:
        appends = [
            StreamEvents(stream, "measured", 0, tuple(Measured(payload=msgspec.Raw(one)) for one in events))
            for stream, events in streams.items()
        ]
        for start in range(0, len(appends), _SEED_STREAMS):
            some = tuple(appends[start : start + _SEED_STREAMS])
            await self._store.append(Append(tenant_id=tenant_id(tenant), streams=some, metadata=_metadata()))

    async def load(self, stream: UUID, tenant: int) -> int:
        return len(await self._store.events_of(tenant_id(tenant), stream))

    async def project(self, tenant: int, seconds: float) -> tuple[int, float]:
        """All of it, whatever ``seconds`` says: catching up does not stop half-way."""
        async with self._pool.acquire() as connection:
            await connection.execute("drop table if exists read_model; delete from checkpoints;")
            await connection.execute("delete from projection_generations")
            await create_tables(connection, [COUNTERS])
            await connection.execute(
                "insert into projection_generations (projection, generation, code_hash, tables, status)"
                " values ('counters', 1, $1, $2, 'live')",
                COUNTERS.code_hash,
                COUNTERS.table_names,
            )
        projector = Projector(self._pool, [COUNTERS], NothingSealed(), print)
        started = perf_counter()
        reached = await projector.catch_up([tenant_id(tenant)])
        return reached[tenant_id(tenant)], perf_counter() - started

    async def close(self) -> None:
        await self._pool.close()


def _metadata() -> Metadata:
    return Metadata("project_token:measured", uuid4())
