"""The floor: one INSERT of one row of the same size, autocommitted, with no checks at all."""

from uuid import UUID

import asyncpg

from bench.contenders import Contender

_TABLE = """
CREATE TABLE bare_events (
    stream uuid, version bigint, payload bytea NOT NULL, recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, version))
"""


class BareInsert(Contender):
    """Takes part where one lonely caller is measured."""

    async def install(self, dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(_TABLE)
        await connection.close()

    async def open(self, dsn: str, connections: int) -> None:
        self._connection = await asyncpg.connect(dsn)
        self._insert = await self._connection.prepare(
            "INSERT INTO bare_events (stream, version, payload) VALUES ($1, $2, $3)"
        )

    async def append(self, stream: UUID, tenant: int, expected_version: int, payload: bytes) -> None:
        await self._insert.fetch(stream, expected_version + 1, payload)

    async def close(self) -> None:
        await self._connection.close()
