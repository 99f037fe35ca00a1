"""The base of all events, the envelope they are recorded in, and the topics they are stored under."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, TypeAlias
from uuid import UUID

import msgspec
from eventsourcing.utils import register_topic


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """Personal text inside an event, readable until its subject is forgotten.

    ``box`` is what the subject's data key sealed; without that key it is noise.
    """

    subject_id: UUID
    box: bytes


class _Forgotten:
    """What a sealed value reads as once its subject was erased."""

    def __repr__(self) -> str:
        return "Forgotten"

    def __bool__(self) -> bool:
        return False


FORGOTTEN = _Forgotten()
Revealed: TypeAlias = "str | _Forgotten"
Reveal = Callable[[Sealed], Revealed]
"""Opens sealed values; values of forgotten subjects come back as FORGOTTEN."""

_TOPICS: dict[str, type[Event]] = {}


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact, in the past tense. A letter already posted: new fields get defaults, a new meaning gets a new topic.

    ``TOPIC`` is ``<stream type>.<fact>``, with ``#N`` from its second version on; it is what the store keeps, so
    classes may move and be renamed.
    """

    TOPIC: ClassVar[str] = ""
    SEALED: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **config: Any) -> None:
        super().__init_subclass__(**config)
        if not cls.TOPIC:
            raise TypeError(f"{cls.__name__} needs a TOPIC")
        if cls.TOPIC in _TOPICS:
            raise TypeError(f"the topic {cls.TOPIC} of {cls.__name__} is {_TOPICS[cls.TOPIC].__name__}'s already")
        _TOPICS[cls.TOPIC] = cls
        annotations = inspect.get_annotations(cls)
        cls.SEALED = tuple(name for name, kind in annotations.items() if "Sealed" in str(kind))
        register_topic(cls.TOPIC, cls)


def event_classes() -> Mapping[str, type[Event]]:
    """Every event class that has been made, by topic."""
    return _TOPICS


def stream_type_of(topic: str) -> str:
    """``connection`` for ``connection.token_imported#2``."""
    return topic.partition(".")[0]


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who and what brought an event about. One for all events of an append.

    ``actor`` reads ``<kind>:<id>``; ``command_id`` is unique to the append, so that a writer that lost its connection
    recognises its own events; ``correlation_id`` is shared by all that one request set off; ``causation_id`` is
    the command or event right before.
    """

    actor: str
    command_id: UUID
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    request_id: str = ""


class Recorded(msgspec.Struct, frozen=True):
    """An event as the store keeps it. Positions are gapless within a tenant, versions within a stream; both start at 1."""

    tenant_id: UUID
    stream_id: UUID
    version: int
    position: int
    recorded_at: datetime
    event: Event
    metadata: Metadata
