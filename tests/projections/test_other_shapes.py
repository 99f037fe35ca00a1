"""A read model whose table changes its shape: the old table goes with all that it holds, so that erasure reaches everything."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.vault.vault import PostgresVault
from app import Causeway
from domain.events import Recorded, Reveal
from projections import rebuild as rebuilding
from projections import retiring
from projections.audit import Audit
from projections.catalogue import ALL_PROJECTIONS
from projections.end_users import END_USERS, END_USERS_TABLE
from projections.generations import create_tables, outdated
from projections.projection import Projection
from projections.projector import Projector
from projections.rebuild import Rebuild
from projections.rows import Rows
from projections.tables import Key, Table
from tests.conftest import Ground
from tests.projections.histories import CALLER, connect, fed_by_other_code, some_history

PERSON = "unforgettable-person"
OLD, NEW = "read_end_users_1", "read_end_users_2"
WIDER = msgspec.structs.replace(END_USERS_TABLE, name=NEW, columns={**END_USERS_TABLE.columns, "locale": "text"})


class InWider:
    """The rows as the next version of the fold sees them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def put(self, table: Table, key: Key, **values: Any) -> None:
        self._rows.put(_in_next(table), key, **values)

    def change(self, table: Table, key: Key, **values: Any) -> None:
        self._rows.change(_in_next(table), key, **values)

    def remove(self, table: Table, key: Key) -> None:
        self._rows.remove(_in_next(table), key)

    def remove_where(self, table: Table, **values: Any) -> None:
        self._rows.remove_where(_in_next(table), **values)

    def forget(self, table: Table, **values: Any) -> None:
        self._rows.forget(_in_next(table), **values)


def _in_next(table: Table) -> Table:
    return WIDER if table is END_USERS_TABLE else table


def fold(rows: Rows, recorded: Recorded, reveal: Reveal) -> None:
    END_USERS.fold(InWider(rows), recorded, reveal)


NEXT = Projection(
    name="end_users",
    kinds=END_USERS.kinds,
    reads=END_USERS.reads,
    tables=tuple(_in_next(table) for table in END_USERS.tables),
    fold=fold,
)
NEXT_PROJECTIONS = tuple(NEXT if projection is END_USERS else projection for projection in ALL_PROJECTIONS)


class Program:
    """A version of the program over the test's database, as far as its read models go."""

    def __init__(self, wired: Causeway, projections: tuple[Projection, ...]) -> None:
        self.wired, self.projections = wired, projections
        self.projector = Projector(wired.pool, projections, wired.vault, print)

    async def start(self) -> None:
        """What a start does before it serves."""
        async with self.wired.pool.acquire() as connection:
            await create_tables(connection, self.projections)
            stale = await outdated(connection, self.projections)
        for projection in stale:
            await Rebuild(self.wired.pool, self.projector).run(projection)

    async def erase(self, project: UUID) -> None:
        await self.wired.services.end_users.erase(project, CALLER, PERSON)
        await self.projector.catch_up([project])

    async def is_sound(self) -> bool:
        vault_on = lambda connection: PostgresVault(connection, self.wired.keyring)  # noqa: E731
        assert [one async for one in Audit(self.wired.pool, self.projections, vault_on).run()] == []
        async with self.wired.pool.acquire() as connection:
            assert await outdated(connection, self.projections) == []
        return True


@pytest.fixture
async def project(wired: Causeway, ground: Ground) -> UUID:
    """A project with history, whose person lies in the generation that serves and in one that is kept."""
    await some_history(wired, ground.plan.project_id)
    await connect(wired, ground.plan.project_id, PERSON)
    await wired.rebuild.run(END_USERS)
    return ground.plan.project_id


@pytest.fixture
def following(wired: Causeway, project: UUID) -> Program:
    return Program(wired, NEXT_PROJECTIONS)


async def tables_with(wired: Causeway, text: str) -> set[str]:
    tables = await wired.pool.fetch("select tablename as name from pg_tables where schemaname = 'public'")
    return {
        row["name"]
        for row in tables
        if await wired.pool.fetchval(f"select exists (select from {row['name']} t where t::text like $1)", f"%{text}%")
    }


async def stands(wired: Causeway, table: str) -> bool:
    return bool(await wired.pool.fetchval("select to_regclass($1) is not null", table))


async def test_a_person_erased_after_a_change_of_shape_is_nowhere(
    wired: Causeway, following: Program, project: UUID
) -> None:
    assert await tables_with(wired, PERSON) == {OLD}
    await following.start()
    assert await tables_with(wired, PERSON) == {NEW}
    await following.erase(project)
    assert await tables_with(wired, PERSON) == set()
    assert not await stands(wired, OLD)
    for table in NEXT.tables:
        assert {row[0] for row in await wired.pool.fetch(f"select distinct generation from {table.name}")} <= {3}
    assert await following.is_sound()


async def test_a_start_that_was_killed_before_the_old_shape_was_gone_is_finished_by_the_next(
    wired: Causeway, following: Program, project: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        """Stands in for a kill."""

    async def kill(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(rebuilding, "retire_older", kill)
    with pytest.raises(Killed):
        await following.start()
    monkeypatch.undo()
    assert await tables_with(wired, PERSON) == {OLD, NEW}
    await following.start()
    await following.erase(project)
    assert await tables_with(wired, PERSON) == set()
    assert await following.is_sound()


async def test_going_back_to_the_earlier_program_leaves_nothing_in_the_newer_shape(
    wired: Causeway, following: Program, project: UUID
) -> None:
    await following.start()
    earlier = Program(wired, ALL_PROJECTIONS)
    await earlier.start()
    assert await tables_with(wired, PERSON) == {OLD}
    assert not await stands(wired, NEW)
    await earlier.erase(project)
    assert await tables_with(wired, PERSON) == set()
    assert await earlier.is_sound()


async def test_an_old_table_that_a_backup_reads_is_emptied_and_goes_the_next_time(
    wired: Causeway, following: Program, project: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retiring, "LOCK_PATIENCE", "10ms")
    async with wired.pool.acquire() as backup, backup.transaction():
        await backup.execute(f"lock table {OLD} in access share mode")
        await following.start()
    assert await stands(wired, OLD)
    assert await tables_with(wired, PERSON) == {NEW}
    assert await following.is_sound()
    await Rebuild(wired.pool, following.projector).run(NEXT)
    assert not await stands(wired, OLD)
    assert await following.is_sound()


async def test_a_generation_that_other_code_fed_in_the_same_shape_is_kept_and_erasure_reaches_it(
    wired: Causeway, project: UUID
) -> None:
    changed = fed_by_other_code(END_USERS)
    following = Program(wired, tuple(changed if one is END_USERS else one for one in ALL_PROJECTIONS))
    await following.start()
    kept = "select count(*) from read_end_users_1 where generation = 2"
    with_person = await wired.pool.fetchval(kept)
    await following.erase(project)
    assert await wired.pool.fetchval(kept) == with_person - 1
    assert await tables_with(wired, PERSON) == set()
    assert await following.is_sound()
