"""Services as processes of their own, on data directories of their own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from adapters.cli.quickstart import Plan
from scripts.torturing.services import Service, data_folder
from tests.api_client import Api
from tests.conftest import Ground, _execute

Start = Callable[..., Awaitable[Service]]
Speak = Callable[..., Awaitable[Api]]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Not made yet; an embedded PostgreSQL that is left in it is stopped."""
    with data_folder() as folder:
        yield folder / "data"


@pytest.fixture
async def start(data_dir: Path) -> AsyncIterator[Start]:
    """Starts a service on the data directory and waits until it serves; it is stopped at the end."""
    started: list[Service] = []

    async def begin(*arguments: str, waits_for: str = "Causeway serves on ", **settings: str) -> Service:
        service = await Service.start(data_dir, *arguments, **settings)
        started.append(service)
        await service.hears(waits_for)
        return await service.serving() if "serves on" in waits_for else service

    yield begin
    for service in started:
        await service.stop()


@pytest.fixture
async def start_here(start: Start, ground: Ground, dsn: str) -> Start:
    """The same on the test's prepared database, without an embedded PostgreSQL."""

    async def begin(*arguments: str, **settings: str) -> Service:
        given = {"DATABASE_URL": dsn, "MASTER_KEY": ground.master_key, **settings}
        return await start(*arguments, **given)

    return begin


@pytest.fixture
async def empty(ground: Ground) -> AsyncIterator[str]:
    """A database of this test's own with nothing in it."""
    name = f"empty_{uuid4().hex}"
    await _execute(ground.server_dsn, f"create database {name} strategy file_copy")
    yield ground.dsn(name)
    await _execute(ground.server_dsn, f"drop database {name} with (force)")


@pytest.fixture
async def start_empty(start: Start, empty: str) -> Start:
    """First starts, and those after them, on a database that the test's server holds ready."""

    async def begin(*arguments: str, **settings: str) -> Service:
        return await start(*arguments, **{"DATABASE_URL": empty, **settings})

    return begin


@pytest.fixture
async def speak(ground: Ground) -> AsyncIterator[Speak]:
    """The API of a service; with the prepared database's quickstart project unless another plan is given."""
    async with AsyncExitStack() as stack:

        async def open_session(service: Service, plan: Plan | None = None, **options: object) -> Api:
            session = aiohttp.ClientSession(service.url, timeout=aiohttp.ClientTimeout(30), **options)  # type: ignore[arg-type]
            await stack.enter_async_context(session)
            return Api(session, plan or ground.plan)  # type: ignore[arg-type]

        yield open_session
