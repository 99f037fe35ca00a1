"""The database of a service: the user's PostgreSQL, or the embedded one, which is watched meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.pool import PatientPool, open_pool
from adapters.settings import CannotStart, Settings


@asynccontextmanager
async def on_database(settings: Settings) -> AsyncIterator[str]:
    """Its address; CannotStart, in one line, when an embedded one cannot be started."""
    if settings.database_url:
        yield settings.database_url
        return
    server = await EmbeddedPostgres.start(settings.data_dir)
    watching = asyncio.create_task(server.watch())
    try:
        yield server.dsn
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await server.stop()


async def pool_of(settings: Settings, dsn: str) -> PatientPool:
    """A pool on that address; CannotStart when nobody answers there."""
    try:
        return await open_pool(dsn, pooler=settings.database_pooler)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotStart(
            f"the database does not answer ({type(error).__name__}); check CAUSEWAY_DATABASE_URL"
        ) from None
