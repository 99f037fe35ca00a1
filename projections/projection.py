"""What a read model declares: whose events it reads, its tables, and its fold."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import msgspec

from domain.code_hash import code_hash
from domain.event_codec import UnknownEvent
from domain.events import Recorded, Reveal
from domain.ports import TenantKind
from projections.rows import Rows
from projections.tables import Table

Fold = Callable[[Rows, Recorded, Reveal], None]


class Projection(msgspec.Struct, frozen=True, dict=True):
    """A read model. ``reads`` names the stream types it follows: its fold must know every event of theirs and raises
    ``unknown(recorded)`` for others, which stops the tenant's projection instead of letting it diverge. ``parts`` are functions in
    other modules that it calls.
    """

    name: str
    kinds: frozenset[TenantKind]
    reads: frozenset[str]
    tables: tuple[Table, ...]
    fold: Fold
    parts: tuple[Callable[..., None], ...] = ()

    @cached_property
    def code_hash(self) -> bytes:
        """Changes when the module of the fold, or of one of its parts, says something else; not with comments, docstrings or
        layout.
        """
        return code_hash(self.fold, *self.parts)

    @property
    def table_names(self) -> list[str]:
        """Sorted. A table's name stands for its shape, so that these say where rows lie, and how."""
        return sorted(table.name for table in self.tables)


def unknown(recorded: Recorded) -> UnknownEvent:
    return UnknownEvent(recorded.event.TOPIC)
