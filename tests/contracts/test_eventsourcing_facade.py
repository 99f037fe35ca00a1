"""The eventsourcing library's tools on our history: through our recorders, and through its own over the tenant's view."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from eventsourcing.application import LocalNotificationLog
from eventsourcing.compressor import ZlibCompressor
from eventsourcing.persistence import (
    DataError,
    EventStore,
    IntegrityError,
    JSONTranscoder,
    MapperDeserialisationError,
    OperationalError,
    ProgrammingError,
    StoredEvent,
    Tracking,
)
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from adapters.postgres.blocking import EventLoopThread
from adapters.postgres.eventsourcing_facade import TenantApplicationRecorder, TenantTrackingRecorder
from adapters.postgres.eventsourcing_mapper import EventMapper, Originated
from domain.event_codec import decode_event
from domain.ids import new_id
from domain.ports import TenantKind
from tests.sample_events import Counted, append, on


@pytest.fixture(scope="module")
def thread(shared_dsn: str) -> Iterator[EventLoopThread]:
    with EventLoopThread(shared_dsn) as thread:
        yield thread


@pytest.fixture
def tenant(thread: EventLoopThread) -> UUID:
    """A tenant with a history: two streams, five events."""
    tenant = new_id()
    first, second = new_id(), new_id()
    for one in (on(first, 0, 1, 2), on(second, 0, 3), on(first, 2, 4), on(second, 1, 5)):
        thread.run(thread.store.append(append(tenant, one, opens=TenantKind.PROJECT)))
    thread.run(thread.store.append(append(new_id(), on(first, 0, 99), opens=TenantKind.PROJECT)))
    return tenant


@pytest.fixture
def recorder(thread: EventLoopThread, tenant: UUID) -> TenantApplicationRecorder:
    return TenantApplicationRecorder(thread, tenant)


def test_what_our_store_wrote_reads_as_notifications(
    thread: EventLoopThread, tenant: UUID, recorder: TenantApplicationRecorder
) -> None:
    ours = thread.run(thread.store.read_tenant(tenant))
    theirs = recorder.select_notifications(None, 100)
    assert [(one.id, one.originator_id, one.originator_version, one.topic) for one in theirs] == [
        (one.position, one.stream_id, one.version, one.event.TOPIC) for one in ours
    ]
    assert [decode_event(one.topic, one.state) for one in theirs] == [one.event for one in ours]
    assert recorder.max_notification_id() == 5


def test_what_the_library_wrote_reads_as_our_events(
    thread: EventLoopThread, tenant: UUID, recorder: TenantApplicationRecorder
) -> None:
    events: EventStore[UUID] = EventStore(EventMapper(), recorder)
    stream = new_id()
    written = [Originated(stream, number, Counted(number=number, note="é")) for number in (1, 2, 3)]
    assert [one.notification.id for one in events.put(written)] == [6, 7, 8]
    assert list(events.get(stream, gt=1)) == written[1:]
    read = thread.run(thread.store.read_stream(tenant, stream))
    assert [one.event for one in read] == [one.event for one in written]
    assert {one.metadata.actor for one in read} == {"library:eventsourcing"}
    assert thread.run(thread.store.append(append(tenant, on(stream, 3, 4)))).position == 9


def test_the_mapper_compresses_when_it_is_told_to() -> None:
    event = Originated(new_id(), 7, Counted(number=1, note="long " * 100))
    mapper = EventMapper(JSONTranscoder(), ZlibCompressor())
    stored = mapper.to_stored_event(event)
    assert stored.topic == "sample.counted"
    assert len(stored.state) < 100
    assert mapper.to_domain_event(stored) == event


@pytest.mark.parametrize(("topic", "state"), [("sample.unheard_of", b"{}"), ("sample.counted", b'{"number":"one"}')])
def test_what_cannot_be_read_is_a_deserialisation_error(topic: str, state: bytes) -> None:
    with pytest.raises(MapperDeserialisationError, match=topic):
        EventMapper().to_domain_event(StoredEvent(new_id(), 1, topic, state))


def test_a_mapper_takes_no_strangers() -> None:
    with pytest.raises(TypeError):
        EventMapper().to_stored_event(Counted(number=1))  # type: ignore[arg-type]


@pytest.mark.parametrize("versions", [(1,), (3, 3), (3, 5), (4,), (-1,)])
def test_versions_that_do_not_follow_are_integrity_errors_and_store_nothing(
    recorder: TenantApplicationRecorder, versions: tuple[int, ...]
) -> None:
    stream, other = new_id(), new_id()
    recorder.insert_events([StoredEvent(stream, version, "foreign", b"\0") for version in (1, 2)])
    with pytest.raises(IntegrityError):
        recorder.insert_events(
            [StoredEvent(other, 1, "foreign", b""), *(StoredEvent(stream, one, "foreign", b"") for one in versions)]
        )
    assert recorder.max_notification_id() == 7
    assert len(recorder.select_events(stream)) == 2
    assert recorder.select_events(other) == []


def test_a_stream_that_begins_at_version_zero_goes_on_from_there(recorder: TenantApplicationRecorder) -> None:
    stream = new_id()
    zero, one = (StoredEvent(stream, version, "foreign", b"") for version in (0, 1))
    assert recorder.insert_events([zero]) == [6]
    with pytest.raises(IntegrityError):
        recorder.insert_events([zero])
    assert recorder.insert_events([one]) == [7]
    assert list(recorder.select_events(str(stream))) == [zero, one]


def test_a_tenant_that_is_not_open_is_a_programming_error(thread: EventLoopThread, tenant: UUID) -> None:
    event = StoredEvent(new_id(), 1, "foreign", b"")
    with pytest.raises(ProgrammingError):
        TenantApplicationRecorder(thread, new_id()).insert_events([event])
    thread.run(thread.store.append(append(tenant, closes=True)))
    with pytest.raises(ProgrammingError):
        TenantApplicationRecorder(thread, tenant, opens=TenantKind.PROJECT).insert_events([event])


def test_other_faults_belong_to_their_families_too(
    thread: EventLoopThread, recorder: TenantApplicationRecorder
) -> None:
    with pytest.raises(DataError):
        recorder.select_events("no uuid")
    with pytest.raises(DataError):
        recorder.insert_events([StoredEvent(new_id(), 1, "nul \0", b"")])
    with pytest.raises(ProgrammingError):
        thread.run(thread.pool.fetch("select nonsense"))
    with pytest.raises(OperationalError):
        thread.run(thread.pool.fetch("select pg_terminate_backend(pg_backend_pid())"))


def test_trackings_are_kept_per_tenant(thread: EventLoopThread, tenant: UUID) -> None:
    one, other = TenantTrackingRecorder(thread, tenant), TenantTrackingRecorder(thread, new_id())
    one.insert_tracking(Tracking("upstream", 5))
    assert (one.max_tracking_id("upstream"), other.max_tracking_id("upstream")) == (5, None)


@pytest.mark.parametrize("module, silenced", [("eventsourcing_facade", "_POLL_SECONDS"), ("listener", "CHANNEL")])
def test_a_subscription_follows_what_others_append_by_notification_and_by_polling(
    thread: EventLoopThread,
    tenant: UUID,
    recorder: TenantApplicationRecorder,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    silenced: str,
) -> None:
    monkeypatch.setattr(f"adapters.postgres.{module}.{silenced}", 1e6 if silenced == "_POLL_SECONDS" else "nobody")
    stream = new_id()
    with recorder.subscribe(gt=3) as subscription:
        assert [next(subscription).id, next(subscription).id] == [4, 5]
        for number in range(1, 4):
            thread.run(thread.store.append(append(tenant, on(stream, number - 1, number))))
            notification = next(subscription)
            assert (notification.id, notification.originator_version) == (5 + number, number)


def test_a_subscription_with_topics_skips_the_others(recorder: TenantApplicationRecorder) -> None:
    with recorder.subscribe(topics=["foreign"]) as subscription:
        recorder.insert_events([StoredEvent(new_id(), 1, "foreign", b"here")])
        assert next(subscription).state == b"here"


def test_a_subscription_that_cannot_read_says_why(thread: EventLoopThread, tenant: UUID) -> None:
    class Failing(TenantApplicationRecorder):
        def select_notifications(self, *arguments: object, **more: object) -> list[object]:  # type: ignore[override]
            raise OperationalError("the disk is on fire")

    with pytest.raises(OperationalError, match="on fire"), Failing(thread, tenant).subscribe() as subscription:
        next(subscription)


def test_threads_share_a_recorder(recorder: TenantApplicationRecorder) -> None:
    ids: list[int] = []

    def insert(stream: UUID) -> None:
        for version in range(1, 11):
            ids.extend(recorder.insert_events([StoredEvent(stream, version, "foreign", b"")]) or ())

    workers = [threading.Thread(target=insert, args=(new_id(),)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(ids) == list(range(6, 46))


@pytest.fixture
def library_recorder(shared_dsn: str, tenant: UUID) -> Iterator[PostgresApplicationRecorder]:
    """The library's own recorder, over a view that shows this tenant alone."""
    view = f"history_of_{tenant.hex}"
    with psycopg.connect(shared_dsn, autocommit=True) as connection:
        connection.execute(
            f"create view {view} as select originator_id, originator_version, topic, state, notification_id"
            f" from stored_events where tenant_id = '{tenant}'"
        )
    parts = conninfo_to_dict(shared_dsn)
    datastore = PostgresDatastore(
        dbname=str(parts["dbname"]),
        host=str(parts["host"]),
        port=str(parts.get("port", "5432")),
        user=str(parts["user"]),
        password=str(parts.get("password", "")),
    )
    with datastore:
        yield PostgresApplicationRecorder(datastore, events_table_name=view)


