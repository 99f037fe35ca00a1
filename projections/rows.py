"""Where folds put their row changes: collapsed into a few statements for the database, or kept in memory for audits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Protocol
from uuid import UUID

from projections.reading import Connection
from projections.tables import Key, Table, Values


class Rows(Protocol):
    """The read tables of one tenant and generation, as a fold sees them. Keys leave out tenant and generation."""

    def put(self, table: Table, key: Key, **values: Any) -> None:
        """The whole row; columns not given are null."""

    def change(self, table: Table, key: Key, **values: Any) -> None:
        """Some columns of a row; nothing when there is no such row."""

    def remove(self, table: Table, key: Key) -> None: ...

    def remove_where(self, table: Table, **values: Any) -> None:
        """All rows with these values; without any, all rows."""


class MemoryRows:
    """The rows themselves, by table and key: what an audit compares with, and what a test of a fold looks at."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Key, Values]] = defaultdict(dict)

    def put(self, table: Table, key: Key, **values: Any) -> None:
        self.tables[table.name][key] = {name: values.get(name) for name in table.columns}

    def change(self, table: Table, key: Key, **values: Any) -> None:
        row = self.tables[table.name].get(key)
        if row is not None:
            row.update(values)

    def remove(self, table: Table, key: Key) -> None:
        self.tables[table.name].pop(key, None)

    def remove_where(self, table: Table, **values: Any) -> None:
        rows = self.tables[table.name]
        names = tuple(table.key)
        for key in [
            key
            for key, row in rows.items()
            if all({**dict(zip(names, key, strict=True)), **row}[name] == value for name, value in values.items())
        ]:
            del rows[key]


_PUT, _CHANGE, _REMOVE = range(3)


class PendingRows:
    """Changes of many tenants, the last state of each row only, until they are written in one go.

    A remove_where ends a segment, because it also reaches rows that are not pending; segments are written in order.
    """

    def __init__(self) -> None:
        self._segments: list[dict[Table, dict[Key, tuple[int, Values]]]] = [defaultdict(dict)]
        self._wheres: list[tuple[Table, tuple[str, ...], Key]] = []

    def of(self, tenant_id: UUID, generation: int) -> Rows:
        return _TenantRows(self, (tenant_id, generation))

    def put(self, table: Table, key: Key, values: Values) -> None:
        self._segments[-1][table][key] = (_PUT, values)

    def change(self, table: Table, key: Key, values: Values) -> None:
        pending = self._segments[-1][table]
        kind, before = pending.get(key, (_CHANGE, {}))
        if kind != _REMOVE:
            pending[key] = (kind, {**before, **values})

    def remove(self, table: Table, key: Key) -> None:
        self._segments[-1][table][key] = (_REMOVE, {})

    def remove_where(self, table: Table, prefix: Key, values: Values) -> None:
        self._wheres.append((table, tuple(values), (*prefix, *values.values())))
        self._segments.append(defaultdict(dict))

    async def write(self, connection: Connection) -> None:
        for number, segment in enumerate(self._segments):
            for statement, columns in _statements(segment):
                await connection.execute(statement, *columns)
            if number < len(self._wheres):
                table, names, arguments = self._wheres[number]
                await connection.execute(table.delete_where(names), *arguments)


def _statements(segment: dict[Table, dict[Key, tuple[int, Values]]]) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    for table, rows in segment.items():
        removed = [key for key, (kind, _) in rows.items() if kind == _REMOVE]
        if removed:
            yield table.delete(), list(zip(*removed, strict=True))
        put = [(*key, *map(values.get, table.columns)) for key, (kind, values) in rows.items() if kind == _PUT]
        if put:
            yield table.upsert(), list(zip(*put, strict=True))
        changed: dict[tuple[str, ...], list[Key]] = defaultdict(list)
        for key, (kind, values) in rows.items():
            if kind == _CHANGE and values:
                changed[tuple(sorted(values))].append((*key, *(values[name] for name in sorted(values))))
        for names, arguments in changed.items():
            yield table.update(names), list(zip(*arguments, strict=True))


class _TenantRows:
    """Rows of one tenant and generation among all that are pending."""

    __slots__ = ("_pending", "_prefix")

    def __init__(self, pending: PendingRows, prefix: Key) -> None:
        self._pending = pending
        self._prefix = prefix

    def put(self, table: Table, key: Key, **values: Any) -> None:
        self._pending.put(table, (*self._prefix, *key), values)

    def change(self, table: Table, key: Key, **values: Any) -> None:
        self._pending.change(table, (*self._prefix, *key), values)

    def remove(self, table: Table, key: Key) -> None:
        self._pending.remove(table, (*self._prefix, *key))

    def remove_where(self, table: Table, **values: Any) -> None:
        self._pending.remove_where(table, self._prefix, values)
