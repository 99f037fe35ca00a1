"""Numbered SQL files, forward only, one runner at a time, checksums verified."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from adapters.postgres.pool import Connection
from adapters.settings import CannotStart

FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x63617573  # one runner per database
_START_LOCK = 0x63617576
_OLDEST_POSTGRESQL = 15
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class Migration(msgspec.Struct, frozen=True):
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> bytes:
        return hashlib.sha256(self.sql.encode()).digest()


def read_migrations(folder: Path = FOLDER) -> list[Migration]:
    """The folder's files in order; they must be numbered 0001, 0002, ... without a gap."""
    found = []
    for number, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        match = _NAME.fullmatch(path.name)
        if not match or int(match[1]) != number:
            raise ValueError(f"{path.name}: the migration here must be named {number:04d}_<words>.sql")
        found.append(Migration(number, path.stem, path.read_text()))
    return found


async def migrate(
    connection: Connection,
    migrations: Sequence[Migration] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> int:
    """Brings the schema up to date and returns how many steps that took.

    CannotStart when PostgreSQL is too old, when a step that ran was edited since, or when the schema is newer than this
    program.
    """
    version = connection.get_server_version()
    if version.major < _OLDEST_POSTGRESQL:
        raise CannotStart(f"PostgreSQL {version.major} is too old; Causeway needs {_OLDEST_POSTGRESQL} or newer")
    migrations = read_migrations() if migrations is None else migrations
    async with connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await connection.execute("set local lock_timeout = 0")
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(
            "create table if not exists schema_migrations (number integer primary key, name text not null,"
            " checksum bytea not null, applied_at timestamptz not null default clock_timestamp())"
        )
        done = await connection.fetch("select number, name, checksum from schema_migrations order by number")
        if len(done) > len(migrations):
            raise CannotStart(
                f"the database has schema {done[-1]['name']}, newer than this program knows ({len(migrations)} steps);"
                " start the newer Causeway, or restore an older backup"
            )
        for row, migration in zip(done, migrations, strict=False):
            if bytes(row["checksum"]) != migration.checksum:
                raise CannotStart(f"migration {migration.name} was edited after it ran here; restore the released file")
        for migration in migrations[len(done) :]:
            tell(f"migrating: {migration.name}")
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into schema_migrations (number, name, checksum) values ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.checksum,
            )
    return len(migrations) - len(done)


@asynccontextmanager
async def one_start_at_a_time(connection: Connection) -> AsyncIterator[None]:
    """A lock that all starts on this database share, for what a first start makes; freed when its holder dies."""
    async with connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await connection.execute("set local lock_timeout = 0")
        await connection.execute("set local idle_in_transaction_session_timeout = 0")
        await connection.execute("select pg_advisory_xact_lock($1)", _START_LOCK)
        yield


async def schema_is_current(connection: Connection) -> bool:
    """Whether exactly this program's steps ran."""
    if await connection.fetchval("select to_regclass('schema_migrations') is null"):
        return False
    number = await connection.fetchval("select max(number) from schema_migrations")
    return bool(number == len(read_migrations()))