def test_the_librarys_own_recorder_reads_our_history_unchanged(
    thread: EventLoopThread,
    tenant: UUID,
    recorder: TenantApplicationRecorder,
    library_recorder: PostgresApplicationRecorder,
) -> None:
    assert library_recorder.max_notification_id() == 5
    assert library_recorder.select_notifications(None, 100) == recorder.select_notifications(None, 100)
    first = recorder.select_notifications(1, 1)[0]
    assert library_recorder.select_events(first.originator_id) == recorder.select_events(first.originator_id)
    topics = library_recorder.select_notifications(2, 2, topics=["sample.counted"], inclusive_of_start=False)
    assert [one.id for one in topics] == [3, 4]


def test_the_librarys_notification_log_pages_through_our_history(
    thread: EventLoopThread, tenant: UUID, library_recorder: PostgresApplicationRecorder
) -> None:
    log = LocalNotificationLog(library_recorder, section_size=2)
    section, seen = log["1,2"], []
    while True:
        seen += section.items
        if section.next_id is None:
            break
        section = log[section.next_id]
    mapper = EventMapper()
    assert [(one.id, mapper.to_domain_event(one).event) for one in seen] == [
        (one.position, one.event) for one in thread.run(thread.store.read_tenant(tenant))
    ]


def test_the_librarys_subscription_reads_our_history(library_recorder: PostgresApplicationRecorder) -> None:
    with library_recorder.subscribe(gt=2) as subscription:
        assert [next(subscription).id for _ in range(3)] == [3, 4, 5]


def test_the_librarys_recorder_reads_archived_streams_too(
    thread: EventLoopThread, tenant: UUID, library_recorder: PostgresApplicationRecorder
) -> None:
    before = library_recorder.select_notifications(None, 100)
    thread.run(thread.pool.execute("select archive_stream($1, $2)", tenant, before[0].originator_id))
    assert library_recorder.select_notifications(None, 100) == before
