"""scripts/rotate_keys beside a running service, and starts with more and fewer keys."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from scripts.torturing.services import Service
from tests.api_client import Api
from tests.conftest import Ground
from tests.serving.conftest import Speak, Start


@pytest.fixture
def key_path(ground: Ground, tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(ground.master_key + "\n")
    path.chmod(0o600)
    return path


async def rotate(data_dir: Path, dsn: str, master_key: str, *arguments: str) -> Service:
    return await Service.start(data_dir, *arguments, command="rotate_keys", DATABASE_URL=dsn, MASTER_KEY=master_key)


async def under(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("select distinct master_key_id from data_keys where wrapped_key is not null")
        return {row[0] for row in rows}
    finally:
        await connection.close()


async def test_keys_rotate_under_a_service_that_goes_on_and_the_old_one_may_go_afterwards(
    start_here: Start, speak: Speak, data_dir: Path, dsn: str, key_path: Path, ground: Ground
) -> None:
    setting = f"file:{key_path}"
    service = await start_here("--processes", "2", MASTER_KEY=setting)
    api = await speak(service)
    is_over, answers = False, []

    async def import_on(caller: int) -> None:
        number = 0
        while not is_over:
            answers.append((await api.connect(f"user-{caller}-{number}")).status)
            number += 1

    importing = asyncio.gather(*(import_on(caller) for caller in range(4)))
    rotated = await rotate(data_dir, dsn, setting, "--new", "--json")
    assert await rotated.ended() == 0
    is_over = True
    await importing
    assert set(answers) == {200}
    last = json.loads(rotated.said[-1])
    assert (last["current"], last["removable"]) == ("k1", ["test"])
    assert await under(dsn) == {"k1"}
    assert await api.status("user-0-0", "github") == {"github": "connected"}
    await service.stop()

    key_path.write_text(key_path.read_text().splitlines()[0])
    again = await start_here(MASTER_KEY=setting)
    assert (await (await speak(again)).connect("eve")).status == 200


async def login(api: Api) -> int:
    sent = {"email_address": api.plan.email_address, "password": api.plan.password}
    return (await api.call("POST", "/sso/v2/Auth/Login", sent)).status


async def test_a_key_that_is_taken_away_too_early_stops_the_start_in_one_line(
    data_dir: Path, dsn: str, key_path: Path, start_here: Start, speak: Speak
) -> None:
    old = key_path.read_text()
    rotated = await rotate(data_dir, dsn, f"file:{key_path}", "--new")
    assert await rotated.ended() == 0
    new = key_path.read_text().splitlines()[0]
    key_path.write_text(old)
    service = await Service.start(data_dir, DATABASE_URL=dsn, MASTER_KEY=f"file:{key_path}")
    assert await service.ended() == 1
    assert len(service.said) == 1
    assert "'k1' is still in use here but not in" in service.text
    key_path.write_text(new)
    assert await login(await speak(await start_here(MASTER_KEY=f"file:{key_path}"))) == 200


async def test_keys_in_the_setting_itself_are_left_to_the_operator(data_dir: Path, dsn: str, ground: Ground) -> None:
    told = await rotate(data_dir, dsn, ground.master_key, "--new")
    assert await told.ended() == 2
    assert "CAUSEWAY_MASTER_KEY" in told.text and "scripts/rotate_keys" in told.text
    assert await under(dsn) == {"test"}
