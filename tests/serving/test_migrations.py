"""Migrations: forward only, one runner at a time, never edited, and never older than the database."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres.migrate import Migration, migrate, read_migrations, schema_is_current
from adapters.settings import CannotStart
from scripts.torturing.services import Service
from tests.conftest import Ground

STEPS = [
    Migration(1, "0001_one", "create table one (n integer); select pg_sleep(0.3)"),
    Migration(2, "0002_two", "create table two (n integer)"),
]


async def run(dsn: str, steps: list[Migration]) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return await migrate(connection, steps)
    finally:
        await connection.close()


async def tables(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        return {row[0] for row in await connection.fetch("select tablename from pg_tables where schemaname = 'public'")}
    finally:
        await connection.close()


async def test_steps_run_once_and_in_order(empty: str) -> None:
    assert await run(empty, STEPS[:1]) == 1
    assert await run(empty, STEPS) == 1
    assert await run(empty, STEPS) == 0
    assert await tables(empty) == {"one", "two", "schema_migrations"}


async def test_of_two_runners_at_once_one_runs_and_the_other_waits(empty: str) -> None:
    assert sorted(await asyncio.gather(*(run(empty, STEPS) for _ in range(4)))) == [0, 0, 0, 2]


async def test_a_step_that_fails_leaves_the_database_as_it_was(empty: str) -> None:
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await run(empty, [*STEPS, Migration(3, "0003_wrong", "create tabel three ()")])
    assert await tables(empty) == set()


async def test_a_step_that_was_edited_after_it_ran_is_refused_by_name(empty: str) -> None:
    await run(empty, STEPS)
    with pytest.raises(CannotStart, match="0002_two was edited"):
        await run(empty, [STEPS[0], Migration(2, "0002_two", "create table two (n bigint)")])


async def test_an_older_program_refuses_a_newer_schema(empty: str) -> None:
    await run(empty, STEPS)
    with pytest.raises(CannotStart, match="0002_two, newer than this program"):
        await run(empty, STEPS[:1])


async def test_only_exactly_this_program_s_schema_is_current(empty: str) -> None:
    connection = await asyncpg.connect(empty)
    try:
        assert not await schema_is_current(connection)
        await migrate(connection)
        assert await schema_is_current(connection)
        await connection.execute("insert into schema_migrations (number, name, checksum) values (9999, '9999_x', '')")
        assert not await schema_is_current(connection)
    finally:
        await connection.close()


@pytest.mark.parametrize("names", [["0002_two.sql"], ["0001_one.sql", "0003_three.sql"], ["1_one.sql"]])
def test_steps_are_numbered_without_a_gap(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("select 1")
    with pytest.raises(ValueError, match="must be named"):
        read_migrations(tmp_path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("update schema_migrations set checksum = '' where number = 1", "was edited after it ran here"),
        ("insert into schema_migrations (number, name, checksum) values (9999, '9999_later', '')", "9999_later, newer"),
    ],
    ids=["an edited step", "a newer schema"],
)
async def test_a_start_says_what_is_wrong_with_the_schema_in_one_line(
    data_dir: Path, ground: Ground, dsn: str, damage: str, words: str
) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(damage)
    await connection.close()
    for command in ("serve", "migrate"):
        service = await Service.start(data_dir, command=command, DATABASE_URL=dsn, MASTER_KEY=ground.master_key)
        assert await service.ended() == 1
        assert len(service.said) == 1, service.text
        assert words in service.text


async def test_programs_that_need_a_prepared_database_say_so(data_dir: Path, ground: Ground, empty: str) -> None:
    service = await Service.start(data_dir, command="rotate_keys", DATABASE_URL=empty, MASTER_KEY=ground.master_key)
    assert await service.ended() == 1
    assert "run scripts/migrate first" in service.text
    migrating = await Service.start(data_dir, command="migrate", DATABASE_URL=empty, MASTER_KEY=ground.master_key)
    assert await migrating.ended() == 0, migrating.text
    assert "migrating: 0001" in migrating.text
