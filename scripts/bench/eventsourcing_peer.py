"""The eventsourcing library: PostgresApplicationRecorder with its table lock, and its ProjectionRunner."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from uuid import UUID

import msgspec
import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import DomainEvent
from eventsourcing.persistence import StoredEvent, Tracking
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.utils import get_topic

from bench.contenders import READ_TABLES, Payload, ThreadedContender

_EVENTS = "measurements_events"  # the name that the library gives to the table of the application below

_COUNT = """
INSERT INTO public.read_model AS r (stream, events, last_value, updated_at_ms) VALUES (%s, 1, %s, %s)
ON CONFLICT (stream) DO UPDATE SET
    events = r.events + 1, last_value = excluded.last_value, updated_at_ms = excluded.updated_at_ms
"""


@dataclass(frozen=True)
class Measured(DomainEvent):
    """The event of the measurements as the library's own kind of event, in the library's own JSON."""

    value: int
    at_ms: int
    text: str


class Measurements(Application[UUID]):
    """The application whose events are projected."""


class Counters(PostgresTrackingRecorder):
    """The read model; its row and the tracking record are stored in one transaction, as the library asks."""

    def count(self, event: Measured, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(_COUNT, (event.originator_id, event.value, event.at_ms), prepare=True)
            self._insert_tracking(cursor, tracking)


class CounterProjection(Projection[Counters]):
    """The shared fold, event by event: the library hands out no batches."""

    name = "counters"

    def process_event(self, domain_event: Measured, tracking: Tracking) -> None:
        self.view.count(domain_event, tracking)


class EventSourcing(ThreadedContender):
    """The recorder for appends; application, mapper and runner for everything that decodes."""

    async def install(self, dsn: str) -> None:
        datastore = PostgresDatastore(**_arguments(dsn), pool_size=1)
        PostgresApplicationRecorder(datastore, events_table_name=_EVENTS).create_table()
        datastore.close()

    async def open(self, dsn: str, connections: int) -> None:
        self._dsn = dsn
        self._datastore = PostgresDatastore(**_arguments(dsn), pool_size=connections, connect_timeout=30)
        self._recorder = PostgresApplicationRecorder(self._datastore, events_table_name=_EVENTS)
        self._recorder.create_table()
        self._topic = get_topic(Measured)
        names = {f"POSTGRES_{key.upper()}": str(value) for key, value in _arguments(dsn).items()}
        self._env = {"PERSISTENCE_MODULE": "eventsourcing.postgres"} | names
        self._application = Measurements(self._env)

    def append_now(self, stream: UUID, tenant: int, expected_version: int, payload: bytes) -> None:
        self._recorder.insert_events([StoredEvent(stream, expected_version + 1, self._topic, payload)])

    async def seed(self, tenant: int, streams: Mapping[UUID, Sequence[bytes]]) -> None:
        to_stored_event = self._application.mapper.to_stored_event
        self._recorder.insert_events(
            [
                to_stored_event(_measured(stream, version, data))
                for stream, events in streams.items()
                for version, data in enumerate(events, start=1)
            ]
        )

    async def load(self, stream: UUID, tenant: int) -> int:
        return sum(1 for _ in self._application.events.get(stream))

    async def project(self, tenant: int, seconds: float) -> tuple[int, float]:
        return await asyncio.to_thread(self._project, seconds)

    def _project(self, seconds: float) -> tuple[int, float]:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(READ_TABLES)
            connection.execute("DROP TABLE IF EXISTS counters_tracking")
            last = self._recorder.max_notification_id()
            started = perf_counter()
            with ProjectionRunner(
                application_class=Measurements,
                projection_class=CounterProjection,
                view_class=Counters,
                env=self._env,
            ) as runner:
                # The runner's own wait polls up to every 0.8 s, which would be counted against it.
                while perf_counter() - started < seconds and not runner.is_interrupted.wait(0.05):
                    if runner.view.has_tracking_id(Measurements.name, last):
                        break
                done = connection.execute("SELECT coalesce(sum(events), 0)::bigint FROM read_model").fetchone()
                elapsed = perf_counter() - started
        return (done[0] if done else 0), elapsed

    async def close(self) -> None:
        self._application.close()
        self._datastore.close()


def _measured(stream: UUID, version: int, data: bytes) -> Measured:
    event = msgspec.json.decode(data, type=Payload)
    return Measured(stream, version, Measured.create_timestamp(), event.value, event.at_ms, event.text)


def _arguments(dsn: str) -> dict[str, str]:
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    defaults = {"host": "localhost", "port": "5432", "password": ""}
    return defaults | {key: str(value) for key, value in parts.items()}
