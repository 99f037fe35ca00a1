"""Wires everything: settings, then adapters, then use cases, then the web application and the workers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from secrets import SystemRandom

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from adapters.cli.auditing import Auditor
from adapters.cli.command_line import run, tell
from adapters.cli.commands import Commands
from adapters.cli.quickstart import FILE_NAME, quickstart
from adapters.cli.rebuilding import bring_up_to_date
from adapters.cli.serving import Wiring
from adapters.connectors.courier import WebhookCourier
from adapters.connectors.credential_test import CredentialTester
from adapters.connectors.loader import BrokenManifest, load_catalogue
from adapters.connectors.outbound import OutboundClient
from adapters.http.readiness import Readiness
from adapters.http.server import build_app, build_watched_app
from adapters.http.services import Services
from adapters.metrics.process import ProcessFigures
from adapters.metrics.scrape import Scrape
from adapters.oauth.installation import installation_clients
from adapters.oauth.provider_client import ProviderClient
from adapters.postgres.database import on_database, pool_of
from adapters.postgres.delivery_queue import PostgresDeliveryQueue
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.listener import listen
from adapters.postgres.migrate import migrate, one_start_at_a_time, schema_is_current
from adapters.postgres.pool import PatientPool
from adapters.postgres.refresh_queue import PostgresRefreshQueue
from adapters.settings import APPS, CannotStart, Settings
from adapters.vault.fingerprints import check_keyring
from adapters.vault.keyring import Keyring
from adapters.vault.passwords import ArgonHasher
from adapters.vault.rotation import KeyRotation
from adapters.vault.vault import PostgresVault
from adapters.workers.attempts import Attempts
from adapters.workers.deliveries import Deliveries
from adapters.workers.emptying import Emptying
from adapters.workers.expiry import Expiry
from adapters.workers.refreshing import RefreshWorker
from adapters.workers.supervisor import Supervisor
from adapters.workers.token_marks import TokenMarks
from adapters.workers.use_marks import UseMarks
from domain.accounts.use_cases import AccountCommands
from domain.apps.app import App
from domain.apps.catalogue import Catalogue
from domain.connections.assembly import Surroundings, assemble
from domain.connections.fetching import CredentialFetch
from domain.deciding import Desk
from domain.deliveries.composing import Composer
from domain.deliveries.use_cases import DeliveryCommands
from domain.end_users.use_cases import EndUserCommands
from domain.instances.use_cases import InstanceCommands
from domain.projects.use_cases import ProjectCommands
from projections.accounts import AccountQueries
from projections.catalogue import ALL_PROJECTIONS
from projections.companies import CompanyQueries
from projections.connections import ConnectionQueries
from projections.customers import CustomerQueries
from projections.deliveries import DeliveryQueries
from projections.end_users import EndUserQueries
from projections.expiring import expiring
from projections.follower import Follower
from projections.granted import GrantLooks
from projections.instances import InstanceQueries
from projections.integrations import IntegrationQueries
from projections.lag import behind, marks
from projections.project_tokens import ProjectTokenQueries
from projections.projector import Projector
from projections.projects import ProjectQueries
from projections.rebuild import Rebuild


def utc_now() -> datetime:
    return datetime.now(UTC)


class Causeway:
    """One process's adapters and use cases over an open pool."""

    def __init__(self, settings: Settings, dsn: str, pool: PatientPool, keyring: Keyring) -> None:
        self.settings, self.dsn, self.pool, self.keyring = settings, dsn, pool, keyring
        self.registry = CollectorRegistry()
        self.figures = ProcessFigures(self.registry, pool, lambda: self.store.waiting)
        self.vault = PostgresVault(pool, keyring)
        self.store = PostgresEventStore(pool, self.figures.note_batch)
        self.projector = Projector(pool, ALL_PROJECTIONS, self.vault, structlog.get_logger("projector").error)
        self.follower = Follower(pool, self.projector, structlog.get_logger("follower").warning)
        pool.when_connected = self.follower.doubt
        self.rebuild = Rebuild(pool, self.projector)
        self.outbound = OutboundClient(allow_private_networks=settings.allow_private_networks)
        # A kept connection that the provider closes just then would leave open whether it has renewed a token.
        self.providers = OutboundClient(allow_private_networks=settings.allow_private_networks, keep_connections=False)
        self.token_queries = ProjectTokenQueries(pool)
        self.marks = TokenMarks(self.token_queries.mark_used, utc_now)
        self.refresh_queue = PostgresRefreshQueue(pool)
        self.uses = UseMarks(self.refresh_queue, utc_now)
        self.wakeups = asyncio.Event()
        self.delivery_queue = PostgresDeliveryQueue(pool)
        self.readiness = Readiness(pool, ALL_PROJECTIONS, schema_is_current)
        self.services = self._services()
        self.deliveries = self._deliveries()
        self.refreshing = RefreshWorker(self.refresh_queue, self.connections.refresher, utc_now)

    def _services(self) -> Services:
        pool = self.pool
        desk = Desk(self.store, self.vault, self.follower)
        catalogue = Catalogue(self._apps())
        warn = structlog.get_logger("settings").warning
        installation = installation_clients(self.settings.oauth_clients, catalogue, warn)
        self.connections = assemble(
            desk,
            Surroundings(
                catalogue=catalogue,
                oauth=ProviderClient(self.providers, utc_now),
                prover=CredentialTester(self.outbound),
                clock=utc_now,
                chance=SystemRandom().random,
                note_use=self.uses.note,
                complain=structlog.get_logger("refresher").warning,
                public_url=self.settings.public_url,
                installation=installation,
            ),
        )
        return Services(
            accounts=AccountCommands(desk, ArgonHasher(), utc_now),
            projects=ProjectCommands(desk, catalogue, utc_now, installation, self.settings.public_url),
            connections=self.connections.commands,
            connecting=self.connections.connecting,
            customer_connections=self.connections.of_customers,
            credential_fetch=self._credential_fetch(),
            linking=self.connections.linking,
            authorizations=self.connections.authorizations,
            refresher=self.connections.refresher,
            end_users=EndUserCommands(desk),
            instances=InstanceCommands(desk),
            deliveries=DeliveryCommands(desk, self.delivery_queue, utc_now),
            account_queries=AccountQueries(pool),
            company_queries=CompanyQueries(pool),
            project_queries=ProjectQueries(pool),
            token_queries=self.token_queries,
            integration_queries=IntegrationQueries(pool),
            connection_queries=ConnectionQueries(pool),
            end_user_queries=EndUserQueries(pool),
            customer_queries=CustomerQueries(pool),
            instance_queries=InstanceQueries(pool),
            delivery_queries=DeliveryQueries(pool),
            catalogue=catalogue,
            public_url=self.settings.public_url,
            clock=utc_now,
            note_use=self.marks.note,
            readiness=self.readiness,
            figures=Scrape(self.registry, self.figures.settle, lambda: marks(pool), lambda: behind(pool)),
            metrics_token=self.settings.metrics_token,
        )

    def _credential_fetch(self) -> CredentialFetch:
        looks, refresher = GrantLooks(self.pool), self.connections.refresher
        return CredentialFetch(looks, self.vault, refresher, utc_now, self.uses.note)

    def _deliveries(self) -> Deliveries:
        queue, commands = self.delivery_queue, self.services.deliveries
        composer = Composer(self.store, self.vault, self.vault, queue, utc_now)
        chance = SystemRandom().random
        attempts = Attempts(queue, composer, WebhookCourier(self.outbound), commands, utc_now, chance)
        return Deliveries(queue, attempts, utc_now)

    def _apps(self) -> Mapping[str, App]:
        settings = self.settings
        try:
            return load_catalogue(more=settings.apps, allow_private_networks=settings.allow_private_networks)
        except BrokenManifest as broken:
            raise CannotStart(f"{APPS}: {str(broken).splitlines()[0]}") from None

    def web_app(self) -> web.Application:
        return build_app(self.services, self.registry)

    def watched_app(self) -> web.Application:
        return build_watched_app(self.services, self.registry)

    def auditor(self) -> Auditor:
        # Here, because psycopg would cost every start of every process a third of its time.
        from adapters.postgres.notification_log import LibraryNotifications

        second = None if self.settings.database_pooler else lambda: aclosing(LibraryNotifications(self.dsn))
        return Auditor(self.pool, ALL_PROJECTIONS, lambda connection: PostgresVault(connection, self.keyring), second)

    def rotation(self) -> KeyRotation:
        return KeyRotation(self.pool, self.keyring)

    def housekeeping(self) -> Supervisor:
        """The loops that every process runs."""
        return Supervisor({"token_marks": self.marks.run, "use_marks": self.uses.run, "figures": self.figures.run})

    def workers(self) -> Supervisor:
        """The loops that processes of the role "worker" run, and those of the role "all"."""
        loops: dict[str, Callable[[], Awaitable[None]]] = {"follower": lambda: self.follower.run(self.wakeups)}
        loops["refreshing"] = self.refreshing.run
        loops["expiry"] = Expiry(self.store.remove_expired_answers, *expiring(self.pool, ALL_PROJECTIONS)).run
        loops["emptying"] = Emptying(self.store.empty_abandoned).run
        loops["deliveries"] = self.deliveries.run
        loops["delivery_log"] = Expiry(self.delivery_queue.remove_old).run
        if not self.settings.database_pooler:  # LISTEN needs a session; behind a pooler polling serves alone
            loops["listener"] = lambda: listen(self.dsn, self.wakeups, self.deliveries.wakeups)
        return Supervisor(loops)

    def reload(self) -> None:
        self.keyring.refresh()

    async def close(self) -> None:
        """Finishes what was acknowledged or is about to be, then lets go."""
        try:
            await self.connections.drain()
            await self.refreshing.finish()
            await self.store.drain()
            await self.delivery_queue.drain()
            await self.follower.drain()
            await self.marks.finish()
            await self.uses.finish()
        finally:
            self.figures.settle()
            await self.outbound.close()
            await self.providers.close()
            await self.pool.close()


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """The database's address; wrong keys are told before one is started."""
    if settings.master_key:
        Keyring.open(settings.master_key, settings.data_dir)
    async with on_database(settings) as dsn:
        yield dsn


