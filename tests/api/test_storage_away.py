"""What callers and logs hear of a database that is away; and of faults that only look like it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import datetime

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from adapters.http.away import AwayLog
from adapters.http.server import build_app
from app import Causeway
from domain.ports import StorageAway
from tests.api_client import Answer, Api
from tests.conftest import Ground

STATUS = "/users/ada/connections/status?appKeys=github"


async def answers_while(wired: Causeway, ground: Ground, error: Exception, times: int = 1) -> list[Answer]:
    """What a route answers that meets with the error."""

    def fails() -> datetime:
        raise error

    services = msgspec.structs.replace(wired.services, clock=fails)
    async with TestClient(TestServer(build_app(services, CollectorRegistry()))) as client:
        api = Api(client, ground.plan)
        return await asyncio.gather(*(api.monkedo("GET", STATUS) for _ in range(times)))


async def test_a_storage_that_is_away_is_503_and_worth_another_try(wired: Causeway, ground: Ground) -> None:
    (answer,) = await answers_while(wired, ground, StorageAway("ConnectionDoesNotExistError"))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert set(answer.json) == {"code", "name", "message"}


@pytest.mark.parametrize("error", [OSError, ConnectionResetError, TimeoutError, socket.gaierror, FileNotFoundError])
async def test_a_fault_of_another_origin_is_not_told_as_the_database_s(
    wired: Causeway, ground: Ground, error: Callable[[str], Exception]
) -> None:
    (answer,) = await answers_while(wired, ground, error("elsewhere"))
    assert answer.status == 500


async def test_many_who_are_turned_down_at_once_are_one_line(wired: Causeway, ground: Ground) -> None:
    with capture_logs() as lines:
        answers = await answers_while(wired, ground, StorageAway("ConnectionDoesNotExistError"), times=20)
    assert {answer.status for answer in answers} == {503}
    told = [line for line in lines if line["event"] == "database_away"]
    assert [(line["requests"], line["error"]) for line in told] == [(1, "ConnectionDoesNotExistError")]
    assert len([line for line in lines if line["event"] == "request" and line["code"] == "database_away"]) == 20


async def test_the_next_line_counts_all_that_came_meanwhile() -> None:
    log = AwayLog(every_seconds=0.02)
    with capture_logs() as lines:
        for why in ("first", "second", "third"):
            log.note(why)
        assert [line["requests"] for line in lines] == [1]
        while len(lines) < 2:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        assert [(line["requests"], line["error"]) for line in lines] == [(1, "first"), (2, "third")]
        log.note("later")
    assert [line["requests"] for line in lines] == [1, 2, 1]
