"""The audit: silent over a sound database, and loud about anything that was touched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import pytest

from adapters.postgres.notification_log import LibraryNotifications
from app import Causeway
from projections.audit import SecondEvent
from projections.end_users import END_USERS
from tests.conftest import Ground
from tests.projections.histories import (
    CALLER,
    append_raw,
    connect,
    fed_by_other_code,
    findings,
    lively_project,
    lose_events,
    small_batches,
    some_history,
)


@pytest.fixture
async def project(wired: Causeway, ground: Ground) -> UUID:
    await some_history(wired, ground.plan.project_id)
    return ground.plan.project_id


@pytest.fixture
async def library(dsn: str) -> AsyncIterator[LibraryNotifications]:
    notifications = LibraryNotifications(dsn)
    yield notifications
    await notifications.aclose()


async def test_a_sound_database_has_no_findings_by_either_reading(
    wired: Causeway, ground: Ground, project: UUID, library: LibraryNotifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lively_project(wired, ground.plan.company_id)
    small_batches(monkeypatch)
    assert await findings(wired, second=library) == []


async def test_a_changed_column_is_found(wired: Causeway, project: UUID) -> None:
    await wired.pool.execute("update read_end_users_1 set external_id = 'mallory' where external_id = 'user1'")
    [finding] = await findings(wired)
    assert (finding.problem, finding.projection, finding.table) == ("changed", "end_users", "read_end_users_1")
    assert (finding.column, finding.stored, finding.folded) == ("external_id", "mallory", "user1")
    assert (finding.tenant_id, list(finding.key)) == (project, ["end_user_id"])


async def test_a_deleted_row_is_found(wired: Causeway, project: UUID) -> None:
    await wired.pool.execute("delete from read_end_users_1 where external_id = 'user1'")
    [finding] = await findings(wired)
    assert (finding.problem, finding.folded["external_id"]) == ("missing row", "user1")


async def test_an_extra_row_is_found(wired: Causeway, project: UUID) -> None:
    token = uuid4()
    await wired.pool.execute(
        "insert into read_project_tokens_1 (tenant_id, generation, token_id, name, digest) values ($1, 1, $2, 'mine', 'x')",
        project,
        token,
    )
    [finding] = await findings(wired)
    assert (finding.problem, finding.key, finding.stored["name"]) == ("extra row", {"token_id": token}, "mine")


async def test_only_the_asked_tenant_is_audited(wired: Causeway, ground: Ground, project: UUID) -> None:
    await wired.pool.execute("delete from read_end_users_1")
    assert await findings(wired, ground.plan.company_id) == []
    assert {finding.tenant_id for finding in await findings(wired, project)} == {project}


async def test_a_lost_event_is_found_as_a_hole_and_not_as_a_hundred_rows(wired: Causeway, project: UUID) -> None:
    await lose_events(wired, project, 6)
    problems = [finding.problem for finding in await findings(wired)]
    assert "position 6 is missing: after it comes 7" in problems
    assert any("holds" in problem and "should be at version" in problem for problem in problems)
    assert not {"missing row", "extra row", "changed"} & set(problems)


async def test_a_lost_last_event_and_a_lost_stream_are_found(wired: Causeway, project: UUID) -> None:
    position = await append_raw(wired, project, "integration.removed")
    await wired.projector.catch_up([project])
    await lose_events(wired, project, position)
    problems = " ".join(finding.problem for finding in await findings(wired))
    assert f"the last position is {position - 1} and the head is at {position}" in problems
    assert "holds 0 events and should be at version 1" in problems


async def test_a_stopped_read_model_is_found(wired: Causeway, project: UUID) -> None:
    position = await append_raw(wired, project, "end_user.invented_later")
    await wired.projector.catch_up([project])
    [finding] = await findings(wired)
    assert finding.projection == "end_users"
    assert f"has stopped at position {position}" in finding.problem


async def test_a_read_model_that_was_forgotten_by_everybody_is_found(wired: Causeway, project: UUID) -> None:
    await append_raw(wired, project, "project.changed", b'{"name":"New","webhook_url":"u"}', project)
    assert await findings(wired) == [], "what is still to be folded is no difference"
    await wired.pool.execute("delete from dirty")
    problems = {finding.problem for finding in await findings(wired)}
    assert len(problems) == 1
    assert "nothing says that more is to come" in problems.pop()


async def test_a_lost_checkpoint_is_found(wired: Causeway, project: UUID) -> None:
    await wired.pool.execute("delete from checkpoints where projection = 'end_users' and tenant_id = $1", project)
    [finding] = await findings(wired)
    assert finding.problem == "does not serve: run scripts/rebuild end_users"


async def test_what_other_code_fed_is_said_and_not_compared(wired: Causeway, project: UUID) -> None:
    await wired.pool.execute(
        "update projection_generations set code_hash = $1 where projection = 'end_users'",
        fed_by_other_code(END_USERS).code_hash,
    )
    [finding] = await findings(wired)
    assert finding.problem == "is fed by other code than this: run scripts/rebuild end_users"


async def test_erasures_and_writes_during_the_audit_are_no_differences(
    wired: Causeway, ground: Ground, project: UUID
) -> None:
    class Meanwhile:
        """Erases and connects between the reading of the events and the comparing of the rows."""

        async def read(self, tenant_id: UUID, first: int, last: int) -> Sequence[SecondEvent]:
            rows = await wired.pool.fetch(
                "select position, stream_id, version, topic, state from all_events"
                " where tenant_id = $1 and position between $2 and $3 order by position",
                tenant_id,
                first,
                last,
            )
            if tenant_id == project:
                await wired.services.end_users.erase(project, CALLER, "user1")
                await connect(wired, project, "newcomer")
            return [tuple(row) for row in rows]  # type: ignore[misc]

    assert await findings(wired, second=Meanwhile()) == []
    assert await findings(wired) == []


async def test_the_second_opinion_is_heard(wired: Causeway, project: UUID, library: LibraryNotifications) -> None:
    class Other:
        """Somebody whose reading lacks an event and has another state in one."""

        async def read(self, tenant_id: UUID, first: int, last: int) -> Sequence[SecondEvent]:
            events = await library.read(tenant_id, first, last)
            renamed = [(*one[:4], one[4].replace(b"Quickstart", b"Slowstart")) for one in events]
            return renamed[:-1] if tenant_id == project else renamed

    found = await findings(wired, second=Other())
    assert [one for one in found if one.problem == "second opinion: changed" and one.folded == "Quickstart"]
    assert [one for one in found if one.problem.startswith("second opinion: other positions")]


async def test_the_library_reads_one_tenants_history_alone(
    wired: Causeway, ground: Ground, project: UUID, library: LibraryNotifications
) -> None:
    other = await lively_project(wired, ground.plan.company_id)
    for tenant in (project, other, project):
        ours = await wired.store.read_tenant(tenant)
        theirs = await library.read(tenant, 1, 1_000)
        assert [(one.position, one.stream_id, one.version) for one in ours] == [one[:3] for one in theirs]
    assert [one[0] for one in await library.read(project, 3, 5)] == [3, 4, 5]
