"""The PostgreSQL that the service brings along: started, shared, found again, stopped."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres import embedded
from adapters.postgres.embedded import EmbeddedPostgres, account, folders, postmaster
from adapters.postgres.embedded.postmaster import find_postmaster
from adapters.settings import CannotStart
from tests.adapters.embedded_postgres import FAST, ask, reachable_folder, refused

SERVICE = """
import asyncio, pathlib, sys
from adapters.postgres.embedded import EmbeddedPostgres
async def serve():
    server = await EmbeddedPostgres.start(pathlib.Path(sys.argv[1]), settings={"shared_buffers": "16MB"})
    print(server.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(serve())
"""


@pytest.fixture
def parent() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


@pytest.fixture
def data_dir(parent: Path) -> Path:
    return parent / "data"


async def until(seen: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not seen():
            await asyncio.sleep(0.002)


def service(data_dir: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", SERVICE, str(data_dir)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


async def test_it_starts_answers_and_stops(data_dir: Path) -> None:
    server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    assert await ask(server) == 1
    assert await ask(server, "SELECT current_database() || current_user") == "causewaycauseway"
    assert find_postmaster(data_dir) == server.pid
    await server.stop()
    await server.stop()
    assert find_postmaster(data_dir) is None
    with pytest.raises(OSError):
        await ask(server)


async def test_its_data_is_durable_checked_and_reachable_through_the_socket_alone(data_dir: Path) -> None:
    server = await EmbeddedPostgres.start(data_dir)
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "listen_addresses": "",
        "shared_buffers": "256MB",
        "max_wal_size": "4GB",
        "max_connections": "200",
    }
    assert {name: await ask(server, f"SHOW {name}") for name in wanted} == wanted
    assert await ask(server, "SELECT lower('Ä')") == "ä"
    assert await ask(server, "SELECT count(*) FROM pg_hba_file_rules") == 1
    await server.stop()


async def test_the_server_has_a_session_of_its_own_so_that_a_ctrl_c_does_not_reach_it(data_dir: Path) -> None:
    server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    assert os.getsid(server.pid) != os.getsid(0)
    await server.stop()


async def test_a_server_left_by_a_killed_service_is_found_and_shared(data_dir: Path) -> None:
    with service(data_dir) as killed:
        assert killed.stdout is not None
        left = int(await asyncio.to_thread(killed.stdout.readline))
        killed.kill()
        assert await asyncio.to_thread(killed.stdout.read) == "", "the server must not keep the service's stdout open"
    assert find_postmaster(data_dir) == left
    server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    assert server.pid == left
    assert await ask(server) == 1
    await server.stop()
    assert find_postmaster(data_dir) is None


async def test_a_killed_postmaster_is_started_again_with_its_data(data_dir: Path) -> None:
    server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    await ask(server, "CREATE TABLE kept AS SELECT 42 AS value")
    killed = server.pid
    busy = await asyncpg.connect(server.dsn)
    working = asyncio.create_task(busy.fetchval("SELECT count(*) FROM generate_series(1, 20000000)"))
    watching = asyncio.create_task(server.watch())
    os.kill(killed, signal.SIGKILL)
    await until(lambda: server.pid != killed)
    assert find_postmaster(data_dir) == server.pid
    assert await ask(server, "SELECT value FROM kept") == 42
    watching.cancel()
    await asyncio.gather(watching, working, return_exceptions=True)
    busy.terminate()
    await server.stop()
    assert find_postmaster(data_dir) is None


async def test_a_server_that_stands_still_in_its_recovery_is_ended_and_started_again(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standstill itself cannot be provoked; what a stuck server answers, and that it has no startup process, can."""
    server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    await ask(server, "CREATE TABLE kept AS SELECT 42 AS value")
    stuck, ask_it = server.pid, server._ask

    async def refused_by_the_stuck_one() -> Exception | None:
        return asyncpg.CannotConnectNowError("in recovery") if server.pid == stuck else await ask_it()

    monkeypatch.setattr(server, "_ask", refused_by_the_stuck_one)
    monkeypatch.setattr(embedded, "LOOK_SECONDS", 0)
    monkeypatch.setattr(embedded, "STANDSTILL_SECONDS", 0)
    watching = asyncio.create_task(server.watch())
    await until(lambda: server.pid != stuck)
    assert await ask(server, "SELECT value FROM kept") == 42
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await server.stop()


async def test_two_services_share_one_server_and_the_last_stops_it(data_dir: Path) -> None:
    web, worker = await asyncio.gather(*(EmbeddedPostgres.start(data_dir, settings=FAST) for _ in range(2)))
    assert web.pid == worker.pid
    await web.stop()
    assert await ask(worker) == 1
    await worker.stop()
    assert find_postmaster(data_dir) is None


async def test_a_start_that_is_cancelled_leaves_no_server_behind(data_dir: Path) -> None:
    starting = asyncio.create_task(EmbeddedPostgres.start(data_dir, settings=FAST))
    await until((data_dir / "start.lock").exists)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert find_postmaster(data_dir) is None


async def test_a_stale_process_id_that_another_program_has_now_is_no_obstacle(data_dir: Path) -> None:
    server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    await server.stop()
    for stale in (f"{os.getppid()}\n{data_dir / 'pg'}\n", "", f"{2**22 + 1}\n"):
        for left in (data_dir / "pg/postmaster.pid", data_dir / "socket/.s.PGSQL.5432.lock"):
            left.write_text(stale)
            owner = left.parent.stat()
            os.chown(left, owner.st_uid, owner.st_gid)
        server = await EmbeddedPostgres.start(data_dir, settings=FAST)
        assert await ask(server) == 1
        await server.stop()


async def test_an_initdb_that_was_interrupted_halfway_is_done_again(data_dir: Path) -> None:
    with service(data_dir) as killed:
        await until(lambda: list(data_dir.glob("pg.unfinished.*/base")))
        killed.kill()
    assert not (data_dir / "pg").exists()
    server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    assert await ask(server) == 1
    await server.stop()


async def test_a_setting_that_postgresql_refuses_stops_the_start_with_its_reason(data_dir: Path) -> None:
    with pytest.raises(CannotStart, match="shared_buffers") as refusal:
        await EmbeddedPostgres.start(data_dir, settings={"shared_buffers": "much"})
    assert "\n" not in str(refusal.value)
    server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    await server.stop()


async def test_a_server_that_cannot_be_seen_is_not_doubled(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    with monkeypatch.context() as patched:
        patched.setattr("adapters.postgres.embedded.find_postmaster", lambda _: None)
        patched.setattr(postmaster, "UNSEEN_SECONDS", 0)
        assert "perhaps in another container" in await refused(data_dir)
    assert await ask(server) == 1
    await server.stop()


def test_a_failure_is_told_in_one_line() -> None:
    printed = "starting\ninitdb: error: no space left\ninitdb: removing contents\n"
    assert account.Output(1, printed).reason() == "no space left"
    printed = """2020-01-01 LOG:  invalid value for parameter "port": "x"\n2020-01-01 FATAL:  file contains errors\n"""
    assert account.Output(1, printed).reason() == 'invalid value for parameter "port": "x"; file contains errors'
    assert account.Output(3, "").reason() == "exit code 3"


def test_the_start_lock_gives_up_in_time(parent: Path) -> None:
    began = time.monotonic()
    with folders.start_lock(parent, 1), pytest.raises(TimeoutError), folders.start_lock(parent, 0.1):
        raise AssertionError(f"both hold it after {time.monotonic() - began} s")
