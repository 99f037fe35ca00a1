"""The first start makes something to try; no later start does it again, and one that was killed is finished."""

import asyncio
import json
import random
import shutil
import stat
import subprocess
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres.embedded import EmbeddedPostgres
from scripts.torturing.services import Service, data_folder
from tests.api_client import Api
from tests.conftest import Ground
from tests.serving.conftest import Speak, Start

EVENTS = "select tenant_id, position, topic, state from events order by 1, 2"
PUBLIC = {
    "base_url",
    "email_address",
    "password",
    "company_id",
    "api_key",
    "project_id",
    "project_token",
}


def printed_command(service: Service) -> str:
    return next(line for line in service.said if "curl" in line).strip()


async def history(dsn: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(EVENTS)]
    finally:
        await connection.close()


async def history_in(data_dir: Path) -> list[tuple[object, ...]]:
    server = await EmbeddedPostgres.start(data_dir)
    try:
        return await history(server.dsn)
    finally:
        await server.stop()


async def first_road(api: Api) -> None:
    assert (await api.connect("ada")).status == 200
    assert await api.status("ada", "github") == {"github": "connected"}
    login = {"email_address": api.plan.email_address, "password": api.plan.password}
    assert (await api.call("POST", "/sso/v2/Auth/Login", login)).status == 200
    assert (await api.manage("GET", f"{api.managed_project}/EndUsers")).status == 200


async def test_a_first_start_leaves_keys_to_try_that_only_its_owner_can_read(
    start: Start, speak: Speak, data_dir: Path
) -> None:
    service = await start()
    path = data_dir / "quickstart.json"
    kept = json.loads(path.read_text())
    assert kept.keys() >= PUBLIC
    assert kept["base_url"] == service.url
    for name in ("quickstart.json", "master.key"):
        assert stat.S_IMODE((data_dir / name).stat().st_mode) == 0o600
    assert str(path) in service.text
    for secret in ("password", "api_key", "project_token"):
        assert kept[secret] not in service.text
    await first_road(await speak(service, service.plan()))


async def test_the_command_that_a_first_start_prints_works_at_once(start_empty: Start) -> None:
    service = await start_empty()
    ran = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", printed_command(service)], capture_output=True, text=True, timeout=30
    )
    assert json.loads(ran.stdout)["appName"] == "GitHub", ran.stderr


async def test_a_second_start_changes_nothing(start_empty: Start, data_dir: Path, empty: str) -> None:
    first = await start_empty()
    port = first.url.rpartition(":")[2]
    assert await first.stop() == 0
    kept, before = (data_dir / "quickstart.json").read_bytes(), await history(empty)
    second = await start_empty(PORT=port)
    assert printed_command(second)
    assert await second.stop() == 0
    assert (data_dir / "quickstart.json").read_bytes() == kept
    assert await history(empty) == before


async def test_what_was_taken_away_does_not_come_back_with_the_next_start(start_empty: Start, speak: Speak) -> None:
    service = await start_empty()
    api = await speak(service, service.plan())
    assert (await api.manage("DELETE", f"{api.managed_project}/Integration/github")).status == 200
    await service.stop()
    service = await start_empty()
    api = await speak(service, service.plan())
    assert (await api.connect("ada")).json["code"] == 600
    assert (await api.manage("DELETE", api.managed_project)).status == 200
    await service.stop()
    service = await start_empty()
    assert "curl" not in service.text
    listed = await (await speak(service, service.plan())).manage("GET", "/subscriptions/v2/Projects")
    assert listed.json == []


async def test_the_file_follows_the_address_that_is_served(start_empty: Start) -> None:
    await (await start_empty()).stop()
    service = await start_empty(PUBLIC_URL="https://causeway.example/here")
    assert service.plan().base_url == "https://causeway.example/here"
    assert "https://causeway.example/here/api/v1/ipaas" in printed_command(service)


