"""Read models do not wait for the disk: what a crash of PostgreSQL takes from them is folded again as soon as it is back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from adapters.cli.quickstart import Plan
from adapters.postgres.embedded import EmbeddedPostgres
from app import Causeway, causeway, prepare
from scripts.torturing.services import data_folder
from tests.conftest import Ground
from tests.projections.histories import connect, shows_connected


class Crashing(msgspec.Struct):
    """A prepared process over a server of its own, and what writes that server's journal behind everybody's back."""

    wired: Causeway
    project: UUID
    journal_writer: int | None = None

    async def crash(self) -> None:
        """What nobody waited for is lost; PostgreSQL recovers and answers again."""
        killed, self.journal_writer = self.journal_writer, None
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(30):
            while (await self._journal_writer()) in (None, killed):
                await asyncio.sleep(0.01)

    async def _journal_writer(self) -> int | None:
        statement = "select pid from pg_stat_activity where backend_type = 'walwriter'"
        found: int | None = await self.wired.pool.fetchval(statement)
        return found

    async def holds_back(self) -> None:
        """From now on only commits that wait for the disk reach it."""
        self.journal_writer = await self._journal_writer()
        assert self.journal_writer is not None
        os.kill(self.journal_writer, signal.SIGSTOP)

    def lets_go(self) -> None:
        """A server does not stop while one of its processes is held."""
        if self.journal_writer is not None:
            os.kill(self.journal_writer, signal.SIGCONT)


@pytest.fixture
async def crashing(ground: Ground) -> AsyncIterator[Crashing]:
    with data_folder() as folder:
        server = await EmbeddedPostgres.start(folder / "data", settings={"fsync": "off"})
        settings = msgspec.structs.replace(ground.settings(server.dsn), data_dir=folder / "data")
        async with causeway(settings, server.dsn) as wired:
            await prepare(wired, lambda line: None)
            plan = msgspec.json.decode(Path(settings.data_dir / "quickstart.json").read_bytes(), type=Plan)
            crashing = Crashing(wired, plan.project_id)
            yield crashing
            crashing.lets_go()
        await server.stop()


@asynccontextmanager
async def following(wired: Causeway) -> AsyncIterator[None]:
    """A follower that nothing but a doubt wakes."""
    running = asyncio.create_task(wired.follower.run(asyncio.Event(), poll_seconds=3600))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_crash_takes_what_read_models_did_not_wait_for_and_the_next_sweep_brings_it_back(
    crashing: Crashing,
) -> None:
    wired, project = crashing.wired, crashing.project
    await crashing.holds_back()
    await connect(wired, project, "ada")
    assert await shows_connected(wired, project, "ada")
    await crashing.crash()
    assert not await shows_connected(wired, project, "ada")
    assert await wired.follower.sweep() == 1
    assert await shows_connected(wired, project, "ada")


async def test_a_running_follower_brings_it_back_by_itself(crashing: Crashing) -> None:
    wired, project = crashing.wired, crashing.project
    async with following(wired):
        await crashing.holds_back()
        await connect(wired, project, "ada")
        await crashing.crash()
        async with asyncio.timeout(30):
            while not await shows_connected(wired, project, "ada"):
                await asyncio.sleep(0.01)


async def test_a_doubt_is_about_all_marks_before_it_however_young_and_none_after_it(
    wired: Causeway, ground: Ground
) -> None:
    mark = "insert into dirty (tenant_id, position, marked_at) values ($1, 1, clock_timestamp() + $2)"
    await wired.pool.execute(mark, ground.plan.company_id, timedelta())
    await wired.pool.execute(mark, ground.plan.project_id, timedelta(minutes=1))
    wired.follower.doubt()
    assert await wired.follower.sweep() == 1
    assert await wired.pool.fetchval("select tenant_id from dirty") == ground.plan.project_id
    assert await wired.follower.sweep() == 0


async def test_a_process_that_starts_sweeps_what_stands_there_at_once(wired: Causeway, ground: Ground) -> None:
    await wired.pool.execute("insert into dirty (tenant_id, position) values ($1, 1)", ground.plan.company_id)
    async with following(wired), asyncio.timeout(30):
        while await wired.pool.fetchval("select count(*) from dirty"):
            await asyncio.sleep(0.01)
