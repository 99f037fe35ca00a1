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
    ``unknown(recorded)`` for others, which stops the tenant's projection instead of letting it diverge.
    """

    name: str
    kinds: frozenset[TenantKind]
    reads: frozenset[str]
    tables: tuple[Table, ...]
    fold: Fold

    @cached_property
    def code_hash(self) -> bytes:
        """Changes when the module of the fold says something else; not with its comments, docstrings or layout."""
        return code_hash(self.fold)


def unknown(recorded: Recorded) -> UnknownEvent:
    return UnknownEvent(recorded.event.TOPIC)
