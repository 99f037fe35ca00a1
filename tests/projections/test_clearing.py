"""A deleted project's read models are emptied in steps, beside the rounds in which everybody else's writes are followed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import UUID

import pytest

from app import Causeway, causeway
from projections import rows
from projections.catalogue import ALL_PROJECTIONS
from projections.end_users import END_USERS
from projections.reading import Pool
from projections.rows import MuchToRemove
from tests.conftest import Ground
from tests.projections.histories import (
    CALLER,
    connect,
    findings,
    lively_project,
    rows_of,
    shows_connected,
    small_batches,
    some_history,
)


@pytest.fixture
async def project(wired: Causeway, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """A project with more end users than may be removed at once, of whom a kept generation knows too."""
    monkeypatch.setattr(rows, "CLEARED_AT_ONCE", 4)
    await some_history(wired, ground.plan.project_id, users=8)
    await wired.rebuild.run(END_USERS)
    return ground.plan.project_id


class Gate:
    """Holds up whoever is about to remove much."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.reached = asyncio.Event(), asyncio.Event()
        self.fails: Exception | None = None
        remove = MuchToRemove.remove

        async def held(much: MuchToRemove, pool: Pool) -> None:
            self.reached.set()
            await self.open.wait()
            if self.fails:
                raise self.fails
            await remove(much, pool)

        monkeypatch.setattr(MuchToRemove, "remove", held)


@pytest.fixture
def gate(project: UUID, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    yield Gate(monkeypatch)


async def left(wired: Causeway, project: UUID) -> int:
    counts = [
        await wired.pool.fetchval(f"select count(*) from {table.name} where tenant_id = $1", project)
        for projection in ALL_PROJECTIONS
        for table in projection.tables
    ]
    return sum(counts)


async def test_a_deletion_is_answered_when_its_read_models_are_empty(
    wired: Causeway, ground: Ground, project: UUID
) -> None:
    assert await left(wired, project) > 0
    await wired.services.projects.delete(ground.plan.company_id, project, CALLER)
    assert await left(wired, project) == 0
    assert await findings(wired) == []


async def test_others_read_their_writes_while_much_is_being_removed(
    wired: Causeway, ground: Ground, project: UUID, gate: Gate
) -> None:
    other = await lively_project(wired, ground.plan.company_id)
    deletion = asyncio.create_task(wired.services.projects.delete(ground.plan.company_id, project, CALLER))
    await gate.reached.wait()
    for number in range(5):
        await connect(wired, other, f"meanwhile{number}")
        assert await shows_connected(wired, other, f"meanwhile{number}")
    assert not deletion.done()
    assert await findings(wired) == []  # the audit knows that it is on its way
    gate.open.set()
    await deletion
    assert await left(wired, project) == 0
    assert await findings(wired) == []


async def test_a_removal_that_failed_is_told_and_finished_by_another_process(
    wired: Causeway, ground: Ground, dsn: str, project: UUID, gate: Gate
) -> None:
    gate.fails = RuntimeError("the disk is full")
    gate.open.set()
    with pytest.raises(RuntimeError, match="the disk is full"):
        await wired.services.projects.delete(ground.plan.company_id, project, CALLER)
    assert await left(wired, project) > 0
    gate.fails = None
    async with causeway(ground.settings(dsn), dsn) as other:
        while await other.pool.fetchval("select exists (select from dirty)"):
            await other.pool.execute("update dirty set marked_at = marked_at - interval '1 minute'")
            await other.follower.sweep()
    assert await left(wired, project) == 0
    assert await findings(wired) == []


async def test_a_process_that_stops_finishes_the_removal_first(
    wired: Causeway, ground: Ground, project: UUID, gate: Gate
) -> None:
    deletion = asyncio.create_task(wired.services.projects.delete(ground.plan.company_id, project, CALLER))
    await gate.reached.wait()
    stopping = asyncio.create_task(wired.follower.drain())
    await asyncio.sleep(0)
    assert not stopping.done()
    gate.open.set()
    await stopping
    assert await left(wired, project) == 0
    await deletion


async def test_the_history_of_a_deleted_project_is_folded_to_nothing_again(
    wired: Causeway, ground: Ground, project: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    await wired.services.projects.delete(ground.plan.company_id, project, CALLER)
    small_batches(monkeypatch)
    for projection in ALL_PROJECTIONS:
        await wired.rebuild.run(projection)
    assert not any((await rows_of(wired.pool, END_USERS, 3)).values())
    assert await left(wired, project) == 0
    assert await findings(wired) == []
