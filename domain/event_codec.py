"""Bytes and back: events as JSON under explicit topics, old versions brought up to date when they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from domain.errors import Invalid
from domain.events import Event, Metadata, event_classes

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

_upcasters: dict[str, tuple[str, Upcaster]] = {}
_ready: dict[str, Callable[[bytes], Event]] = {}
_encoder = msgspec.json.Encoder()
_metadata_decoder = msgspec.json.Decoder(Metadata)
_raw_decoder = msgspec.json.Decoder(dict[str, Any])


class UnknownEvent(Exception):
    """A stored event that this program has no class for: a newer program wrote it, or an upcaster is missing."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"no event class is registered for the topic {topic!r}; is a newer version of Causeway writing here?"
        )
        self.topic = topic


class Unwritable(Invalid):
    """A text holds characters that cannot be stored."""

    code = "unwritable_text"


def upcasts(old: str, new: str) -> Callable[[Upcaster], Upcaster]:
    """Registers a pure function from the members of topic ``old`` to those of ``new``; chains are followed at decode."""

    def register(upcast: Upcaster) -> Upcaster:
        if old in _upcasters:
            raise TypeError(f"{old} is upcast already")
        _upcasters[old] = (new, upcast)
        _ready.pop(old, None)
        return upcast

    return register


def encode_event(event: Event) -> bytes:
    """The event's members as a JSON object; the topic is stored beside it."""
    try:
        return _encoder.encode(event)
    except UnicodeEncodeError as error:
        raise Unwritable from error


def encode_metadata(metadata: Metadata) -> bytes:
    return _encoder.encode(metadata)


def decode_metadata(data: bytes) -> Metadata:
    return _metadata_decoder.decode(data)


def decode_event(topic: str, state: bytes) -> Event:
    """The event of that topic, brought up to date; UnknownEvent when nobody knows the topic."""
    ready = _ready.get(topic)
    if ready is not None:
        return ready(state)
    if topic not in _upcasters and topic in event_classes():
        ready = _ready[topic] = msgspec.json.Decoder(event_classes()[topic]).decode
        return ready(state)
    members = _raw_decoder.decode(state)
    while topic in _upcasters:
        topic, upcast = _upcasters[topic]
        members = upcast(members)
    try:
        kind = event_classes()[topic]
    except KeyError:
        raise UnknownEvent(topic) from None
    return msgspec.convert(members, kind)
