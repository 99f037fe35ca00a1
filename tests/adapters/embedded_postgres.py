"""What the tests of the embedded PostgreSQL share."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.embedded.postmaster import stop_postmaster
from adapters.settings import CannotStart

FAST = {"fsync": "off", "shared_buffers": "16MB"}
IS_ROOT = os.geteuid() == 0


@contextlib.contextmanager
def reachable_folder() -> Iterator[Path]:
    """A new folder that every account can enter; at the end its servers are stopped and it is removed."""
    folder = Path(tempfile.mkdtemp(prefix="causeway-test-")).resolve()
    if IS_ROOT:
        folder.chmod(0o711)
    yield folder
    for conf in folder.rglob("conf"):
        assert stop_postmaster(conf.parent)
    shutil.rmtree(folder)


async def ask(server: EmbeddedPostgres, question: str = "SELECT 1") -> object:
    connection = await asyncpg.connect(server.dsn)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def refused(data_dir: Path) -> str:
    """The one line that a start on this data directory is refused with."""
    with pytest.raises(CannotStart) as refusal:
        await EmbeddedPostgres.start(data_dir, settings=FAST)
    line = str(refusal.value)
    assert "\n" not in line
    return line
