"""What read models outlive: forgetting, archiving, a deleted project, and a dump that is restored elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from adapters.postgres.embedded.binaries import package_folder
from app import Causeway, causeway
from projections.catalogue import ALL_PROJECTIONS
from projections.end_users import END_USERS
from projections.reading import Page
from tests.conftest import Ground
from tests.projections.histories import CALLER, connect, findings, rows_of, shows_connected, some_history


@pytest.fixture
async def project(wired: Causeway, ground: Ground) -> UUID:
    await some_history(wired, ground.plan.project_id)
    return ground.plan.project_id


async def _everything(wired: Causeway) -> str:
    """All that the database holds, as text."""
    tables = await wired.pool.fetch("select tablename from pg_tables where schemaname = 'public'")
    found = [await wired.pool.fetch(f"select t::text from {row['tablename']} t") for row in tables]
    return "\n".join(row["t"] for rows in found for row in rows)


async def test_what_was_forgotten_stays_forgotten_when_read_models_are_rebuilt(wired: Causeway, project: UUID) -> None:
    await connect(wired, project, "unforgettable-person")
    assert "unforgettable-person" in await _everything(wired)
    await wired.rebuild.run(END_USERS)
    await wired.services.end_users.erase(project, CALLER, "unforgettable-person")
    assert "unforgettable-person" not in await _listed(wired, project)
    await wired.rebuild.run(END_USERS)
    await wired.rebuild.roll_back(END_USERS)
    assert "unforgettable-person" not in await _listed(wired, project)
    assert not await shows_connected(wired, project, "unforgettable-person")
    assert await shows_connected(wired, project, "user1")
    assert await findings(wired) == []
    await wired.rebuild.run(END_USERS)
    assert "unforgettable-person" not in await _everything(wired)


async def _listed(wired: Causeway, project: UUID) -> set[str]:
    return {row.external_id for row in (await wired.services.end_user_queries.list_end_users(project, Page())).items}


async def test_an_erased_person_is_in_no_generation_that_is_kept_for_a_roll_back(
    wired: Causeway, project: UUID
) -> None:
    await connect(wired, project, "unforgettable-person")
    await wired.rebuild.run(END_USERS)
    await wired.services.end_users.erase(project, CALLER, "unforgettable-person")
    assert "unforgettable-person" not in await _everything(wired)
    assert await wired.rebuild.roll_back(END_USERS) == 1
    assert await findings(wired) == []


async def test_a_deleted_project_is_rebuilt_to_nothing(wired: Causeway, ground: Ground, project: UUID) -> None:
    await wired.services.projects.delete(ground.plan.company_id, project, CALLER)
    for projection in ALL_PROJECTIONS:
        await wired.rebuild.run(projection)
    assert not any((await rows_of(wired.pool, END_USERS, 2)).values())
    assert await findings(wired) == []


async def test_archived_streams_are_rebuilt_and_audited_like_the_others(wired: Causeway, project: UUID) -> None:
    before = await rows_of(wired.pool, END_USERS, 1)
    streams = await wired.pool.fetch(
        "select stream_id from streams where tenant_id = $1 and stream_type in ('connection', 'end_user')", project
    )
    for row in streams:
        assert await wired.pool.fetchval("select archive_stream($1, $2)", project, row["stream_id"]) > 0
    assert await findings(wired) == []
    await wired.rebuild.run(END_USERS)
    assert await rows_of(wired.pool, END_USERS, 2) == before
    assert await findings(wired) == []
    await connect(wired, project, "after the archive")
    assert await shows_connected(wired, project, "after the archive")


@pytest.fixture
async def empty(ground: Ground) -> AsyncIterator[str]:
    """An empty database beside the test's own."""
    name = f"restored_{uuid4().hex}"
    await _run("psql", ground.server_dsn, "-c", f"create database {name}")
    yield ground.dsn(name)
    await _run("psql", ground.server_dsn, "-c", f"drop database {name} with (force)")


async def _run(program: str, dsn: str, *arguments: str) -> None:
    path = max(package_folder().glob(f"pginstall*/bin/{program}"), key=lambda path: str(path.parent.parent))
    process = await asyncio.create_subprocess_exec(
        path, "--no-psqlrc" if program == "psql" else "--no-owner", *arguments, dsn, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def test_a_dump_restored_elsewhere_is_audited_clean_and_goes_on(
    wired: Causeway, ground: Ground, dsn: str, empty: str, project: UUID, tmp_path: Path
) -> None:
    await wired.rebuild.run(END_USERS)
    stream = await wired.pool.fetchval("select stream_id from streams where stream_type = 'connection' limit 1")
    await wired.pool.execute("select archive_stream($1, $2)", project, stream)
    dump = tmp_path / "dump.sql"
    await _run("pg_dump", dsn, "--file", str(dump))
    await _run("psql", empty, "--quiet", "--set", "ON_ERROR_STOP=1", "--single-transaction", "--file", str(dump))
    head = await wired.pool.fetchval("select position from tenant_heads where tenant_id = $1", project)
    async with causeway(ground.settings(empty), empty) as restored:
        assert await restored.readiness() == []
        assert await findings(restored) == []
        await connect(restored, project, "after the restore")
        assert await shows_connected(restored, project, "after the restore")
        recorded = await restored.store.read_tenant(project, head)
        assert [one.position for one in recorded] == [head + 1, head + 2]
        await restored.rebuild.run(END_USERS)
        assert await findings(restored) == []
