"""Rebuilding while everything goes on: no stale read, no lost tenant, whatever meets whatever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from uuid import UUID

import pytest

from app import Causeway, causeway
from domain.projects.use_cases import NewIntegration
from projections.catalogue import ALL_PROJECTIONS
from projections.end_users import END_USERS
from projections.projects import PROJECTS
from projections.rebuild import Superseded
from tests.conftest import Ground
from tests.projections.histories import (
    CALLER,
    connect,
    findings,
    live_generations,
    new_project,
    shows_connected,
    small_batches,
    some_history,
)


@pytest.fixture
async def other(ground: Ground, dsn: str, wired: Causeway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Causeway]:
    """A second process on the same database; both take small batches."""
    small_batches(monkeypatch)
    await some_history(wired, ground.plan.project_id)
    async with causeway(ground.settings(dsn), dsn) as second:
        yield second


async def _while_importing(wired: Causeway, reader: Causeway, project: UUID, *work: Awaitable[object]) -> list[object]:
    """Runs the work while users are connected one after the other; asserts that each shows at once, everywhere."""
    done = asyncio.gather(*work, return_exceptions=True)
    stale, number = [], 0
    while not done.done() or number < 5:
        number += 1
        user = f"meanwhile{number}"
        await connect(wired, project, user)
        if not (await shows_connected(wired, project, user) and await shows_connected(reader, project, user)):
            stale.append(user)
    assert stale == []
    return await done


async def test_a_rebuild_shows_no_stale_read_on_any_process(wired: Causeway, other: Causeway, ground: Ground) -> None:
    project = ground.plan.project_id

    async def again_and_again() -> None:
        for _ in range(4):
            await other.rebuild.run(END_USERS)
            await other.rebuild.roll_back(END_USERS)

    assert await _while_importing(wired, other, project, again_and_again()) == [None]
    assert len(await live_generations(wired.pool, END_USERS)) == 1
    assert await findings(wired) == []


async def test_two_rebuilds_at_once_come_to_one_generation(wired: Causeway, other: Causeway, ground: Ground) -> None:
    generations = await _while_importing(
        wired, other, ground.plan.project_id, wired.rebuild.run(END_USERS), other.rebuild.run(END_USERS)
    )
    assert set(generations) <= {2, 3}
    assert await live_generations(wired.pool, END_USERS) == {max(generations)}  # type: ignore[type-var]
    assert await findings(wired) == []


async def test_a_rebuild_and_a_roll_back_at_once_leave_a_state_to_go_on_from(
    wired: Causeway, other: Causeway, ground: Ground
) -> None:
    await wired.rebuild.run(END_USERS)
    for _ in range(3):
        outcomes = await _while_importing(
            wired, other, ground.plan.project_id, wired.rebuild.run(END_USERS), other.rebuild.roll_back(END_USERS)
        )
        assert all(isinstance(outcome, int | Superseded | LookupError) for outcome in outcomes), outcomes
        generation = await wired.rebuild.run(END_USERS)
        assert await live_generations(wired.pool, END_USERS) == {generation}
        assert await findings(wired) == []


async def test_projects_that_are_made_during_a_rebuild_show_at_once(
    wired: Causeway, other: Causeway, ground: Ground
) -> None:
    async def again_and_again() -> None:
        for _ in range(4):
            for projection in ALL_PROJECTIONS:
                await other.rebuild.run(projection)
            await other.rebuild.roll_back(PROJECTS)

    rebuilding = asyncio.create_task(again_and_again())
    unseen, made = [], 0
    while made < 5 or (made < 60 and not rebuilding.done()):
        one, reader = (wired, other) if made % 2 else (other, wired)
        made += 1
        project = await new_project(one, ground.plan.company_id)
        await one.services.projects.add_integration(project, CALLER, NewIntegration(app_key="github"))
        await connect(one, project, "ada")
        if not (
            await reader.services.project_queries.exists(project) and await shows_connected(reader, project, "ada")
        ):
            unseen.append(project)
    await rebuilding
    assert unseen == []
    assert await wired.pool.fetchval("select count(*) from checkpoints where not live and stopped is not null") == 0
    for projection in ALL_PROJECTIONS:
        assert len(await live_generations(wired.pool, projection)) == 1
    assert await findings(wired) == []
