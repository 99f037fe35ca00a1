"""The first road behind a transaction-mode pooler, where no session survives a transaction."""

import asyncio
from pathlib import Path

import pytest

from adapters.postgres.embedded import EmbeddedPostgres
from tests.conftest import FAST
from tests.serving.conftest import Speak, Start
from tests.serving.pgbouncer import pgbouncer


@pytest.mark.real
async def test_the_first_road_leads_through_a_transaction_mode_pooler(
    start: Start, speak: Speak, data_dir: Path
) -> None:
    theirs = await EmbeddedPostgres.start(data_dir.parent / "theirs", settings=FAST)
    try:
        async with pgbouncer(data_dir.parent / "pooler", theirs, data_dir.parent / "theirs") as url:
            service = await start("--processes", "2", DATABASE_URL=url, DATABASE_POOLER="1")
            api = await speak(service, service.plan())
            users = [f"user-{number}" for number in range(60)]
            assert {one.status for one in await asyncio.gather(*map(api.connect, users))} == {200}
            for user in users:
                assert await api.status(user, "github") == {"github": "connected"}
            login = {"email_address": api.plan.email_address, "password": api.plan.password}
            assert (await api.call("POST", "/sso/v2/Auth/Login", login)).status == 200
            assert (await api.manage("DELETE", f"{api.managed_project}/EndUser/user-0")).status == 200
            assert await api.status("user-0", "github") == {"github": "not-connected"}
            assert (await api.call("GET", "/readyz")).status == 200
            assert await service.stop() == 0
            again = await start(DATABASE_URL=url, DATABASE_POOLER="1")
            api = await speak(again, again.plan())
            assert await api.status("user-1", "github") == {"github": "connected"}
            assert (await api.manage("DELETE", api.managed_project)).status == 200
            assert await again.stop() == 0
            assert "fault" not in service.text + again.text
    finally:
        await theirs.stop()