@asynccontextmanager
async def causeway(settings: Settings, dsn: str) -> AsyncIterator[Causeway]:
    """A wired process; what it began is finished when the block ends."""
    keyring = Keyring.open(settings.master_key, settings.data_dir)
    wired = Causeway(settings, dsn, await pool_of(settings, dsn), keyring)
    try:
        yield wired
    finally:
        await wired.close()


async def prepare(wired: Causeway, tell: Callable[[str], None], *, serves: bool = True) -> None:
    """Brings schema, keys and read models up to date; a first start also makes the quickstart project. ``serves``:
    this start answers at the public URL.
    """
    async with wired.pool.acquire() as connection:
        await migrate(connection, tell=tell)
        await check_keyring(connection, wired.keyring)
    await bring_up_to_date(wired.rebuild, wired.pool, ALL_PROJECTIONS, tell)
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


async def check_prepared(wired: Causeway) -> None:
    """CannotStart when the database is not as this program would leave it."""
    async with wired.pool.acquire() as connection:
        if not await schema_is_current(connection):
            raise CannotStart("the database's schema is not this program's; run scripts/migrate first")
        await check_keyring(connection, wired.keyring)


if __name__ == "__main__":
    wiring = Wiring(database, causeway, lambda wired, serves: prepare(wired, tell, serves=serves))
    sys.exit(run(sys.argv[1:], Commands(wiring, check_prepared, ALL_PROJECTIONS).by_name()))
