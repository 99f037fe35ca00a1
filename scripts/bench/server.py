"""A PostgreSQL for one run: the embedded one in a temporary folder, default durability, removed at the end."""

import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.settings import CannotStart


def sync_time_ms() -> float:
    """Median milliseconds of an 8 kB write with fdatasync beside the server's data: what a commit has to wait for."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(200):
            started = time.perf_counter()
            os.pwrite(file.fileno(), bytes(8_192), 0)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - started)
    return statistics.median(times) * 1_000


@contextmanager
def running_server(dsn: str | None = None) -> Iterator[str]:
    """The maintenance DSN of a server: the given one, or a fresh one that is gone afterwards (TMPDIR says where)."""
    if dsn is not None:
        yield dsn
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="causeway-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # the account that the server runs as has to pass through
        try:
            server = asyncio.run(EmbeddedPostgres.start(Path(folder) / "data"))
        except CannotStart as error:
            sys.exit(str(error))
        try:
            yield server.dsn
        finally:
            asyncio.run(server.stop())


@contextmanager
def fresh_database(dsn: str, name: str) -> Iterator[str]:
    """The DSN of a new database on the server of `dsn`; it is dropped afterwards."""
    identifier = sql.Identifier(name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(identifier))
        try:
            yield urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
        finally:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
