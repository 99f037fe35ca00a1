"""Roles, several processes on one port, and a stop that finishes what was begun."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from adapters.postgres.embedded.postmaster import find_postmaster
from adapters.vault.key_file import new_master_key
from adapters.vault.keyring import Keyring
from app import causeway
from scripts.torturing.services import Service
from tests.api_client import Answer, Api
from tests.conftest import Ground
from tests.serving.conftest import Speak, Start

DROPPED = (aiohttp.ServerDisconnectedError, aiohttp.ClientConnectorError, aiohttp.ClientOSError, ConnectionResetError)


def connector() -> dict[str, object]:
    """A connection per request, so that each may come to another process."""
    return {"connector": aiohttp.TCPConnector(force_close=True, limit=0)}


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0.05)


async def test_web_and_worker_are_separate_services_on_one_data_directory(start: Start, speak: Speak) -> None:
    web = await start("--role", "web")
    worker = await start("--role", "worker", waits_for="Causeway works")
    api = await speak(web, web.plan())
    assert (await api.connect("ada")).status == 200
    assert await api.status("ada", "github") == {"github": "connected"}
    assert web.plan().base_url == web.url  # and not where the worker would have served
    assert await web.stop() == 0
    assert find_postmaster(worker.data_dir) is not None
    assert await worker.stop() == 0
    assert find_postmaster(worker.data_dir) is None


async def test_a_worker_folds_what_a_dead_writer_left_behind(
    start_here: Start, speak: Speak, ground: Ground, dsn: str
) -> None:

    async with causeway(ground.settings(dsn), dsn) as writer:
        project = ground.plan.project_id
        head = await writer.pool.fetchval("select position from tenant_heads where tenant_id = $1", project)
        await writer.pool.execute("update checkpoints set position = 0 where tenant_id = $1", project)
        await writer.pool.execute("delete from read_project_tokens_1 where tenant_id = $1", project)
        await writer.pool.execute(
            "insert into dirty (tenant_id, position, marked_at) values ($1, $2, now() - interval '1 minute')"
            " on conflict (tenant_id, position) do update set marked_at = excluded.marked_at",
            project,
            head,
        )
    api = await speak(await start_here())

    async def is_folded() -> bool:
        answer = await api.monkedo("GET", "/users/ada/connections/status?appKeys=github")
        return answer.status == 200

    await until(is_folded)


async def test_all_processes_serve_and_a_killed_one_is_replaced(start_here: Start, speak: Speak) -> None:
    service = await start_here("--processes", "3")
    api = await speak(service, **connector())
    first = await until_children(service, 3)
    os.kill(next(iter(first)), signal.SIGKILL)

    async def is_replaced() -> bool:
        children = set(service.children())
        return len(children) == 3 and children != first

    await until(is_replaced)
    statuses = {(await any_answer(api)).status for _ in range(20)}
    assert statuses == {200}
    assert await service.stop() == 0
    assert "process_died" in service.text


async def any_answer(api: Api) -> Answer:
    while True:
        try:
            return await api.monkedo("GET", "/users/ada/connections/status?appKeys=github")
        except DROPPED:
            await asyncio.sleep(0.05)


async def until_children(service: Service, count: int) -> set[int]:
    async def is_complete() -> bool:
        return len(service.children()) == count

    await until(is_complete)
    return set(service.children())


async def test_processes_whose_parent_was_killed_end_by_themselves(start_here: Start, speak: Speak) -> None:
    service = await start_here("--processes", "2")
    children = await until_children(service, 2)
    await any_answer(await speak(service))
    await service.kill()

    async def are_gone() -> bool:
        return not any(os.path.exists(f"/proc/{pid}") for pid in children)

    await until(are_gone)


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_a_stop_finishes_the_requests_that_were_begun(
    start_here: Start, speak: Speak, ground: Ground, processes: str
) -> None:
    service = await start_here("--processes", processes)
    api = await speak(service, **connector())
    await any_answer(api)
    login = {"email_address": ground.plan.email_address, "password": ground.plan.password}
    slow = [asyncio.create_task(api.call("POST", "/sso/v2/Auth/Login", login)) for _ in range(12)]
    await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED)
    assert await service.stop() == 0
    assert {(await one).status for one in slow} == {200}


async def test_what_was_acknowledged_before_a_stop_is_stored_and_nothing_is_answered_by_a_fault(
    start_here: Start, speak: Speak
) -> None:
    service = await start_here("--processes", "2")
    api = await speak(service, connector=aiohttp.TCPConnector(limit=0))
    await any_answer(api)
    acknowledged: set[str] = set()
    others: list[int] = []
    dropped = 0

    async def import_on(caller: int) -> None:
        nonlocal dropped
        for number in range(100_000):
            user = f"user-{caller}-{number}"
            try:
                answer = await api.connect(user)
            except DROPPED:
                dropped += 1
                return
            if answer.status == 200:
                acknowledged.add(user)
            else:
                others.append(answer.status)

    importing = asyncio.gather(*(import_on(caller) for caller in range(16)))
    while len(acknowledged) < 100:
        await asyncio.sleep(0.01)
    assert await service.stop() == 0
    await importing
    assert (others, dropped) == ([], 16)
    again = await start_here()
    reader = await speak(again)
    for user in acknowledged:
        assert await reader.status(user, "github") == {"github": "connected"}


async def test_a_hang_up_makes_every_process_read_the_keys_again(
    start_here: Start, speak: Speak, ground: Ground, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    path.write_text(ground.master_key + "\n")
    path.chmod(0o600)
    service = await start_here("--processes", "2", MASTER_KEY=f"file:{path}")
    await until_children(service, 2)
    api = await speak(service)
    await any_answer(api)
    await asyncio.sleep(0.5)  # both children listen to signals by now
    Keyring(path).add_key([])
    service.send(signal.SIGHUP)

    async def have_all_read() -> bool:
        return service.text.count("master_keys_changed") == 2

    await until(have_all_read)
    path.write_text(f"k9:{new_master_key()[:10]}")
    service.send(signal.SIGHUP)

    async def have_all_refused() -> bool:
        return service.text.count("master_keys_kept") == 2

    await until(have_all_refused)
    assert (await api.connect("ada")).status == 200
