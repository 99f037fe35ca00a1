"""Whether a process can serve well: the database answers, its schema is this program's, and the read models follow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from projections.generations import outdated, stopped
from projections.projection import Projection
from projections.reading import Connection, Pool

_LIMIT_SECONDS = 5.0


class Readiness:
    """``schema_is_current`` looks whether exactly this program's migrations ran."""

    def __init__(
        self,
        pool: Pool,
        projections: Sequence[Projection],
        schema_is_current: Callable[[Connection], Awaitable[bool]],
    ) -> None:
        self._pool = pool
        self._projections = projections
        self._schema_is_current = schema_is_current

    async def __call__(self) -> list[str]:
        """What keeps this process from serving well; nothing when all is fine."""
        try:
            async with asyncio.timeout(_LIMIT_SECONDS), self._pool.acquire() as connection:
                if not await self._schema_is_current(connection):
                    return ["the database's schema is not this program's"]
                stale = await outdated(connection, self._projections)
                wrong = [f"the read model {projection.name} is being rebuilt" for projection in stale]
                for projection, tenant, why in await stopped(connection):
                    wrong.append(f"the read model {projection} of tenant {tenant} has stopped at {why}")
                return wrong
        except Exception as error:
            return [f"the database does not answer ({type(error).__name__})"]
