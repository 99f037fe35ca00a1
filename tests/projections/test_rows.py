"""Collapsed changes in the database come to the same rows as one change after another in memory."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.rows import MemoryRows, PendingRows, Rows
from projections.tables import Table

PEOPLE = Table(
    "read_people_of_a_test",
    key={"person": "text", "place": "integer"},
    columns={"name": "text", "colour": "text", "age": "integer"},
)
BARE = Table("read_marks_of_a_test", key={"mark": "integer"}, columns={})
TENANTS = (UUID(int=1), UUID(int=2))

_keys = st.tuples(st.sampled_from(["ada", "bob"]), st.integers(1, 2))
_values = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["x", "y", None]),
        "colour": st.sampled_from(["red", "blue", None]),
        "age": st.integers(1, 2) | st.none(),
    },
)
_where = st.sampled_from([{}, {"colour": "red"}, {"person": "ada"}, {"place": 1, "age": 1}])
_changes = st.lists(
    st.tuples(
        st.sampled_from(TENANTS),
        st.one_of(
            st.tuples(st.just("put"), _keys, _values),
            st.tuples(st.just("change"), _keys, _values),
            st.tuples(st.just("remove"), _keys, st.just({})),
            st.tuples(st.sampled_from(["remove_where", "forget"]), st.just(()), _where),
            st.tuples(st.sampled_from(["mark", "unmark"]), st.integers(1, 2), st.just({})),
        ),
    ),
    max_size=25,
)


def _apply(rows: Rows, kind: str, key: Any, values: dict[str, Any]) -> None:
    if kind == "put":
        rows.put(PEOPLE, key, **values)
    elif kind == "change":
        rows.change(PEOPLE, key, **values)
    elif kind == "remove":
        rows.remove(PEOPLE, key)
    elif kind == "remove_where":
        rows.remove_where(PEOPLE, **values)
    elif kind == "forget":
        rows.forget(PEOPLE, **values)
    elif kind == "mark":
        rows.put(BARE, (key,))
    else:
        rows.remove(BARE, (key,))


def test_pending_rows_come_to_what_memory_rows_come_to(dsn: str) -> None:
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(dsn))

        @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
        @given(batches=st.lists(_changes, min_size=1, max_size=3))
        def holds(batches: list[Any]) -> None:
            runner.run(_compare(connection, batches))

        try:
            holds()
        finally:
            runner.run(connection.close())


async def _compare(connection: Any, batches: list[Any]) -> None:
    transaction = connection.transaction()
    await transaction.start()
    try:
        for table in (PEOPLE, BARE):
            for statement in table.create().values():
                await connection.execute(statement)
        await connection.executemany(
            "insert into checkpoints (tenant_id, projection, generation, live) values ($1, 'people', 1, true)",
            [(tenant,) for tenant in TENANTS],
        )
        memory = {tenant: MemoryRows() for tenant in TENANTS}
        for batch in batches:
            pending = PendingRows()
            for tenant, change in batch:
                _apply(memory[tenant], *change)
                _apply(pending.of(tenant, 1), *change)
            await pending.write(connection)
        for tenant in TENANTS:
            for table in (PEOPLE, BARE):
                stored = {
                    tuple(row)[: len(table.key)]: dict(zip(table.columns, tuple(row)[len(table.key) :], strict=True))
                    for row in await connection.fetch(table.select_generation(), tenant, 1)
                }
                assert stored == memory[tenant].tables[table.name]
    finally:
        await transaction.rollback()
