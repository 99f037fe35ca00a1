"""Which events announce what to the project's webhook: one pure function, asked once per append."""

from __future__ import annotations

from uuid import UUID

from domain.connections.events import (
    AppConnected,
    ConnectionDeleted,
    ConnectionInvalidated,
    ConnectionLinked,
    TokenImported,
    TokenRefreshed,
)
from domain.events import Event
from domain.ids import new_id
from domain.ports import Announcement, StreamEvents

CREATED = "connection.created"
UPDATED = "connection.updated"
INVALID = "connection.invalid"
DELETED = "connection.deleted"

AUTHORISING = (TokenImported, AppConnected, ConnectionLinked)
"""The first of them in a stream creates the connection, later ones update it."""


def announcements(streams: tuple[StreamEvents, ...], subject_id: UUID | None) -> tuple[Announcement, ...]:
    """What these new events announce. ``subject_id`` is whose they are where the event itself does not say.

    Whether a connection is new is certain only at a stream's first event; the message says it for sure when it is written.
    """
    found = []
    for stream in streams:
        if stream.stream_type == "connection":
            for version, event in enumerate(stream.events, start=stream.expected_version + 1):
                kind = _announced(event, version)
                if kind:
                    subject = event.end_user_id if isinstance(event, AUTHORISING) else subject_id
                    found.append(Announcement(new_id(), stream.stream_id, version, kind, subject))
    return tuple(found)


def _announced(event: Event, version: int) -> str:
    match event:
        case TokenImported() | AppConnected() | ConnectionLinked():
            return CREATED if version == 1 else UPDATED
        case ConnectionInvalidated():
            return INVALID
        case TokenRefreshed() if event.revives:
            return UPDATED
        case ConnectionDeleted():
            return DELETED
    return ""
