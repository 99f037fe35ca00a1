"""Rebuilding: the same rows again, interruptible anywhere, and the way back."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from app import Causeway
from projections.catalogue import ALL_PROJECTIONS
from projections.end_users import END_USERS
from projections.generations import list_generations, outdated
from projections.projection import Projection
from projections.projector import Projector
from projections.rebuild import Progress, Rebuild
from tests.conftest import Ground
from tests.projections.histories import (
    append_raw,
    checkpoint,
    connect,
    fed_by_other_code,
    findings,
    live_generations,
    lively_project,
    lose_events,
    rows_of,
    shows_connected,
    small_batches,
    some_history,
)


class Interrupted(Exception):
    """Stands in for Ctrl-C and a kill: the rebuild ends between two of its transactions."""


@pytest.fixture
def project(ground: Ground) -> UUID:
    return ground.plan.project_id


@pytest.fixture
async def lively(wired: Causeway, ground: Ground, project: UUID, monkeypatch: pytest.MonkeyPatch) -> Causeway:
    """A process over three projects with history, whose batches are small."""
    small_batches(monkeypatch)
    await some_history(wired, project)
    for _ in range(2):
        await lively_project(wired, ground.plan.company_id)
    return wired


async def _statuses(wired: Causeway, projection: Projection = END_USERS) -> dict[int, str]:
    async with wired.pool.acquire() as connection:
        return {row.generation: row.status for row in await list_generations(connection, [projection])}


@pytest.mark.parametrize("projection", ALL_PROJECTIONS, ids=lambda projection: projection.name)
async def test_a_new_generation_has_the_rows_of_the_old_one(lively: Causeway, projection: Projection) -> None:
    before = await rows_of(lively.pool, projection, 1)
    assert any(before.values())
    told: list[Progress] = []
    assert await lively.rebuild.run(projection, told.append) == 2
    assert await rows_of(lively.pool, projection, 2) == before
    assert await live_generations(lively.pool, projection) == {2}
    assert told[-1].done == told[-1].total > 0
    assert await findings(lively) == []
    assert await lively.readiness() == []


async def test_one_earlier_generation_is_kept_and_older_ones_are_removed(lively: Causeway) -> None:
    for _ in range(3):
        await lively.rebuild.run(END_USERS)
    assert await _statuses(lively) == {3: "kept", 4: "live"}
    assert not any((await rows_of(lively.pool, END_USERS, 2)).values())
    assert (
        await lively.pool.fetchval("select count(*) from checkpoints where projection = 'end_users' and generation < 3")
        == 0
    )


async def test_a_roll_back_catches_up_and_serves_what_was_written_since(lively: Causeway, project: UUID) -> None:
    await lively.rebuild.run(END_USERS)
    await connect(lively, project, "latecomer")
    assert await lively.rebuild.roll_back(END_USERS) == 1
    assert await live_generations(lively.pool, END_USERS) == {1}
    assert await shows_connected(lively, project, "latecomer")
    await connect(lively, project, "later still")
    assert await shows_connected(lively, project, "later still")
    assert await findings(lively) == []
    assert await _statuses(lively) == {1: "live", 2: "kept"}


async def test_a_rebuild_after_a_roll_back_keeps_what_served_until_then(lively: Causeway) -> None:
    await lively.rebuild.run(END_USERS)
    await lively.rebuild.roll_back(END_USERS)
    assert await lively.rebuild.run(END_USERS) == 3
    assert await _statuses(lively) == {1: "kept", 3: "live"}
    assert await findings(lively) == []


async def test_nothing_to_roll_back_to_is_said(lively: Causeway) -> None:
    with pytest.raises(LookupError, match="no earlier generation of end_users"):
        await lively.rebuild.roll_back(END_USERS)


@pytest.mark.parametrize("direction", ["rebuild", "roll back"])
async def test_an_interrupted_rebuild_goes_on_wherever_it_was(lively: Causeway, project: UUID, direction: str) -> None:
    if direction == "roll back":
        await lively.rebuild.run(END_USERS)
    run = lively.rebuild.run if direction == "rebuild" else lively.rebuild.roll_back
    expected = await rows_of(lively.pool, END_USERS, 1)
    generations = set()
    for attempt in range(100):

        def interrupt(progress: Progress) -> None:
            generations.add(progress.generation)
            if progress.done:
                raise Interrupted

        try:
            generation = await run(END_USERS, interrupt)
        except Interrupted:
            assert await shows_connected(lively, project, "user1"), attempt
            continue
        break
    assert generations == {generation}
    assert await rows_of(lively.pool, END_USERS, generation) == expected
    assert await live_generations(lively.pool, END_USERS) == {generation}
    assert await findings(lively) == []


async def test_a_cancelled_rebuild_goes_on(lively: Causeway, project: UUID) -> None:
    for steps in range(60):
        running = asyncio.create_task(lively.rebuild.run(END_USERS))
        for _ in range(steps * 5):
            await asyncio.sleep(0)
        running.cancel()
        try:
            generation = await running
        except asyncio.CancelledError:
            assert await shows_connected(lively, project, "user1")
            continue
        break
    else:
        generation = await lively.rebuild.run(END_USERS)
    assert await live_generations(lively.pool, END_USERS) == {generation}
    assert await findings(lively) == []


async def test_removing_old_rows_that_was_interrupted_goes_on_without_another_rebuild(lively: Causeway) -> None:
    await lively.rebuild.run(END_USERS)
    await lively.pool.execute(
        "update projection_generations set status = 'dropped' where projection = 'end_users' and generation = 1"
    )
    assert await lively.rebuild.run(END_USERS) == 2
    assert await _statuses(lively) == {2: "live"}
    assert not any((await rows_of(lively.pool, END_USERS, 1)).values())


async def test_a_first_build_that_was_interrupted_holds_no_writer_up(lively: Causeway, project: UUID) -> None:
    await lively.pool.execute("delete from checkpoints where projection = 'end_users'")
    await lively.pool.execute("delete from projection_generations where projection = 'end_users'")
    for table in END_USERS.tables:
        await lively.pool.execute(f"delete from {table.name}")

    def interrupt(progress: Progress) -> None:
        if progress.done:
            raise Interrupted

    with pytest.raises(Interrupted):
        await lively.rebuild.run(END_USERS, interrupt)
    async with asyncio.timeout(10):
        await connect(lively, project, "ada")
        await lively.rebuild.run(END_USERS)
    assert await shows_connected(lively, project, "ada")
    assert await findings(lively) == []


async def test_a_history_that_cannot_be_folded_again_leaves_what_serves(
    lively: Causeway, ground: Ground, project: UUID
) -> None:
    other = await lively_project(lively, ground.plan.company_id)
    await lose_events(lively, project, 7)
    assert await lively.rebuild.run(END_USERS) == 2
    assert await shows_connected(lively, project, "user1")
    assert await shows_connected(lively, other, "user1")
    await connect(lively, project, "ada")
    assert await shows_connected(lively, project, "ada")
    assert await live_generations(lively.pool, END_USERS) == {1, 2}
    assert [problem for problem in await lively.readiness() if "position 7: the event is missing" in problem]
    assert await lively.rebuild.run(END_USERS) == 3
    assert await shows_connected(lively, project, "ada")


async def test_what_stops_at_the_same_event_again_is_taken_over_there(lively: Causeway, project: UUID) -> None:
    position = await append_raw(lively, project, "end_user.invented_later")
    for _ in range(8):
        await append_raw(lively, project, "end_user.erased")
    await lively.projector.catch_up([project])
    assert await lively.rebuild.run(END_USERS) == 2
    assert await live_generations(lively.pool, END_USERS) == {2}
    at, why = await checkpoint(lively, END_USERS, project)
    assert at == position - 1
    assert why is not None and "invented_later" in why


async def test_code_that_changed_makes_its_own_generation_and_the_old_one_stays(
    lively: Causeway, project: UUID
) -> None:
    newer = fed_by_other_code(END_USERS)
    projector = Projector(lively.pool, [newer], lively.vault, print)
    async with lively.pool.acquire() as connection:
        assert await outdated(connection, [newer]) == [newer]
        assert await outdated(connection, [END_USERS]) == []
    before = await rows_of(lively.pool, END_USERS, 1)
    assert await Rebuild(lively.pool, projector).run(newer) == 2
    assert await rows_of(lively.pool, END_USERS, 2) == before
    await connect(lively, project, "ada")
    assert await rows_of(lively.pool, END_USERS, 1) == before, "a generation was fed by code that is not its own"
    await projector.catch_up([project])
    assert await shows_connected(lively, project, "ada")
    with pytest.raises(LookupError):
        await Rebuild(lively.pool, projector).roll_back(newer)
    assert await lively.rebuild.roll_back(END_USERS) == 1
    assert await shows_connected(lively, project, "ada")


async def test_a_half_built_generation_of_other_code_does_not_push_the_kept_one_out(lively: Causeway) -> None:
    newer = fed_by_other_code(END_USERS)

    def interrupt(progress: Progress) -> None:
        if progress.done:
            raise Interrupted

    with pytest.raises(Interrupted):
        await Rebuild(lively.pool, Projector(lively.pool, [newer], lively.vault, print)).run(newer, interrupt)
    assert await lively.rebuild.run(END_USERS) == 3
    assert await _statuses(lively) == {1: "kept", 3: "live"} or await _statuses(lively) == {
        1: "kept",
        2: "building",
        3: "live",
    }
    assert await findings(lively) == []
