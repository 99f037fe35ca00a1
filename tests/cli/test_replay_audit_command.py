"""scripts/replay_audit: differences, the past, and who did what."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

import pytest

from adapters.cli import auditing
from app import Causeway
from tests.cli.commands import audit, environment, run
from tests.conftest import Ground
from tests.projections.histories import CALLER, append_raw, connect, some_history


@pytest.fixture
async def project(wired: Causeway, ground: Ground) -> UUID:
    await some_history(wired, ground.plan.project_id)
    return ground.plan.project_id


async def _now(wired: Causeway) -> datetime:
    return await wired.pool.fetchval("select clock_timestamp()")


async def test_a_sound_database_is_said_to_be_sound(wired: Causeway, project: UUID) -> None:
    said = await audit(wired)
    assert (said.code, said.out) == (0, "")
    assert said.aside.splitlines()[-1].endswith("compared: no difference")
    assert "read a second time through the eventsourcing library" in said.aside
    assert "eventsourcing" not in (await audit(wired, "--no-second-opinion")).aside


async def test_a_difference_is_printed_and_the_exit_code_is_1(wired: Causeway, project: UUID) -> None:
    await wired.pool.execute("update read_end_users_1 set external_id = E'mall\\x1bory' where external_id = 'user1'")
    said = await audit(wired)
    assert said.code == 1
    [line] = said.lines
    assert line.startswith(f"tenant {project}  end_users  read_end_users_1 (end user id ")
    assert line.endswith("changed external_id: stored mall\\x1bory, the history says user1")
    assert said.aside.splitlines()[-1].endswith("compared: 1 difference")
    finding, summary = (await audit(wired, "--json")).objects
    assert (finding["problem"], finding["column"], finding["folded"]) == ("changed", "external_id", "user1")
    assert summary["second_opinion"] is True
    assert summary["summary"]["findings"] == 1  # type: ignore[index]


async def test_the_program_itself_exits_with_1_when_something_differs(
    wired: Causeway, ground: Ground, dsn: str, project: UUID
) -> None:
    settings = environment(ground, dsn)
    assert (await run(settings, "replay_audit", "--second-opinion")).code == 0
    await wired.pool.execute("delete from read_end_users_1 where external_id = 'user1'")
    said = await run(settings, "replay_audit", "--tenant", str(project))
    assert said.code == 1
    assert "missing row, the history says: external id user1" in said.out
    assert "Traceback" not in said.aside


async def test_read_models_are_printed_as_they_were(wired: Causeway, project: UUID) -> None:
    await connect(wired, project, "ada")
    before = await _now(wired)
    await wired.services.connections.delete(project, CALLER, "ada", "github")
    await wired.services.end_users.erase(project, CALLER, "user1")
    await connect(wired, project, "newcomer")
    then = await audit(wired, "--as-of", before.isoformat(), "--tenant", project, "--json")
    now = await audit(wired, "--as-of", (await _now(wired)).isoformat(), "--tenant", project, "--json")
    assert (then.code, now.code) == (0, 0)

    def users(rows: list[dict[str, object]]) -> set[object]:
        return {row["values"]["external_id"] for row in rows if row["table"] == "read_end_users_1"}  # type: ignore[index]

    def connections(rows: list[dict[str, object]]) -> int:
        return len([row for row in rows if row["table"] == "read_connections_1"])

    assert users(then.objects) == {"user0", "user3", "user4", "user5", "ada"}, "the erased are gone from the past too"
    assert users(now.objects) == {"user0", "user3", "user4", "user5", "ada", "newcomer"}
    assert connections(then.objects) - connections(now.objects) == 1
    words = (await audit(wired, "--as-of", before.isoformat(), "--tenant", project)).out
    assert f"end_users of tenant {project}: read_end_users_1\nend user id" in words
    assert "ada" in words
    assert "newcomer" not in words


async def test_before_the_first_event_there_was_nothing(wired: Causeway, project: UUID) -> None:
    assert (await audit(wired, "--as-of", "2020-01-01")).lines == []


async def test_a_timeline_says_who_did_what_when_and_because_of_what(wired: Causeway, project: UUID) -> None:
    user = await wired.services.end_user_queries.end_user_id(project, "user1")
    said = await audit(wired, "--stream", user)
    assert said.code == 0
    assert said.lines[0] == f"end user {user} of tenant {project}: 1 event"
    assert said.lines[2].endswith("Z  End user added")
    assert said.lines[3].strip() == "external id user1"
    assert said.lines[4].strip().startswith("by test:history; command ")
    stream = await wired.pool.fetchval("select stream_id from streams where stream_type = 'connection' and version = 2")
    await wired.pool.execute("select archive_stream($1, $2)", project, stream)
    versions = [(one["version"], one["topic"]) for one in (await audit(wired, "--stream", stream, "--json")).objects]
    assert [version for version, _ in versions] == [1, 2]


async def test_personal_text_reads_forgotten_after_erasure(wired: Causeway, project: UUID) -> None:
    user = await wired.services.end_user_queries.end_user_id(project, "user1")
    await wired.services.end_users.erase(project, CALLER, "user1")
    said = await audit(wired, "--stream", user, "--tenant", project)
    assert "external id Forgotten" in said.out
    assert "End user erased" in said.out
    assert (await audit(wired, "--stream", user, "--json")).objects[0]["fields"] == {"external_id": "Forgotten"}


async def test_an_event_that_this_program_does_not_know_is_in_the_timeline(wired: Causeway, project: UUID) -> None:
    stream = uuid4()
    await append_raw(wired, project, "end_user.invented_later", stream_id=stream)
    said = await audit(wired, "--stream", stream)
    assert "cannot be read by this program (UnknownEvent): end_user.invented_later" in said.out


async def test_nobody_and_nothing_are_one_line_each(wired: Causeway, project: UUID) -> None:
    nowhere = uuid4()
    tenant, stream = await audit(wired, "--tenant", nowhere), await audit(wired, "--stream", nowhere)
    assert (tenant.code, tenant.aside) == (2, f"scripts/replay_audit: there is no tenant {nowhere}\n")
    assert (stream.code, stream.aside) == (1, f"scripts/replay_audit: there is no stream {nowhere}\n")


@pytest.mark.parametrize(("option", "value"), [("--as-of", "yesterday"), ("--stream", "7"), ("--tenant", "x")])
def test_a_wrong_argument_is_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        auditing.parse([option, value])
    assert exited.value.code == 2
    assert f"argument {option}" in capsys.readouterr().err
