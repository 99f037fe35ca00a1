"""Where folds put their row changes: collapsed into a few statements for the database, or kept in memory for audits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Protocol
from uuid import UUID

from projections.reading import Connection, Pool
from projections.statements import Statement, together
from projections.tables import Key, Table, Values


class Rows(Protocol):
    """The read tables of one tenant and generation, as a fold sees them. Keys leave out tenant and generation."""

    def put(self, table: Table, key: Key, **values: Any) -> None:
        """The whole row; columns not given are null."""

    def change(self, table: Table, key: Key, **values: Any) -> None:
        """Some columns of a row; nothing when there is no such row."""

    def remove(self, table: Table, key: Key) -> None: ...

    def remove_where(self, table: Table, **values: Any) -> None:
        """All rows with these values; without any, all rows: then those that are many go before the event is folded."""

    def forget(self, table: Table, **values: Any) -> None:
        """remove_where that reaches into the tenant's other generations too, so that nobody who was erased stays in one
        that is kept for a roll-back. Only by values that a row never changes: it may be behind there.
        """


class MemoryRows:
    """The rows themselves, by table and key: what an audit compares with, and what a test of a fold looks at."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Key, Values]] = defaultdict(dict)
        self._indexes: dict[tuple[str, tuple[str, ...]], _Index] = {}

    def put(self, table: Table, key: Key, **values: Any) -> None:
        self._set(table, key, {name: values.get(name) for name in table.columns})

    def change(self, table: Table, key: Key, **values: Any) -> None:
        row = self.tables[table.name].get(key)
        if row is not None:
            self._set(table, key, {**row, **values})

    def remove(self, table: Table, key: Key) -> None:
        self._set(table, key, None)

    def remove_where(self, table: Table, **values: Any) -> None:
        if not values:
            keys = list(self.tables[table.name])
        else:
            index = self._indexes.get((table.name, tuple(values))) or self._index(table, tuple(values))
            keys = list(index.keys.get(tuple(values.values()), ()))
        for key in keys:
            self._set(table, key, None)

    def forget(self, table: Table, **values: Any) -> None:
        self.remove_where(table, **values)

    def _set(self, table: Table, key: Key, row: Values | None) -> None:
        rows = self.tables[table.name]
        before = rows.pop(key, None)
        if row is not None:
            rows[key] = row
        for (name, _), index in self._indexes.items():
            if name == table.name:
                index.move(key, before, row)

    def _index(self, table: Table, names: tuple[str, ...]) -> _Index:
        index = self._indexes[table.name, names] = _Index(names, tuple(table.key))
        for key, row in self.tables[table.name].items():
            index.move(key, None, row)
        return index


class _Index:
    """Which keys have these values: removing by value stays quick in long histories."""

    def __init__(self, names: tuple[str, ...], key_names: tuple[str, ...]) -> None:
        self.keys: dict[Key, set[Key]] = defaultdict(set)
        self._names = names
        self._key_names = key_names

    def move(self, key: Key, before: Values | None, after: Values | None) -> None:
        if before is not None:
            self.keys[self._values(key, before)].discard(key)
        if after is not None:
            self.keys[self._values(key, after)].add(key)

    def _values(self, key: Key, row: Values) -> Key:
        return tuple(row[name] if name in row else key[self._key_names.index(name)] for name in self._names)


_PUT, _CHANGE, _REMOVE = range(3)
CLEARED_AT_ONCE = 20_000
"""Rows of a table that is emptied; more than a batch of events brings in, or there would be no end to it."""


class MuchToRemove(Exception):
    """A tenant's table is to be emptied and holds more than one transaction should remove: take it away, then try again."""

    def __init__(self, tenant_id: UUID, statement: str, arguments: Key) -> None:
        super().__init__("there is much to remove")
        self.tenant_id = tenant_id
        self._statement = statement
        self._arguments = arguments

    async def remove(self, pool: Pool) -> None:
        """Removes it, each step for itself."""
        while await pool.fetchval(self._statement, *self._arguments) == CLEARED_AT_ONCE:
            pass


class PendingRows:
    """Changes of many tenants, the last state of each row only, until they are written in one go.

    A remove_where ends a segment, because it also reaches rows that are not pending; segments are written in order.
    """

    def __init__(self) -> None:
        self._segments: list[dict[Table, dict[Key, tuple[int, Values]]]] = [defaultdict(dict)]
        self._wheres: list[tuple[str, Key, bool]] = []

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
        if values:
            self._end_segment(table.delete_where(tuple(values)), (*prefix, *values.values()))
        else:
            self._end_segment(table.clear(everywhere=False), (*prefix, CLEARED_AT_ONCE), clears=True)

    def forget(self, table: Table, tenant_id: UUID, values: Values) -> None:
        if values:
            self._end_segment(table.delete_everywhere(tuple(values)), (tenant_id, *values.values()))
        else:
            self._end_segment(table.clear(everywhere=True), (tenant_id, CLEARED_AT_ONCE), clears=True)

    def _end_segment(self, statement: str, arguments: Key, clears: bool = False) -> None:
        self._wheres.append((statement, arguments, clears))
        self._segments.append(defaultdict(dict))

    async def write(self, connection: Connection, *beside: Statement) -> None:
        """All rows, and what is to be written beside the last of them. MuchToRemove, for a transaction that is to be begun
        again.
        """
        for segment, (statement, arguments, clears) in zip(self._segments, self._wheres, strict=False):
            await _write(connection, [*_statements(segment)])
            if not clears:
                await connection.execute(statement, *arguments)
            elif await connection.fetchval(statement, *arguments) == CLEARED_AT_ONCE:
                raise MuchToRemove(arguments[0], statement, arguments)
        await _write(connection, [*_statements(self._segments[-1]), *beside])


async def _write(connection: Connection, statements: list[Statement]) -> None:
    if statements:
        text, arguments = together(statements)
        await connection.execute(text, *arguments)


def _statements(segment: dict[Table, dict[Key, tuple[int, Values]]]) -> Iterator[Statement]:
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

    def forget(self, table: Table, **values: Any) -> None:
        self._pending.forget(table, self._prefix[0], values)
