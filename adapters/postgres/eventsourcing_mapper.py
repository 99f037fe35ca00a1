"""The eventsourcing library's Mapper for our events: explicit topics, upcasters, msgspec instead of ``vars(event)``."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    Cipher,
    Compressor,
    JSONTranscoder,
    Mapper,
    MapperDeserialisationError,
    StoredEvent,
    Transcoder,
)

from domain.event_codec import UnknownEvent, decode_event, encode_event
from domain.events import Event


class Originated(msgspec.Struct, frozen=True):
    """One of our events as the library wants it: with the stream and the version that it belongs to."""

    originator_id: UUID
    originator_version: int
    event: Event


class EventMapper(Mapper[UUID]):
    """Mapper between ``Originated`` and ``StoredEvent``. The transcoder is not asked: the bytes are those of our codec,
    so that both sides read each other's.
    """

    def __init__(
        self,
        transcoder: Transcoder | None = None,
        compressor: Compressor | None = None,
        cipher: Cipher | None = None,
    ) -> None:
        super().__init__(transcoder or JSONTranscoder(), compressor, cipher)

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """TypeError for anything but an ``Originated``."""
        if not isinstance(domain_event, Originated):
            raise TypeError(f"{type(domain_event).__name__} is not Originated")
        state = encode_event(domain_event.event)
        if self.compressor:
            state = self.compressor.compress(state)
        if self.cipher:
            state = self.cipher.encrypt(state)
        return StoredEvent(domain_event.originator_id, domain_event.originator_version, domain_event.event.TOPIC, state)

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """The ``Originated`` event, brought up to date; MapperDeserialisationError when it cannot be read."""
        state, originator_id = stored_event.state, stored_event.originator_id
        try:
            if self.cipher:
                state = self.cipher.decrypt(state)
            if self.compressor:
                state = self.compressor.decompress(state)
            event = decode_event(stored_event.topic, state)
        except (UnknownEvent, msgspec.MsgspecError, ValueError) as error:
            raise MapperDeserialisationError(
                f"version {stored_event.originator_version} of {originator_id}, topic {stored_event.topic!r}: {error}"
            ) from error
        stream_id = originator_id if isinstance(originator_id, UUID) else UUID(originator_id)
        return Originated(stream_id, stored_event.originator_version, event)
