"""The loops beside the web application, and the marks of when tokens were last used."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from adapters.workers.supervisor import Supervisor
from adapters.workers.token_marks import Marks, TokenMarks
from app import Causeway
from domain.ids import new_id
from projections.follower import _pause
from tests.api_client import Api

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def test_a_loop_that_breaks_is_started_again_while_the_others_go_on() -> None:
    begun = {"weak": 0, "strong": 0}
    again = asyncio.Event()

    async def weak() -> None:
        begun["weak"] += 1
        if begun["weak"] == 1:
            raise RuntimeError("for once")
        again.set()
        await asyncio.Event().wait()

    async def strong() -> None:
        begun["strong"] += 1
        await asyncio.Event().wait()

    supervisor = Supervisor({"weak": weak, "strong": strong})
    supervisor.start()
    async with asyncio.timeout(30):
        await again.wait()
    await supervisor.stop()
    assert begun == {"weak": 2, "strong": 1}


async def test_a_stop_ends_every_loop_after_its_own_cleaning_up() -> None:
    ended: list[str] = []
    running = asyncio.Event()

    async def loop() -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    supervisor = Supervisor({"one": loop})
    supervisor.start()
    await running.wait()
    await supervisor.stop()
    assert ended == ["cleaned up"]


async def test_a_loop_that_misses_its_cancellation_is_cancelled_again() -> None:
    missed = 0

    async def deaf() -> None:
        nonlocal missed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if missed == 2:
                    raise
                missed += 1

    supervisor = Supervisor({"deaf": deaf}, patience_seconds=0.01)
    supervisor.start()
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await supervisor.stop()
    assert missed == 2


async def test_a_pause_that_is_cancelled_together_with_its_wake_up_ends_in_the_cancellation() -> None:
    for turns in range(6):  # how far the wake-up has come when the cancellation arrives
        wakeups = asyncio.Event()
        pause = asyncio.create_task(_pause(wakeups, asyncio.Event(), 60))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        wakeups.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        pause.cancel()
        await asyncio.wait([pause])
        assert pause.cancelled(), turns


async def test_marks_are_gathered_and_written_once_for_each_token() -> None:
    written: list[Marks] = []

    async def write(marks: Marks) -> None:
        written.append(marks)

    marks = TokenMarks(write, lambda: NOW)
    tenant, token = new_id(), new_id()
    for _ in range(3):
        marks.note(tenant, token)
    await marks.finish()
    await marks.finish()
    assert written == [{(tenant, token): NOW}]


async def test_a_database_that_does_not_take_marks_stops_nobody() -> None:
    async def write(marks: Marks) -> None:
        raise ConnectionError

    marks = TokenMarks(write, lambda: NOW)
    marks.note(new_id(), new_id())
    await marks.finish()
    with pytest.raises(ConnectionError):
        marks.note(new_id(), new_id())
        await marks.flush()


async def test_the_use_of_a_token_shows_in_its_project_and_not_after_its_deletion(api: Api, wired: Causeway) -> None:
    await api.status("ada", "github")
    await wired.marks.flush()
    listed = await api.manage("GET", f"{api.managed_project}/Tokens")
    assert listed.json[0]["last_used_at"] is not None

    await api.status("ada", "github")
    assert (await api.manage("DELETE", api.managed_project)).status == 200
    await wired.marks.flush()
    assert await marks_of(wired, api.plan.project_id) == 0


async def marks_of(wired: Causeway, project_id: UUID) -> int:
    found = await wired.pool.fetchval("select count(*) from token_marks where tenant_id = $1", project_id)
    assert isinstance(found, int)
    return found
