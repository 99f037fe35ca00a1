"""A pgbouncer in transaction mode, from the system's packages; they are unpacked, not installed."""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres.embedded import EmbeddedPostgres
from scripts.torturing.killing import free_port

CONFIGURATION = """\
[databases]
causeway = host={socket} port=5432 dbname=causeway user=causeway
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
logfile = {folder}/pgbouncer.log
"""


class Program:
    """Where the program is, and the libraries that came with it."""

    def __init__(self, path: Path, libraries: list[Path]) -> None:
        self.path = path
        self.environment = {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}


def find_program(folder: Path) -> Program:
    """The installed one, or one from the package archive; the test is skipped when there is neither."""
    installed = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if installed:
        return Program(Path(installed), [])
    if os.geteuid() != 0 or not shutil.which("apt-get") or not shutil.which("dpkg"):
        pytest.skip("pgbouncer is not installed, and only root on Debian or Ubuntu can fetch it")
    (folder / "archives/partial").mkdir(parents=True)
    fetch = ["apt-get", "install", "-y", "--download-only", "--no-install-recommends", "pgbouncer"]
    fetched = subprocess.run(
        [*fetch, "-o", f"Dir::Cache::archives={folder}/archives"], capture_output=True, text=True, timeout=300
    )
    packages = list((folder / "archives").glob("*.deb"))
    if fetched.returncode != 0 or not packages:
        pytest.skip(f"pgbouncer is not to be had from the package archive: {fetched.stderr.strip()[-200:]}")
    for package in packages:
        subprocess.run(["dpkg", "-x", package, folder / "root"], check=True)
    libraries = sorted({library.parent for library in (folder / "root").rglob("*.so*")})
    return Program(folder / "root/usr/sbin/pgbouncer", libraries)


@contextlib.asynccontextmanager
async def pgbouncer(folder: Path, server: EmbeddedPostgres, data_dir: Path) -> AsyncIterator[str]:
    """Its database URL, in front of the embedded PostgreSQL of that data directory."""
    folder.mkdir()
    program, port = find_program(folder), free_port()
    (folder / "pgbouncer.ini").write_text(CONFIGURATION.format(socket=data_dir / "socket", port=port, folder=folder))
    account = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
    if account:
        shutil.chown(folder, account)
        await _admit(account, server, data_dir)
    process = await asyncio.create_subprocess_exec(
        program.path, "-q", folder / "pgbouncer.ini", env=program.environment, user=account
    )
    url = f"postgresql://causeway@127.0.0.1:{port}/causeway"
    try:
        await _until_it_answers(url)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _admit(account: str, server: EmbeddedPostgres, data_dir: Path) -> None:
    """Lets another account than the service's connect."""
    with (data_dir / "conf/pg_ident.conf").open("a") as file:
        file.write(f'service "{account}" causeway\n')
    connection = await asyncpg.connect(server.dsn)
    await connection.execute("select pg_reload_conf()")
    await connection.close()


async def _until_it_answers(url: str) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                connection = await asyncpg.connect(url, statement_cache_size=0)
                await connection.close()
                return
            await asyncio.sleep(0.1)
