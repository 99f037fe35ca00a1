"""Wires everything: settings, then adapters, then use cases, then the web application and the workers."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import structlog
import uvloop
from prometheus_client import CollectorRegistry

from adapters.cli import auditing, rebuilding, rotating
from adapters.cli.progress import Out
from adapters.cli.quickstart import FILE_NAME, quickstart
from adapters.cli.serving import (
    READY,
    bind_port,
    cancel_on_signals,
    serve_web,
    stop_on_signals,
    stop_with_parent,
    supervise,
)
from adapters.connectors.credential_test import CredentialTester
from adapters.connectors.loader import load_catalogue
from adapters.connectors.outbound import OutboundClient
from adapters.http.server import build_app
from adapters.http.services import Services
from adapters.logs import configure_logs
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.listener import listen
from adapters.postgres.migrate import migrate, one_start_at_a_time, schema_is_current
from adapters.postgres.notification_log import LibraryNotifications
from adapters.postgres.pool import Pool, open_pool
from adapters.settings import CannotStart, Settings, load_settings
from adapters.vault.fingerprints import check_keyring
from adapters.vault.keyring import Keyring
from adapters.vault.passwords import ArgonHasher
from adapters.vault.rotation import KeyRotation
from adapters.vault.vault import PostgresVault
from adapters.workers.expiry import Expiry
from adapters.workers.supervisor import Supervisor
from adapters.workers.token_marks import TokenMarks
from domain.accounts.use_cases import AccountCommands
from domain.apps.catalogue import Catalogue
from domain.connections.use_cases import ConnectionCommands
from domain.deciding import Desk
from domain.end_users.use_cases import EndUserCommands
from domain.projects.integration import IntegrationReader
from domain.projects.use_cases import ProjectCommands
from projections.accounts import AccountQueries
from projections.catalogue import ALL_PROJECTIONS
from projections.companies import CompanyQueries
from projections.end_users import EndUserQueries
from projections.follower import Follower
from projections.generations import create_tables, outdated, resume_stopped, stopped
from projections.integrations import IntegrationQueries
from projections.project_tokens import ProjectTokenQueries
from projections.projector import Projector
from projections.projects import ProjectQueries
from projections.rebuild import Rebuild


def utc_now() -> datetime:
    return datetime.now(UTC)


class Causeway:
    """One process's adapters and use cases over an open pool."""

    def __init__(self, settings: Settings, dsn: str, pool: Pool, keyring: Keyring) -> None:
        self.settings, self.dsn, self.pool, self.keyring = settings, dsn, pool, keyring
        self.vault = PostgresVault(pool, keyring)
        self.store = PostgresEventStore(pool)
        self.projector = Projector(pool, ALL_PROJECTIONS, self.vault, structlog.get_logger("projector").error)
        self.follower = Follower(pool, self.projector, structlog.get_logger("follower").warning)
        self.rebuild = Rebuild(pool, self.projector)
        self.outbound = OutboundClient(allow_private_networks=settings.allow_private_networks)
        self.token_queries = ProjectTokenQueries(pool)
        self.marks = TokenMarks(self.token_queries.mark_used, utc_now)
        self.wakeups = asyncio.Event()
        self.registry = CollectorRegistry()
        self.services = self._services()

    def _services(self) -> Services:
        desk = Desk(self.store, self.vault, self.follower)
        catalogue = Catalogue(load_catalogue())
        integrations = IntegrationReader(self.store)
        prover = CredentialTester(self.outbound)
        return Services(
            accounts=AccountCommands(desk, ArgonHasher(), utc_now),
            projects=ProjectCommands(desk, catalogue),
            connections=ConnectionCommands(desk, integrations, catalogue, prover, utc_now),
            end_users=EndUserCommands(desk),
            account_queries=AccountQueries(self.pool),
            company_queries=CompanyQueries(self.pool),
            project_queries=ProjectQueries(self.pool),
            token_queries=self.token_queries,
            integration_queries=IntegrationQueries(self.pool),
            end_user_queries=EndUserQueries(self.pool),
            catalogue=catalogue,
            clock=utc_now,
            note_use=self.marks.note,
            readiness=self.readiness,
            metrics_token=self.settings.metrics_token,
        )

    async def readiness(self) -> list[str]:
        """What keeps this process from serving well; nothing when all is fine."""
        try:
            async with asyncio.timeout(5), self.pool.acquire() as connection:
                if not await schema_is_current(connection):
                    return ["the database's schema is not this program's"]
                wrong = [
                    f"the read model {p.name} is being rebuilt" for p in await outdated(connection, ALL_PROJECTIONS)
                ]
                for projection, tenant, why in await stopped(connection):
                    wrong.append(f"the read model {projection} of tenant {tenant} has stopped at {why}")
                return wrong
        except Exception as error:
            return [f"the database does not answer ({type(error).__name__})"]

    def workers(self) -> Supervisor:
        loops: dict[str, Callable[[], Awaitable[None]]] = {"follower": lambda: self.follower.run(self.wakeups)}
        loops["expiry"] = Expiry(self.store.remove_expired_answers).run
        if not self.settings.database_pooler:  # LISTEN needs a session; behind a pooler polling serves alone
            loops["listener"] = lambda: listen(self.dsn, self.wakeups)
        return Supervisor(loops)

    async def close(self) -> None:
        """Finishes what was acknowledged or is about to be, then lets go."""
        try:
            await self.store.drain()
            await self.follower.drain()
            await self.marks.finish()
        finally:
            await self.outbound.close()
            await self.pool.close()


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """The address of the user's PostgreSQL, or of the embedded one, which is watched meanwhile."""
    if settings.database_url:
        yield settings.database_url
        return
    server = await EmbeddedPostgres.start(settings.data_dir)
    watching = asyncio.create_task(server.watch())
    try:
        yield server.dsn
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await server.stop()


