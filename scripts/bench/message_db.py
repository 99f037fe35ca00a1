"""message-db (npm @eventide/message-db): its SQL functions driven by asyncpg, one category per tenant."""

import re
from collections.abc import Mapping, Sequence
from time import perf_counter
from uuid import UUID, uuid4

import asyncpg

from bench.contenders import NODE_MODULES, READ_TABLES, UPSERT, Contender, Fold

_PACKAGE = NODE_MODULES / "@eventide" / "message-db" / "database"
_INSTALLERS = ["install.sh", "install-functions.sh", "install-indexes.sh", "install-views.sh", "install-privileges.sh"]
_SETTINGS = {"search_path": "message_store,public"}
_WRITE = "SELECT write_message($1, $2, 'Measured', $3::jsonb, NULL, $4)"
_SEED = """
SELECT write_message(gen_random_uuid()::text, s, 'Measured', d::jsonb, NULL, v)
FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS e(s, d, v, n) ORDER BY n
"""
_BATCH = 5_000


def installation() -> list[str]:
    """The package's SQL files in the order in which its own shell scripts run them."""
    names = [
        name for script in _INSTALLERS for name in re.findall(r"\$base/(\S+\.sql)", (_PACKAGE / script).read_text())
    ]
    # The pgcrypto extension is wanted for gen_random_uuid(), which PostgreSQL has had built in since version 13.
    return [(_PACKAGE / name).read_text() for name in names if not name.startswith("extensions/")]


async def _keep(_connection: object) -> None:
    """Nothing to reset: the calls leave no session state, and a reset would cost the peer a round trip per call."""


class MessageDb(Contender):
    """write_message, get_category_messages and get_stream_messages; the projection is the shared fold."""

    async def install(self, dsn: str) -> None:
        connection = await asyncpg.connect(dsn, server_settings=_SETTINGS)
        for statements in installation():
            await connection.execute(statements)
        await connection.close()

    async def open(self, dsn: str, connections: int) -> None:
        self._pool = await asyncpg.create_pool(
            dsn, min_size=connections, max_size=connections, server_settings=_SETTINGS, reset=_keep
        )

    async def append(self, stream: UUID, tenant: int, expected_version: int, payload: bytes) -> None:
        name = f"tenant{tenant}-{stream}"
        await self._pool.fetchval(_WRITE, str(uuid4()), name, payload.decode(), expected_version - 1)

    async def seed(self, tenant: int, streams: Mapping[UUID, Sequence[bytes]]) -> None:
        rows = [
            (f"tenant{tenant}-{stream}", data.decode(), version - 1)
            for stream, events in streams.items()
            for version, data in enumerate(events)
        ]
        await self._pool.fetch(_SEED, *map(list, zip(*rows, strict=True)))

    async def load(self, stream: UUID, tenant: int) -> int:
        rows = await self._pool.fetch("SELECT * FROM get_stream_messages($1, 0, -1)", f"tenant{tenant}-{stream}")
        fold = Fold()
        for row in rows:
            fold.add(stream, row["data"])
        return fold.rows[stream][0]

    async def project(self, tenant: int, seconds: float) -> tuple[int, float]:
        async with self._pool.acquire() as connection:
            await connection.execute(READ_TABLES)
            await connection.execute("INSERT INTO public.checkpoint VALUES ('counters', 0)")
            done, started = 0, perf_counter()
            while perf_counter() - started < seconds and (count := await self._project_batch(connection, tenant)):
                done += count
            return done, perf_counter() - started

    async def _project_batch(self, connection: asyncpg.pool.PoolConnectionProxy, tenant: int) -> int:
        async with connection.transaction():
            position = await connection.fetchval("SELECT position FROM checkpoint WHERE name = 'counters' FOR UPDATE")
            rows = await connection.fetch(
                "SELECT stream_name, data, global_position FROM get_category_messages($1, $2, $3)",
                f"tenant{tenant}",
                position + 1,
                _BATCH,
            )
            if not rows:
                return 0
            fold = Fold()
            for name, data, _ in rows:
                fold.add(UUID(name.partition("-")[2]), data)
            await connection.execute(UPSERT, *fold.columns())
            await connection.execute("UPDATE checkpoint SET position = $1 WHERE name = 'counters'", rows[-1][2])
            return len(rows)

    async def close(self) -> None:
        await self._pool.close()
