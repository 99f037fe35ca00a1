"""Folds as sentences: given(END_USERS, ADA_ADDED).when(ADA_ERASED).then(END_USERS_TABLE, {})."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from domain.events import FORGOTTEN, Event, Metadata, Recorded, Revealed, Sealed
from projections.projection import Projection
from projections.rows import MemoryRows
from projections.tables import Key, Table

TENANT = UUID("00000000-0000-7000-8000-00000000aaaa")
Happening = tuple[UUID, Event]


def stream(name: str) -> UUID:
    """A stream id that is the same in every test."""
    return uuid5(TENANT, name)


def at(position: int) -> datetime:
    """When the event at that position was recorded."""
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=position)


def sealed(subject: UUID, text: str) -> Sealed:
    return Sealed(subject, text.encode())


class Story:
    """Events of one tenant folded in their order; positions start at 1. Texts of ``forgotten`` subjects are gone."""

    def __init__(self, projection: Projection, forgotten: frozenset[UUID]) -> None:
        self.rows = MemoryRows()
        self._projection = projection
        self._forgotten = forgotten
        self._versions: dict[UUID, int] = {}
        self._position = 0

    def when(self, *happenings: Happening) -> Story:
        for stream_id, event in happenings:
            self._position += 1
            version = self._versions[stream_id] = self._versions.get(stream_id, 0) + 1
            metadata = Metadata("test:given", stream_id)
            one = Recorded(TENANT, stream_id, version, self._position, at(self._position), event, metadata)
            self._projection.fold(self.rows, one, self._reveal)
        return self

    def then(self, table: Table, expected: dict[Key, dict[str, Any]]) -> Story:
        """Exactly these rows, with these values in the columns that are named."""
        rows = self.rows.tables[table.name]
        assert rows.keys() == expected.keys()
        for key, values in expected.items():
            assert {name: rows[key][name] for name in values} == values
        return self

    def _reveal(self, value: Sealed) -> Revealed:
        return FORGOTTEN if value.subject_id in self._forgotten else value.box.decode()


def given(projection: Projection, *happenings: Happening, forgotten: frozenset[UUID] = frozenset()) -> Story:
    return Story(projection, forgotten).when(*happenings)