@asynccontextmanager
async def causeway(settings: Settings, dsn: str) -> AsyncIterator[Causeway]:
    """A wired process; what it began is finished when the block ends."""
    keyring = Keyring.open(settings.master_key, settings.data_dir)
    try:
        pool = await open_pool(dsn, pooler=settings.database_pooler)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotStart(
            f"the database does not answer ({type(error).__name__}); check CAUSEWAY_DATABASE_URL"
        ) from None
    wired = Causeway(settings, dsn, pool, keyring)
    try:
        yield wired
    finally:
        await wired.close()


async def prepare(wired: Causeway, tell: Callable[[str], None], *, serves: bool = True) -> None:
    """Brings schema, keys and read models up to date; a first start also makes the quickstart project. ``serves``:
    this start answers at the public URL.
    """
    async with wired.pool.acquire() as connection:
        version = connection.get_server_version()
        if version.major < 15:
            raise CannotStart(f"PostgreSQL {version.major} is too old; Causeway needs 15 or newer")
        await migrate(connection, tell=tell)
        await check_keyring(connection, wired.keyring)
        await create_tables(connection, ALL_PROJECTIONS)
        await resume_stopped(connection, ALL_PROJECTIONS)
        stale = await outdated(connection, ALL_PROJECTIONS)
    await rebuilding.rebuild_outdated(wired.rebuild, stale, tell)
    async with wired.pool.acquire() as connection, one_start_at_a_time(connection):
        is_new = not await connection.fetchval("select exists (select from tenant_heads)")
        told = await quickstart(
            wired.settings.data_dir / FILE_NAME,
            wired.settings.public_url,
            wired.services.accounts,
            wired.services.projects,
            wired.token_queries.token_id,
            is_new=is_new,
            serves=serves,
        )
        tell(told)


async def run_process(settings: Settings, dsn: str, role: str, *, first: bool) -> None:
    """One serving process: the web application, the workers, or both, until it is told to stop."""
    bound = None if role == "worker" else bind_port(settings.host, settings.port, shared=not first)
    if bound:
        settings = settings.with_port(bound.getsockname()[1])
    async with causeway(settings, dsn) as wired:
        if first:
            await prepare(wired, tell, serves=bound is not None)
        stop = stop_on_signals(wired.keyring.refresh)
        if not first:
            stop_with_parent(stop)
        settle_memory()
        workers = wired.workers()
        marking = asyncio.create_task(wired.marks.run())
        if role != "web":
            workers.start()
        at_work = f"Causeway serves on {settings.public_url}" if bound else "Causeway works"
        try:
            if bound:
                app = build_app(wired.services, wired.registry)
                await serve_web(app, bound, stop, lambda: tell(at_work if first else READY))
            else:
                tell(at_work if first else READY)
                await stop.wait()
        finally:
            marking.cancel()
            await workers.stop()