@pytest.mark.parametrize("kills", [1, pytest.param(12, marks=pytest.mark.real)])
async def test_a_first_start_that_is_killed_at_any_moment_is_finished_by_the_next(speak: Speak, kills: int) -> None:
    with data_folder() as folder:
        for number, seconds in enumerate(random.uniform(0.2, 2.5) for _ in range(kills)):
            data_dir = folder / str(number)
            killed = await Service.start(data_dir)
            await asyncio.sleep(seconds)
            await killed.kill()
            service = await (await Service.start(data_dir)).serving()
            try:
                await first_road(await speak(service, service.plan()))
            finally:
                assert await service.stop() == 0
            topics = [row[2] for row in await history_in(data_dir)]
            for once in ("company.founded", "account.registered", "project.created", "project_token.issued"):
                assert topics.count(once) == 1, (once, seconds)
            shutil.rmtree(data_dir)


async def test_two_first_starts_at_the_same_moment_make_one_project(data_dir: Path, speak: Speak) -> None:
    both = [await Service.start(data_dir), await Service.start(data_dir)]
    try:
        for service in both:
            await service.serving()
        plan = both[0].plan()
        for service in both:
            api = await speak(service, plan)
            assert len((await api.manage("GET", "/subscriptions/v2/Projects")).json) == 1
    finally:
        for service in both:
            assert await service.stop() == 0


async def test_a_start_that_is_told_to_stop_leaves_nothing_running(data_dir: Path) -> None:
    service = await Service.start(data_dir)
    while not (data_dir / "pg" / "postmaster.pid").exists():
        await asyncio.sleep(0.01)
    assert await service.stop() in (0, 143)
    assert not (data_dir / "pg" / "postmaster.pid").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"PORT": "many"}, "CAUSEWAY_PORT"),
        ({"DATABASE_URL": "mysql://here/there"}, "CAUSEWAY_DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "CAUSEWAY_DATABASE_URL"),
        ({"MASTER_KEY": "k1:c2VjcmV0"}, "CAUSEWAY_MASTER_KEY"),
        ({"MASTER_KEY": "file:/nonexistent/keys"}, "/nonexistent/keys"),
        ({"LOG": "loud"}, "CAUSEWAY_LOG"),
        ({"POTR": "1"}, "CAUSEWAY_POTR"),
        ({"HOST": "203.0.113.7"}, "CAUSEWAY_PORT"),
    ],
)
async def test_a_wrong_setting_stops_the_start_with_one_line(
    data_dir: Path, settings: dict[str, str], words: str
) -> None:
    service = await Service.start(data_dir, **settings)
    assert await service.ended() == 1
    assert len(service.said) == 1, service.text
    assert service.text.startswith("causeway: ")
    assert words in service.text
    assert "c2VjcmV0" not in service.text


async def test_a_port_that_is_taken_stops_the_start_with_one_line(start_here: Start, data_dir: Path) -> None:
    first = await start_here()
    second = await Service.start(data_dir, PORT=first.url.rpartition(":")[2])
    assert await second.ended() == 1
    assert [line for line in second.said if "cannot listen on" in line and "CAUSEWAY_PORT" in line] == list(second.said)


async def test_a_damaged_quickstart_file_stops_the_start_with_one_line(
    start_here: Start, data_dir: Path, ground: Ground, dsn: str
) -> None:
    data_dir.mkdir()
    (data_dir / "quickstart.json").write_text("{")
    service = await Service.start(data_dir, DATABASE_URL=dsn, MASTER_KEY=ground.master_key)
    assert await service.ended() == 1
    assert "quickstart.json cannot be read" in service.said[-1]


async def test_a_data_directory_that_cannot_be_written_stops_the_start_with_one_line(
    data_dir: Path, ground: Ground, dsn: str
) -> None:
    data_dir.write_text("a file, not a folder")
    for settings in ({"DATABASE_URL": dsn}, {}):
        service = await Service.start(data_dir, **settings)
        assert await service.ended() == 1
        assert len(service.said) == 1, service.text
        assert str(data_dir) in service.text
