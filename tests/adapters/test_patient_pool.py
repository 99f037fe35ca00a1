"""Reads that outlive a restart of PostgreSQL, and the errors that tell of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.embedded.postmaster import stop_postmaster
from adapters.postgres.pool import PatientPool, is_lost, open_pool
from domain.batching import SharedQuery
from domain.ports import StorageAway
from scripts.torturing.services import data_folder
from tests.conftest import FAST


@pytest.fixture
def folder() -> Iterator[Path]:
    with data_folder() as parent:
        yield parent / "data"


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = await EmbeddedPostgres.start(folder, settings=FAST)
    yield server
    stop_postmaster(folder)


@pytest.fixture
async def patient(server: EmbeddedPostgres) -> AsyncIterator[PatientPool]:
    pool = await open_pool(server.dsn)
    yield pool
    pool.terminate()


async def restarted(folder: Path) -> None:
    await EmbeddedPostgres.start(folder, settings=FAST)


async def test_reads_that_are_asked_while_the_server_is_away_are_answered_when_it_is_back(
    patient: PatientPool, folder: Path
) -> None:
    shared = SharedQuery(patient.fetch, "select i, v + 1 from unnest($1::int[]) with ordinality as q(v, i)")
    assert stop_postmaster(folder)
    asked = asyncio.gather(
        patient.fetchval("select 1"),
        patient.fetchrow("select 2"),
        *(patient.fetch("select 3") for _ in range(20)),
        *(shared.ask(number) for number in range(20)),
    )
    await asyncio.sleep(0)
    await restarted(folder)
    one, two, *others = await asked
    assert (one, list(two)) == (1, [2])
    assert [[list(row) for row in rows] for rows in others[:20]] == [[[3]]] * 20
    assert [rows[0][1] for rows in others[20:]] == list(range(1, 21))


async def test_reads_that_a_stopping_server_breaks_off_are_asked_again(patient: PatientPool, folder: Path) -> None:
    asked = [asyncio.create_task(patient.fetchval("select 4 from pg_sleep(0.5)")) for _ in range(5)]
    while await patient.fetchval("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") < 5:
        await asyncio.sleep(0.01)
    assert stop_postmaster(folder)
    await restarted(folder)
    assert await asyncio.gather(*asked) == [4] * 5


async def test_what_may_not_be_sent_twice_is_not(patient: PatientPool, folder: Path) -> None:
    assert stop_postmaster(folder)
    with pytest.raises(StorageAway):
        await patient.execute("select 1")
    with pytest.raises(StorageAway):
        async with patient.acquire():
            raise AssertionError("there is nobody to speak to")


async def test_a_server_that_stays_away_is_an_error_in_the_end(patient: PatientPool, folder: Path) -> None:
    patient.patience_seconds = 0.1
    shared = SharedQuery(patient.fetch, "select i from unnest($1::int[]) with ordinality as q(v, i)")
    assert stop_postmaster(folder)
    asked = (patient.fetch("select 1"), *(shared.ask(number) for number in range(5)))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StorageAway] * 6


async def test_a_transaction_that_loses_its_connection_is_told_so(patient: PatientPool) -> None:
    async with patient.acquire() as other:
        with pytest.raises(StorageAway):
            async with patient.acquire() as connection, connection.transaction():
                await other.execute("select pg_terminate_backend($1)", connection.get_server_pid())
                await connection.execute("select pg_sleep(30)")
    assert await patient.fetchval("select 1") == 1


async def test_every_new_connection_is_told(server: EmbeddedPostgres, patient: PatientPool, folder: Path) -> None:
    told: list[str] = []
    patient.when_connected = lambda: told.append("connected")
    assert await patient.fetchval("select 1") == 1
    assert told == []
    assert stop_postmaster(folder)
    await restarted(folder)
    assert await patient.fetchval("select 1") == 1
    assert told == ["connected"]


async def test_other_errors_are_neither_repeated_nor_renamed(patient: PatientPool) -> None:
    for statement, error in (
        ("select 1/0", asyncpg.DivisionByZeroError),
        ("nonsense", asyncpg.PostgresSyntaxError),
        ("set statement_timeout = 1; select pg_sleep(5)", asyncpg.QueryCanceledError),
    ):
        async with patient.acquire() as connection:
            with pytest.raises(error):
                await connection.execute(statement)
    with pytest.raises(asyncpg.DataError):
        await patient.fetch("select $1::int", "no number")
    with pytest.raises(OSError, match="elsewhere"):
        async with patient.acquire():
            raise OSError("elsewhere")


LOST = [
    ConnectionResetError("reset"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.ClientCannotConnectError("no connection"),
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    asyncpg.CrashShutdownError("terminating connection because of crash of another server process"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InterfaceError("cannot call Transaction.__aexit__(): the underlying connection is closed"),
    asyncpg.InterfaceError("cannot call Connection.fetch(): connection has been released back to the pool"),
    asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
    asyncpg.InternalClientError("got result for unknown protocol state 3"),
]
NOT_LOST = [
    OSError("disk full"),
    FileNotFoundError("a file of ours"),
    TimeoutError(),
    asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
    asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
    asyncpg.InterfaceError("pool is closing"),
    asyncpg.InternalClientError("no decoder for OID 1"),
    asyncpg.UniqueViolationError("duplicate key"),
]


def test_only_what_a_lost_server_leaves_behind_counts_as_lost() -> None:
    assert [error for error in LOST if not is_lost(error)] == []
    assert [error for error in NOT_LOST if is_lost(error)] == []


async def test_whatever_keeps_from_connecting_is_one_error(folder: Path) -> None:
    for address in (
        f"postgresql:///causeway?host={folder.parent}",
        "postgresql://127.0.0.1:9/causeway?sslmode=disable",
    ):
        with pytest.raises(asyncpg.ClientCannotConnectError):
            await open_pool(address)
