"""scripts/rebuild: what it says, and that it may be stopped."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import signal
import tempfile
from pathlib import Path
from uuid import UUID

import pytest

from adapters.cli import rebuilding
from adapters.cli.progress import Out, ProgressLine
from app import Causeway
from projections.catalogue import ALL_PROJECTIONS
from tests.cli.commands import Terminal, environment, run, start, without_settings
from tests.conftest import Ground
from tests.projections.histories import append_raw, connect, findings, live_generations


async def _rebuild(wired: Causeway, *arguments: str) -> tuple[int, list[str]]:
    out = io.StringIO()
    chosen = rebuilding.parse(arguments, ALL_PROJECTIONS)
    code = await rebuilding.rebuild(wired.rebuild, wired.pool, ALL_PROJECTIONS, chosen, Out.to(out))
    return code, out.getvalue().splitlines()


@pytest.mark.parametrize(
    "arguments", [["nobody"], ["--roll-back", "nobody"], [], ["--all", "--list"], ["end_users", "--all"]]
)
def test_what_cannot_be_meant_is_one_line_that_names_the_read_models(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        rebuilding.parse(arguments, ALL_PROJECTIONS)
    said = capsys.readouterr().err
    assert exited.value.code == 2
    assert said.count("\n") == 1
    assert "accounts, companies, projects, project_tokens, integrations, end_users" in said


async def test_all_read_models_are_rebuilt_one_after_the_other(wired: Causeway) -> None:
    code, lines = await _rebuild(wired, "--all")
    assert code == 0
    for projection in ALL_PROJECTIONS:
        assert f"{projection.name}: generation 2 serves" in lines
        assert [
            line for line in lines if line.startswith(f"{projection.name}  [##############################] 100.0%")
        ]
        assert await live_generations(wired.pool, projection) == {2}


async def test_machines_get_one_object_per_line(wired: Causeway) -> None:
    code, lines = await _rebuild(wired, "end_users", "--json")
    *progress, last = [json.loads(line) for line in lines]
    assert code == 0
    assert progress[-1]["done"] == progress[-1]["total"] > 0
    assert progress[-1].keys() == {"projection", "generation", "done", "total", "per_second", "seconds_left"}
    assert last == {"finished": "end_users: generation 2 serves"}
    listed = [json.loads(line) for line in (await _rebuild(wired, "--list", "--json"))[1]]
    of_end_users = [
        (one["generation"], one["status"], one["serving"]) for one in listed if one["projection"] == "end_users"
    ]
    assert of_end_users == [(1, "kept", 0), (2, "live", 1)]


async def test_the_list_shows_how_far_behind_a_kept_generation_is(wired: Causeway, ground: Ground) -> None:
    await _rebuild(wired, "end_users")
    await connect(wired, ground.plan.project_id, "ada")
    code, lines = await _rebuild(wired, "--list")
    assert code == 0
    assert lines[0].split()[:2] == ["read", "model"]
    kept = next(line for line in lines if line.startswith("end_users") and "kept" in line)
    assert kept.split()[:9] == ["end_users", "1", "kept", "this", "program", "1", "0", "2", "0"]


async def test_rolling_back_without_a_kept_generation_is_one_line(wired: Causeway) -> None:
    assert await _rebuild(wired, "--roll-back", "end_users") == (
        1,
        ["no earlier generation of end_users is kept that this program could feed"],
    )


async def test_a_read_model_that_stopped_is_said(wired: Causeway, ground: Ground) -> None:
    position = await append_raw(wired, ground.plan.project_id, "end_user.invented_later")
    code, lines = await _rebuild(wired, "end_users")
    assert code == 1
    assert lines[-1].startswith(f"end_users of tenant {ground.plan.project_id} has stopped at position {position}")


def test_on_a_terminal_one_line_is_drawn_again_and_again() -> None:
    now = iter([0.0, 1.0, 2.0, 4.0]).__next__
    terminal = Terminal()
    line = ProgressLine(Out.to(terminal), clock=now)
    for done in (100, 200, 400):
        line({"projection": "end_users"}, done, 400)
    line.finish("done")
    assert terminal.getvalue().count("\n") == 2
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert drawn[1] == "end_users  [########                      ]  25.0%  100/400 events  100/s  3 s left"
    assert drawn[-1].endswith("400/400 events  100/s  0 s left\ndone\n")


def test_elsewhere_lines_come_now_and_then() -> None:
    now = iter([0.0, 0.1, 0.6, 0.7, 0.8]).__next__
    stream = io.StringIO()
    line = ProgressLine(Out.to(stream), clock=now)
    for done in (1, 2, 3, 4):
        line({"projection": "end_users"}, done, 4)
    assert [one.split("%  ")[1].split()[0] for one in stream.getvalue().splitlines()] == ["2/4", "4/4"]


async def _many_events(wired: Causeway, project: UUID, count: int) -> None:
    """The same change over and over, put there by the database itself."""
    await append_raw(wired, project, "project.changed", b'{"name":"New","webhook_url":"u"}', project)
    await wired.pool.execute(
        "with h as (update tenant_heads set position = position + $2 where tenant_id = $1 returning position),"
        " s as (update streams set version = version + $2 where tenant_id = $1 and stream_id = $1 returning version),"
        " e as (select * from events where tenant_id = $1 and stream_id = $1 order by version desc limit 1)"
        " insert into events (tenant_id, stream_id, version, position, topic, state, metadata, recorded_at)"
        " select $1, $1, s.version - $2 + i, h.position - $2 + i, e.topic, e.state, e.metadata, clock_timestamp()"
        " from h, s, e, generate_series(1, $2::integer) as i",
        project,
        count,
    )
    await wired.projector.catch_up([project])


async def test_ctrl_c_leaves_a_state_from_which_the_same_command_goes_on(
    wired: Causeway, ground: Ground, dsn: str
) -> None:
    project = ground.plan.project_id
    await _many_events(wired, project, 150_000)
    process = await start(environment(ground, dsn), "rebuild", "projects", "--json")
    assert process.stdout is not None
    async with asyncio.timeout(60):
        first = json.loads(await process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, aside = await process.communicate()
    assert process.returncode not in (0, 1)
    assert 0 < first["done"] < first["total"]
    assert "the same command goes on" in aside.decode()
    assert "Traceback" not in aside.decode()
    assert await wired.services.project_queries.exists(project)
    again = await run(environment(ground, dsn), "rebuild", "projects", "--json")
    assert again.code == 0, again.aside
    assert again.objects[-1] == {"finished": "projects: generation 2 serves"}
    assert again.objects[0]["total"] < first["total"]
    assert await findings(wired) == []


async def test_the_commands_attach_to_the_database_of_a_running_service() -> None:
    folder = Path(tempfile.mkdtemp(prefix="causeway-tests-"))
    folder.chmod(0o711)
    own = {**without_settings(), "CAUSEWAY_DATA_DIR": str(folder / "data"), "CAUSEWAY_PORT": "0"}
    service = await start(own, "serve")
    try:
        assert service.stdout is not None
        async with asyncio.timeout(60):
            while "serves on" not in (await service.stdout.readline()).decode():
                continue
        rebuilt, audited = await run(own, "rebuild", "--all"), await run(own, "replay_audit")
        assert (rebuilt.code, audited.code) == (0, 0), rebuilt.aside + audited.aside
        assert "end_users: generation 2 serves" in rebuilt.out
        assert service.returncode is None
        service.send_signal(signal.SIGTERM)
        await asyncio.wait_for(service.communicate(), 30)
        alone = await run(own, "replay_audit")
        assert (alone.code, "no difference" in alone.aside) == (0, True)
    finally:
        if service.returncode is None:
            service.kill()
            await service.wait()
        shutil.rmtree(folder)


async def test_a_database_that_was_never_prepared_is_refused_in_one_line(ground: Ground) -> None:
    said = await run(environment(ground, ground.dsn("postgres")), "rebuild", "--all")
    assert said.code == 1
    assert said.aside == "causeway: the database's schema is not this program's; run scripts/migrate first\n"
