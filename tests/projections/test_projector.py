"""The projector: exactly once, never silently wrong, and nobody suffers from another's riddle."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from app import Causeway, causeway
from domain import event_codec
from projections.catalogue import ALL_PROJECTIONS
from projections.end_users import END_USERS
from projections.follower import Follower
from projections.generations import resume_stopped
from projections.projector import Projector
from tests.conftest import Ground
from tests.projections.histories import (
    CALLER,
    append_raw,
    checkpoint,
    connect,
    fed_by_other_code,
    findings,
    lose_events,
    new_project,
    shows_connected,
    small_batches,
)

INVENTED = "end_user.invented_later"


@pytest.fixture
def project(ground: Ground) -> UUID:
    return ground.plan.project_id


async def _age_marks(wired: Causeway) -> None:
    await wired.pool.execute("update dirty set marked_at = marked_at - interval '1 minute'")


async def test_events_that_nobody_followed_are_swept_up(wired: Causeway, project: UUID) -> None:
    position = await append_raw(
        wired, project, "project.changed", b'{"name":"New","webhook_url":"https://a.example"}', project
    )
    await _age_marks(wired)
    assert await wired.follower.sweep() == 1
    assert [row.name for row in await wired.services.project_queries.rows([project])] == ["New"]
    assert (await checkpoint(wired, END_USERS, project))[0] == position
    assert await wired.pool.fetchval("select count(*) from dirty") == 0


async def test_many_batches_come_to_the_same_rows(
    wired: Causeway, project: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_batches(monkeypatch)
    for number in range(8):
        await append_raw(wired, project, "project.changed", b'{"name":"N%d","webhook_url":"u"}' % number, project)
    head = await wired.pool.fetchval("select position from tenant_heads where tenant_id = $1", project)
    assert await wired.projector.catch_up([project]) == {project: head}
    assert [row.name for row in await wired.services.project_queries.rows([project])] == ["N7"]
    assert await findings(wired) == []


async def test_an_unknown_event_stops_that_tenants_read_model_alone_and_readyz_says_so(
    wired: Causeway, ground: Ground, project: UUID
) -> None:
    other = await new_project(wired, ground.plan.company_id)
    position = await append_raw(wired, project, INVENTED)
    await wired.follower.follow(project, position)
    problems = await wired.readiness()
    assert len(problems) == 1
    assert f"end_users of tenant {project} has stopped at position {position}" in problems[0]
    assert INVENTED in problems[0]
    await wired.services.projects.issue_token(project, CALLER, "still works")
    assert (await checkpoint(wired, ALL_PROJECTIONS[3], project))[0] == position + 1
    assert (await checkpoint(wired, END_USERS, other))[1] is None


async def test_a_stopped_read_model_goes_on_when_a_program_knows_the_event(
    wired: Causeway, project: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = await append_raw(wired, project, INVENTED)
    await wired.follower.follow(project, position)
    await connect(wired, project, "ada")
    assert not await shows_connected(wired, project, "ada")
    monkeypatch.setitem(event_codec._upcasters, INVENTED, ("end_user.erased", lambda members: members))
    async with wired.pool.acquire() as connection:
        assert await resume_stopped(connection, ALL_PROJECTIONS) == 1
    await _age_marks(wired)
    assert await wired.follower.sweep() == 1
    assert await shows_connected(wired, project, "ada")
    assert await wired.readiness() == []
    assert await findings(wired) == []


async def test_an_event_that_cannot_be_read_stops_its_own_tenant_only(
    wired: Causeway, ground: Ground, project: UUID
) -> None:
    other = await new_project(wired, ground.plan.company_id)
    position = await append_raw(wired, project, "end_user.added", b'{"external_id": "secret text"}')
    change = b'{"name":"New","webhook_url":"u"}'
    theirs = await append_raw(wired, other, "project.changed", change, other)
    assert (await wired.projector.catch_up([project, other]))[other] == theirs
    assert [row.name for row in await wired.services.project_queries.rows([other])] == ["New"]
    stopped = (await checkpoint(wired, END_USERS, project))[1]
    assert stopped == f"position {position}: ValidationError"


async def test_a_missing_event_stops_its_own_tenant_only(wired: Causeway, ground: Ground, project: UUID) -> None:
    other = await new_project(wired, ground.plan.company_id)
    change = b'{"name":"New","webhook_url":"u"}'
    position = await append_raw(wired, project, "project.changed", change, project)
    await append_raw(wired, project, "project.changed", change, project)
    await lose_events(wired, project, position)
    theirs = await append_raw(wired, other, "project.changed", change, other)
    reached = await wired.projector.catch_up([project, other])
    assert reached[other] == theirs
    assert f"position {position}: the event is missing" in (await checkpoint(wired, END_USERS, project))[1]
    assert any("is missing" in problem for problem in await wired.readiness())


async def test_a_lost_last_event_is_noticed_too(wired: Causeway, project: UUID) -> None:
    position = await append_raw(wired, project, "project.changed", b'{"name":"New","webhook_url":"u"}', project)
    await lose_events(wired, project, position)
    await wired.projector.catch_up([project])
    assert f"position {position}: the event is missing" in (await checkpoint(wired, END_USERS, project))[1]


async def test_events_that_were_archived_before_they_were_folded_are_folded(wired: Causeway, project: UUID) -> None:
    stream = uuid4()
    await append_raw(wired, project, "integration.removed", b"{}", stream)
    last = await append_raw(wired, project, "integration.removed", b"{}", stream)
    await wired.pool.execute("select archive_stream($1, $2)", project, stream)
    assert await wired.projector.catch_up([project]) == {project: last}
    assert await findings(wired) == []


async def test_a_tenant_whose_read_models_have_all_stopped_does_not_keep_the_sweeper_busy(
    wired: Causeway, project: UUID
) -> None:
    await append_raw(wired, project, "project.invented_later")
    await _age_marks(wired)
    await wired.follower.sweep()
    follow_projects = [projection for projection in ALL_PROJECTIONS if "project" in projection.reads]
    assert len(await wired.readiness()) == len(follow_projects)
    await append_raw(wired, project, "project.changed")
    await _age_marks(wired)
    assert await wired.follower.sweep() == 1
    assert await wired.follower.sweep() == 0
    assert await wired.pool.fetchval("select count(*) from dirty") == 0


async def test_a_process_with_other_code_leaves_the_work_to_one_that_can_do_it(wired: Causeway, project: UUID) -> None:
    elsewhere = [fed_by_other_code(p) if p is END_USERS else p for p in ALL_PROJECTIONS]
    theirs = Projector(wired.pool, elsewhere, wired.vault, print)
    position = await append_raw(wired, project, "project.changed", b'{"name":"New","webhook_url":"u"}', project)
    await theirs.catch_up([project])
    assert (await checkpoint(wired, ALL_PROJECTIONS[2], project))[0] == position
    assert (await checkpoint(wired, END_USERS, project))[0] == position - 1
    await _age_marks(wired)
    assert await Follower(wired.pool, theirs, print).sweep() == 0
    await _age_marks(wired)
    assert await wired.follower.sweep() == 1
    assert (await checkpoint(wired, END_USERS, project))[0] == position


async def test_two_processes_at_one_tenant_fold_every_event_once(
    wired: Causeway, ground: Ground, dsn: str, project: UUID
) -> None:
    async with causeway(ground.settings(dsn), dsn) as other:
        await asyncio.gather(
            *(connect(one, project, f"user{number}") for number in range(20) for one in (wired, other)),
        )
        for number in range(20):
            assert await shows_connected(wired, project, f"user{number}")
    assert await findings(wired) == []
