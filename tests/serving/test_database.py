"""The databases that a service runs on: its own, killed under load, or the user's."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.embedded.postmaster import find_postmaster
from tests.conftest import FAST
from tests.serving.conftest import Speak, Start


async def test_a_service_outlives_its_postgresql_being_killed_under_load(
    start: Start, speak: Speak, data_dir: Path
) -> None:
    service = await start()
    api = await speak(service, service.plan(), connector=aiohttp.TCPConnector(limit=0))
    acknowledged: set[str] = set()
    is_over = False

    async def import_on(caller: int) -> None:
        number = 0
        while not is_over:
            user = f"user-{caller}-{number}"
            if (await api.connect(user)).status == 200:
                acknowledged.add(user)
            number += 1

    async def until_acknowledged(count: int) -> None:
        async with asyncio.timeout(60):
            while len(acknowledged) < count:
                await asyncio.sleep(0.01)

    importing = asyncio.gather(*(import_on(caller) for caller in range(8)))
    for _ in range(2):
        await until_acknowledged(len(acknowledged) + 30)
        killed = find_postmaster(data_dir)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(60):
            while find_postmaster(data_dir) in (None, killed):
                await asyncio.sleep(0.01)
    await until_acknowledged(len(acknowledged) + 30)
    is_over = True
    await importing
    assert (await api.call("GET", "/readyz")).status == 200
    async with asyncio.timeout(30):
        for user in acknowledged:
            while await api.status(user, "github") != {"github": "connected"}:
                await asyncio.sleep(0.1)  # what was folded right before the kill is folded again within seconds
    assert await service.stop() == 0
    assert find_postmaster(data_dir) is None


async def test_a_server_that_a_killed_service_left_behind_is_found_and_stopped_with_the_next(
    start: Start, speak: Speak, data_dir: Path
) -> None:
    service = await start()
    api = await speak(service, service.plan())
    assert (await api.connect("ada")).status == 200
    await service.kill()
    left = find_postmaster(data_dir)
    assert left is not None
    again = await start()
    assert find_postmaster(data_dir) == left
    assert await (await speak(again, again.plan())).status("ada", "github") == {"github": "connected"}
    assert await again.stop() == 0
    assert find_postmaster(data_dir) is None


async def test_a_postgresql_of_the_user_s_is_used_and_left_running(start: Start, speak: Speak, data_dir: Path) -> None:
    theirs = await EmbeddedPostgres.start(data_dir.parent / "theirs", settings=FAST)
    try:
        service = await start(DATABASE_URL=theirs.dsn)
        api = await speak(service, service.plan())
        assert (await api.connect("ada")).status == 200
        assert not (data_dir / "pg").exists()
        assert await service.stop() == 0
        again = await start(DATABASE_URL=theirs.dsn)
        assert await (await speak(again, again.plan())).status("ada", "github") == {"github": "connected"}
        assert await again.stop() == 0
        assert find_postmaster(data_dir.parent / "theirs") == theirs.pid
    finally:
        await theirs.stop()
