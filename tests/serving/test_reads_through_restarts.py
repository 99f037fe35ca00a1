"""A database that restarts while requests come: reads wait for it, in the process that serves and in its tokens' look-ups."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import aiohttp

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.embedded.postmaster import find_postmaster, stop_postmaster
from tests.api_client import Api
from tests.conftest import FAST
from tests.serving.conftest import Speak, Start


def reads(api: Api) -> list[tuple[str, str]]:
    """Paths that are read with the project's token, and with the company's key."""
    own, managed = api.plan.project_token, api.plan.api_key
    return [
        (own, f"{api.project}/users/ada/connections/status?appKeys=github"),
        (own, "/api/v1/ipaas/users/ada/connections/github"),
        (own, f"{api.project}/apps/github/credential-info"),
        (managed, "/subscriptions/v2/Projects"),
        (managed, api.managed_project),
        (managed, f"{api.managed_project}/Tokens"),
        (managed, f"{api.managed_project}/Integrations"),
        (managed, f"{api.managed_project}/Connections"),
        (managed, f"{api.managed_project}/EndUsers"),
    ]


async def test_reads_that_are_sent_while_the_database_restarts_are_answered(
    start: Start, speak: Speak, data_dir: Path
) -> None:
    theirs = data_dir.parent / "theirs"
    server = await EmbeddedPostgres.start(theirs, settings=FAST)
    service = await start(DATABASE_URL=server.dsn)
    api = await speak(service, service.plan(), connector=aiohttp.TCPConnector(limit=0))
    assert (await api.connect("ada")).status == 200
    before = [await api.call("GET", path, token=token) for token, path in reads(api)]
    assert {answer.status for answer in before} == {200}

    assert stop_postmaster(theirs)
    asked = [asyncio.create_task(api.call("GET", path, token=token)) for token, path in reads(api) * 5]
    assert (await api.call("GET", "/readyz")).status == 503
    again = await EmbeddedPostgres.start(theirs, settings=FAST)
    after = await asyncio.gather(*asked)
    assert Counter(answer.status for answer in after) == {200: len(after)}
    fixed = [place for place, (_, path) in enumerate(reads(api)) if not path.endswith("/Tokens")]  # marks move
    assert [after[place].text for place in fixed] == [before[place].text for place in fixed]
    assert await service.stop() == 0
    await again.stop()
    await server.stop()


async def test_no_read_fails_while_the_database_is_killed_twice(start: Start, speak: Speak, data_dir: Path) -> None:
    service = await start()
    api = await speak(service, service.plan(), connector=aiohttp.TCPConnector(limit=0))
    assert (await api.connect("ada")).status == 200
    statuses: Counter[int] = Counter()
    is_over = False

    async def read_on(token: str, path: str) -> None:
        while not is_over:
            statuses[(await api.call("GET", path, token=token)).status] += 1

    async def until_answered(count: int) -> None:
        async with asyncio.timeout(60):
            while statuses.total() < count:
                await asyncio.sleep(0.01)

    reading = asyncio.gather(*(read_on(token, path) for token, path in reads(api)))
    for _ in range(2):
        await until_answered(statuses.total() + 100)
        killed = find_postmaster(data_dir)
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(60):
            while find_postmaster(data_dir) in (None, killed):
                await asyncio.sleep(0.01)
    await until_answered(statuses.total() + 100)
    is_over = True
    await reading
    assert set(statuses) == {200}
    assert await service.stop() == 0
