"""A real PostgreSQL for every test that asks: one server per run, a template cloned per test."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from adapters.cli.quickstart import Plan
from adapters.http.server import build_app
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.pool import Pool, open_pool
from adapters.settings import Settings
from adapters.vault.keyring import new_master_key
from app import Causeway, causeway, prepare
from tests.api_client import Api

FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class Ground(msgspec.Struct):
    """The run's server, and what its template database holds."""

    server_dsn: str
    template: str
    data_dir: Path
    master_key: str
    plan: Plan

    def dsn(self, database: str) -> str:
        return self.server_dsn.replace("/causeway?", f"/{database}?")

    def settings(self, dsn: str) -> Settings:
        return Settings(
            database_url=dsn,
            database_pooler=False,
            data_dir=self.data_dir,
            host="127.0.0.1",
            port=0,
            master_key=self.master_key,
            public_url="http://127.0.0.1:1290",
            log="json",
            metrics_token=None,
            allow_private_networks=True,
        )


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    folder = Path(tempfile.mkdtemp(prefix="causeway-tests-"))
    folder.chmod(0o711)
    server = asyncio.run(EmbeddedPostgres.start(folder / "data", settings=FAST))
    try:
        yield asyncio.run(_prepared(server.dsn, folder))
    finally:
        asyncio.run(server.stop())
        shutil.rmtree(folder)


async def _prepared(server_dsn: str, folder: Path) -> Ground:
    template = f"template_{os.getpid()}"
    ground = Ground(server_dsn, template, folder / "data", f"test:{new_master_key()}", None)  # type: ignore[arg-type]
    await _execute(server_dsn, f"create database {template}")
    async with causeway(ground.settings(ground.dsn(template)), ground.dsn(template)) as wired:
        await prepare(wired, lambda line: None)
    ground.plan = msgspec.json.decode((ground.data_dir / "quickstart.json").read_bytes(), type=Plan)
    return ground


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def dsn(ground: Ground) -> AsyncIterator[str]:
    """A database of this test's own, prepared and with the quickstart project."""
    name = f"test_{uuid4().hex}"
    await _execute(ground.server_dsn, f"create database {name} template {ground.template} strategy file_copy")
    yield ground.dsn(name)
    await _execute(ground.server_dsn, f"drop database {name} with (force)")


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    pool = await open_pool(dsn)
    yield pool
    await pool.close()


@pytest.fixture
async def wired(ground: Ground, dsn: str) -> AsyncIterator[Causeway]:
    """A whole process over the test's database, without a web server."""
    async with causeway(ground.settings(dsn), dsn) as wired:
        yield wired


@pytest.fixture
async def api(ground: Ground, wired: Causeway) -> AsyncIterator[Api]:
    """The HTTP API over a real socket, with the quickstart project's keys."""
    async with TestClient(TestServer(build_app(wired.services, wired.registry))) as client:
        yield Api(client, ground.plan)
