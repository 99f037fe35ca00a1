"""The eventsourcing library's recorders over the asynchronous event store: one tenant each, for the library's own tools."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    ApplicationRecorder,
    DataError,
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    StoredEvent,
    Subscription,
    Tracking,
    TrackingRecorder,
)

from adapters.postgres.append_batch import Encoded, EventRow, StreamRow
from adapters.postgres.blocking import EventLoopThread
from adapters.postgres.listener import listen
from domain.event_codec import encode_metadata
from domain.events import Metadata, stream_type_of
from domain.ids import new_id
from domain.ports import Append, StreamEvents, TenantKind

_POLL_SECONDS = 1.0

_EVENTS = """
select originator_id, originator_version, topic, state from stored_events
where tenant_id = $1 and originator_id = $2 and originator_version > coalesce($3, -1)
and originator_version <= coalesce($4, 2147483647)
"""
_NOTIFICATIONS = """
select originator_id, originator_version, topic, state, notification_id from stored_events
where tenant_id = $1 and notification_id >= $2 and notification_id <= coalesce($3, 9223372036854775807)
and (cardinality($4::text[]) = 0 or topic = any ($4)) order by notification_id limit $5
"""
_TRACK = """
insert into tracking as t (tenant_id, application_name, notification_id) values ($1, $2, $3)
on conflict (tenant_id, application_name) do update set notification_id = excluded.notification_id
where t.notification_id < excluded.notification_id returning true
"""


class TenantApplicationRecorder(ApplicationRecorder):
    """ApplicationRecorder of one tenant. Topics and states are stored as they come: only what our codec knows can be
    read by the rest of this program.

    Versions of an originator follow each other without a gap, from 0 or 1 on; anything else is an IntegrityError, as is a
    version that exists. ``opens`` makes the tenant with the first events. A tenant that was closed, or never
    opened, is a ProgrammingError.
    """

    def __init__(self, thread: EventLoopThread, tenant_id: UUID, *, opens: TenantKind | None = None) -> None:
        self.thread = thread
        self.tenant_id = tenant_id
        self._opens = opens

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """The positions that the events got. All are stored, or none."""
        if not stored_events:
            return []
        appended = self.thread.run(self.thread.store.append_encoded(self._encoded(stored_events)))
        self._opens = None
        return list(range(appended.position - len(stored_events) + 1, appended.position + 1))

    def _encoded(self, stored_events: Sequence[StoredEvent]) -> Encoded:
        events: list[EventRow] = []
        streams: dict[UUID, StreamRow] = {}
        for one in stored_events:
            stream_id, version = _uuid(one.originator_id), one.originator_version
            _, stream_type, expected, last = streams.get(
                stream_id, (stream_id, stream_type_of(one.topic), max(version - 1, 0), version - 1)
            )
            if version != last + 1 or version < 0:
                raise IntegrityError(f"version {version} of originator {stream_id} does not follow version {last}")
            streams[stream_id] = (stream_id, stream_type, expected, version)
            events.append((stream_id, version, one.topic, one.state))
        metadata = Metadata("library:eventsourcing", new_id())
        append = Append(
            tenant_id=self.tenant_id,
            streams=tuple(StreamEvents(row[0], row[1], row[2], ()) for row in streams.values()),
            metadata=metadata,
            opens=self._opens,
        )
        return append, events, list(streams.values()), encode_metadata(metadata)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        statement = f"{_EVENTS} order by originator_version {'desc' if desc else 'asc'} limit $5"
        arguments = (self.tenant_id, _uuid(originator_id), gt, lte, limit)
        return [StoredEvent(*row) for row in self.thread.run(self.thread.pool.fetch(statement, *arguments))]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        first = (start or 0) + (start is not None and not inclusive_of_start)
        arguments = (self.tenant_id, first, stop, list(topics), limit)
        return [Notification(*row) for row in self.thread.run(self.thread.pool.fetch(_NOTIFICATIONS, *arguments))]

    def max_notification_id(self) -> int | None:
        statement = "select max(notification_id) from stored_events where tenant_id = $1"
        found: int | None = self.thread.run(self.thread.pool.fetchval(statement, self.tenant_id))
        return found

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        return TenantSubscription(self, gt, topics)


class TenantSubscription(ListenNotifySubscription[TenantApplicationRecorder]):
    """Woken by the store's notifications, and by the clock beside them."""

    def __init__(self, recorder: TenantApplicationRecorder, gt: int | None = None, topics: Sequence[str] = ()) -> None:
        self._watching: Future[None] | None = None
        super().__init__(recorder, gt, topics)
        self._watching = recorder.thread.start(self._watch(recorder.thread.dsn))
        self._watching.add_done_callback(self._note_end)
        if self._has_been_stopped:
            self._watching.cancel()

    def stop(self) -> None:
        """Stops the subscription."""
        super().stop()
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self, dsn: str) -> None:
        wakeups = asyncio.Event()
        listening = asyncio.create_task(listen(dsn, wakeups))
        try:
            while True:
                waking = asyncio.create_task(wakeups.wait())
                await asyncio.wait([listening, waking], timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
                if listening.done():
                    await listening
                wakeups.clear()
                self._has_been_notified.set()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def _note_end(self, watching: Future[None]) -> None:
        try:
            watching.result()
        except CancelledError:
            return
        except BaseException as error:
            self._thread_error = self._thread_error or error
            self.stop()


class TenantTrackingRecorder(TrackingRecorder):
    """TrackingRecorder of one tenant: how far its readers have come, per application."""

    def __init__(self, thread: EventLoopThread, tenant_id: UUID) -> None:
        self.thread = thread
        self.tenant_id = tenant_id

    def insert_tracking(self, tracking: Tracking) -> None:
        """IntegrityError unless the notification id is higher than every one before."""
        arguments = (self.tenant_id, tracking.application_name, tracking.notification_id)
        if not self.thread.run(self._track(arguments)):
            raise IntegrityError(f"{tracking.application_name} is past notification {tracking.notification_id} already")

    async def _track(self, arguments: tuple[UUID, str, int]) -> bool:
        async with self.thread.pool.acquire() as connection:  # a repetition would find its own first attempt
            return bool(await connection.fetchval(_TRACK, *arguments))

    def max_tracking_id(self, application_name: str) -> int | None:
        statement = "select notification_id from tracking where tenant_id = $1 and application_name = $2"
        found: int | None = self.thread.run(self.thread.pool.fetchval(statement, self.tenant_id, application_name))
        return found


def _uuid(originator_id: UUID | str) -> UUID:
    if isinstance(originator_id, UUID):
        return originator_id
    try:
        return UUID(originator_id)
    except ValueError:
        raise DataError(f"the originator id {originator_id!r} is no UUID") from None
