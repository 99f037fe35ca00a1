"""A migrated database on a server of its own, or on one that is given."""

import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.migrate import migrate
from scripts.torturing.services import data_folder


@contextlib.asynccontextmanager
async def migrated_database(server_dsn: str | None) -> AsyncIterator[str]:
    """Its address. ``server_dsn`` names a server with a database "causeway" where databases may be made; without one,
    a durable server is started for the time being.
    """
    async with contextlib.AsyncExitStack() as stack:
        if server_dsn is None:
            folder = stack.enter_context(data_folder())
            server = await EmbeddedPostgres.start(folder / "data")
            stack.push_async_callback(server.stop)
            server_dsn = server.dsn
        name = f"torture_{uuid4().hex}"
        await _execute(server_dsn, f"create database {name}")
        stack.push_async_callback(_execute, server_dsn, f"drop database {name} with (force)")
        dsn = server_dsn.replace("/causeway?", f"/{name}?")
        connection = await asyncpg.connect(dsn)
        try:
            await migrate(connection)
        finally:
            await connection.close()
        yield dsn


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
