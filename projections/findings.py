"""What an audit finds: rows that differ from the history, and everything else that is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec

from projections.projection import Projection
from projections.tables import Key, Table, Values


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that is not as it should be. For a row: ``table``, ``key``, and for a changed one ``column`` with what is
    stored and what the history says.
    """

    tenant_id: UUID
    problem: str
    projection: str = ""
    table: str = ""
    key: Mapping[str, Any] = {}
    column: str = ""
    stored: Any = None
    folded: Any = None


def compared(
    tenant_id: UUID, projection: Projection, table: Table, stored: Mapping[Key, Values], folded: Mapping[Key, Values]
) -> Iterator[Finding]:
    """Extra rows, missing rows and changed columns."""
    for key in {**stored, **folded}:
        named = dict(zip(table.key, key, strict=True))
        if key not in folded:
            yield Finding(tenant_id, "extra row", projection.name, table.name, named, stored=stored[key])
        elif key not in stored:
            yield Finding(tenant_id, "missing row", projection.name, table.name, named, folded=folded[key])
        else:
            for column in table.columns:
                was, wanted = stored[key][column], folded[key][column]
                if was != wanted:
                    yield Finding(tenant_id, "changed", projection.name, table.name, named, column, was, wanted)
