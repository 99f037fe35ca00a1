"""A message's body, written from the events as they were at its version; nothing of it waits in a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from domain.connections.events import ConnectionDeleted, ConnectionInvalidated, ConnectionRequested
from domain.deliveries.announcements import AUTHORISING, CREATED, DELETED, INVALID, UPDATED
from domain.events import Event, Recorded, Reveal

BEFORE = frozenset(kind.TOPIC for kind in (ConnectionRequested, *AUTHORISING, ConnectionDeleted))
"""The events of a connection that a letter about a later one is written from."""


class Connected(msgspec.Struct, frozen=True):
    """What a message tells of a connection. ``event_id`` is the webhook-id header's, the same at every attempt; ``position`` orders
    the project's events and ``version`` those of this connection, because messages may come in any order. ``user_id``
    is the application's own id of the end user: null for the developer's own connections, and after erasure.
    """

    event_id: UUID
    position: int
    version: int
    connection_id: UUID
    app_key: str
    auth_type: str
    name: str
    user_id: str | None
    status: str
    error_message: str | None
    expires_at: datetime | None


class Letter(msgspec.Struct, frozen=True):
    """A message as it is posted. ``timestamp`` is when it happened."""

    type: str
    timestamp: datetime
    data: Connected


def addressed(history: Sequence[Recorded]) -> UUID | None:
    """Whose connection it is; None: the developer's own."""
    said = _identity([recorded.event for recorded in history])
    return said.end_user_id if said is not None else None


def write(message_id: UUID, history: Sequence[Recorded], user_id: str | None, reveal: Reveal) -> Letter:
    """The letter about the last event of ``history``, which also has the events of ``BEFORE`` that came before it."""
    last = history[-1]
    event, earlier = last.event, [recorded.event for recorded in history[:-1]]
    said = _identity([*earlier, event])
    data = Connected(
        event_id=message_id,
        position=last.position,
        version=last.version,
        connection_id=last.stream_id,
        app_key=said.app_key if said else "",
        auth_type=said.auth_type if said else "",
        name=_name(said, reveal),
        user_id=user_id,
        status=_status(event),
        error_message=event.message if isinstance(event, ConnectionInvalidated) else None,
        expires_at=getattr(event, "expires_at", None),
    )
    return Letter(_kind(event, earlier), last.recorded_at, data)


def _kind(event: Event, earlier: Sequence[Event]) -> str:
    match event:
        case ConnectionInvalidated():
            return INVALID
        case ConnectionDeleted():
            return DELETED
    telling = [one for one in earlier if isinstance(one, (*AUTHORISING, ConnectionDeleted))]
    return UPDATED if telling and isinstance(telling[-1], AUTHORISING) else CREATED


def _status(event: Event) -> str:
    match event:
        case ConnectionInvalidated():
            return event.status
        case ConnectionDeleted():
            return "deleted"
    return "active"


def _name(said: Any, reveal: Reveal) -> str:
    """The developer's own word, or what an end user's connection is called as long as they are remembered."""
    if said is None or said.sealed_name is None:
        return said.name if said else ""
    told = reveal(said.sealed_name)
    return told if isinstance(told, str) else ""


def _identity(events: Sequence[Event]) -> Any:
    """The newest event that says whose the connection is, and to what."""
    return next((one for one in reversed(events) if isinstance(one, (ConnectionRequested, *AUTHORISING))), None)
