"""Several services of one process each on one database, so that a caller can choose who answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from scripts.torturing.services import Service


@contextlib.asynccontextmanager
async def fleet(data_dir: Path, count: int) -> AsyncIterator[list[Service]]:
    """Services on one data directory and its embedded PostgreSQL; the first one made the quickstart project."""
    services: list[Service] = []
    try:
        services.append(await Service.start(data_dir))
        await services[0].serving()
        services += [await Service.start(data_dir) for _ in range(count - 1)]
        for service in services:
            await service.serving()
        yield services
    finally:
        await asyncio.gather(*(service.stop() for service in services))