def settle_memory() -> None:
    """What stands after the start stays: the collector need not look at it again, nor after every few hundred objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def run_processes(settings: Settings, dsn: str, role: str, count: int) -> None:
    """Several processes on one port; this one prepares the ground and watches over them."""
    held = None if role == "worker" else bind_port(settings.host, settings.port, shared=True)
    if held:  # the port stays ours while children come and go
        settings = settings.with_port(held.getsockname()[1])
    async with causeway(settings, dsn) as wired:
        await prepare(wired, tell, serves=held is not None)
    stop = stop_on_signals(lambda: None)
    at_work = f"Causeway serves on {settings.public_url}" if held else "Causeway works"
    environment = {
        **os.environ,
        "CAUSEWAY_DATABASE_URL": dsn,
        "CAUSEWAY_DATA_DIR": str(settings.data_dir),
        "CAUSEWAY_PORT": str(settings.port),
        "CAUSEWAY_PUBLIC_URL": settings.public_url,
        "CAUSEWAY_LOG": settings.log,
    }
    child = [str(Path(__file__)), "serve", "--child", "--role", role]
    await supervise(child, environment, count, stop, lambda: tell(f"{at_work} with {count} processes"))
    if held:
        held.close()


async def serve(settings: Settings, arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/serve", description="Starts Causeway.")
    parser.add_argument("--role", choices=("all", "web", "worker"), default="all", help="what this start does (all)")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="processes that share the port (1)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if not 1 <= chosen.processes <= 64:
        parser.error("--processes takes 1 to 64")
    if chosen.child:
        await run_process(settings, settings.database_url, chosen.role, first=False)
        return 0
    async with database(settings) as dsn:
        if chosen.processes == 1:
            await run_process(settings, dsn, chosen.role, first=True)
        else:
            await run_processes(settings, dsn, chosen.role, chosen.processes)
    return 0


async def migrate_only(settings: Settings, arguments: Sequence[str]) -> int:
    argparse.ArgumentParser(prog="scripts/migrate", description="Brings the database up to date.").parse_args(arguments)
    async with database(settings) as dsn, causeway(settings, dsn) as wired:
        await prepare(wired, tell, serves=False)
    return 0


@asynccontextmanager
async def over_prepared(settings: Settings) -> AsyncIterator[Causeway]:
    """A wired process for one command, beside the service or without it."""
    async with database(settings) as dsn, causeway(settings, dsn) as wired:
        async with wired.pool.acquire() as connection:
            if not await schema_is_current(connection):
                raise CannotStart("the database's schema is not this program's; run scripts/migrate first")
            await check_keyring(connection, wired.keyring)
        yield wired


async def rebuild(settings: Settings, arguments: Sequence[str]) -> int:
    chosen = rebuilding.parse(arguments, ALL_PROJECTIONS)
    async with over_prepared(settings) as wired:
        async with wired.pool.acquire() as connection:
            await create_tables(connection, ALL_PROJECTIONS)
        return await rebuilding.rebuild(wired.rebuild, wired.pool, ALL_PROJECTIONS, chosen, Out.to(sys.stdout))


async def replay_audit(settings: Settings, arguments: Sequence[str]) -> int:
    chosen = auditing.parse(arguments)
    async with over_prepared(settings) as wired:
        second = None if settings.database_pooler else lambda: aclosing(LibraryNotifications(wired.dsn))
        vault_on = lambda connection: PostgresVault(connection, wired.keyring)  # noqa: E731
        auditor = auditing.Auditor(wired.pool, ALL_PROJECTIONS, vault_on, second)
        return await auditor.run(chosen, Out.to(sys.stdout), Out.to(sys.stderr))


async def rotate_keys(settings: Settings, arguments: Sequence[str]) -> int:
    chosen = rotating.parse(arguments)
    async with over_prepared(settings) as wired:
        keyring = wired.keyring
        rotation = KeyRotation(wired.pool, keyring)
        return await rotating.rotate(rotation, keyring.path, keyring.ids()[1:], chosen, Out.to(sys.stdout))


def tell(line: str) -> None:
    if line:
        print(line, flush=True)  # noqa: T201 - what people see of a start


COMMANDS: dict[str, Callable[[Settings, Sequence[str]], Awaitable[int]]] = {
    "serve": serve,
    "migrate": migrate_only,
    "rotate_keys": rotate_keys,
    "rebuild": rebuild,
    "replay_audit": replay_audit,
}


def main(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] not in COMMANDS:
        tell(f"usage: app.py {{{','.join(COMMANDS)}}} [--help]")
        return 2
    try:
        settings = load_settings(os.environ, is_tty=sys.stderr.isatty())
        configure_logs(settings.log)
        return uvloop.run(_run(COMMANDS[arguments[0]](settings, arguments[1:])))
    except CannotStart as reason:
        print(f"causeway: {reason}", file=sys.stderr)  # noqa: T201
        return 1
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM  # told to stop before it served


async def _run(command: Awaitable[int]) -> int:
    cancel_on_signals()
    return await command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
