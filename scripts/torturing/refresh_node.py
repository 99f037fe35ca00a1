"""One process's use cases of connections over a database and a provider, without a web server."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from adapters.cli.rebuilding import bring_up_to_date
from adapters.connectors.credential_test import CredentialTester
from adapters.connectors.outbound import OutboundClient
from adapters.oauth.provider_client import ProviderClient
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import PatientPool, open_pool
from adapters.vault.keyring import Keyring
from adapters.vault.passwords import ArgonHasher
from adapters.vault.vault import PostgresVault
from domain.accounts.use_cases import AccountCommands
from domain.apps.app import App
from domain.apps.catalogue import Catalogue
from domain.connections.assembly import Surroundings, assemble
from domain.connections.connection import CONNECTION, Connection
from domain.connections.oauth import OAuthClient
from domain.connections.refresher import LEASE, NoteUse
from domain.connections.secret import Secret, read_secret
from domain.deciding import Caller, Desk, load
from domain.ids import new_id
from domain.ports import EventStore
from domain.projects.project import ProjectSettings
from domain.projects.use_cases import NewIntegration, ProjectCommands
from projections.catalogue import ALL_PROJECTIONS
from projections.follower import Follower
from projections.projector import Projector
from projections.rebuild import Rebuild

APP = "local"
CALLER = Caller("script:refreshing")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node works; goes to other processes as JSON."""

    dsn: str
    keys: str
    """A folder with the master key."""
    project_id: UUID
    manifest: dict[str, Any]
    lease_seconds: float = LEASE.total_seconds()


def utc_now() -> datetime:
    return datetime.now(UTC)


def ignore(*told: object, **known: object) -> None:
    return


class Node:
    """``store`` and ``oauth`` may be wrapped on the way in, so that a process can die at the right moment."""

    def __init__(
        self,
        place: Place,
        pool: PatientPool,
        *,
        note_use: NoteUse = ignore,
        complain: Callable[..., object] = ignore,
        wrap_store: Callable[[EventStore], EventStore] = lambda store: store,
        wrap_oauth: Callable[[OAuthClient], OAuthClient] = lambda oauth: oauth,
    ) -> None:
        self.place, self.pool = place, pool
        self.vault = PostgresVault(pool, Keyring.open(None, Path(place.keys)))
        self.store = PostgresEventStore(pool)
        self.projector = Projector(pool, ALL_PROJECTIONS, self.vault, complain)
        self.follower = Follower(pool, self.projector, complain)
        self.outbound = OutboundClient(allow_private_networks=True, keep_connections=False)
        self.oauth = ProviderClient(self.outbound, utc_now)
        self.catalogue = Catalogue({APP: msgspec.convert(place.manifest, App)})
        self.desk = Desk(wrap_store(self.store), self.vault, self.follower)
        self.use_cases = assemble(
            self.desk,
            Surroundings(
                catalogue=self.catalogue,
                oauth=wrap_oauth(self.oauth),
                prover=CredentialTester(self.outbound),
                clock=utc_now,
                chance=random.random,
                note_use=note_use,
                complain=complain,
                public_url="http://127.0.0.1:1290",
                lease=timedelta(seconds=place.lease_seconds),
            ),
        )
        self.refresher = self.use_cases.refresher

    @classmethod
    @asynccontextmanager
    async def at(cls, place: Place, *, size: int = 10, **parts: Any) -> AsyncIterator[Node]:
        pool = await open_pool(place.dsn, size=size)
        node = cls(place, pool, **parts)
        try:
            yield node
        finally:
            await node.use_cases.drain()
            await node.store.drain()
            await node.follower.drain()
            await node.outbound.close()
            await pool.close()

    async def found(self, projects: Sequence[UUID], client_id: str, client_secret: str) -> None:
        """On an empty, migrated database: makes the read models, and these projects with the provider as their app."""
        await bring_up_to_date(Rebuild(self.pool, self.projector), self.pool, ALL_PROJECTIONS, ignore)
        accounts = AccountCommands(self.desk, ArgonHasher(), utc_now)
        commands = ProjectCommands(self.desk, self.catalogue, utc_now)
        company_id = new_id()
        await accounts.open_installation(CALLER)
        await accounts.found_company(CALLER, company_id, "Refreshing")
        app = NewIntegration(app_key=APP, client_id=client_id, client_secret=client_secret, scopes=("read",))
        for project_id in projects:
            await commands.create(company_id, CALLER, ProjectSettings(name="Refreshing", webhook_url=""), project_id)
            await commands.add_integration(project_id, CALLER, app)

    async def state(self, connection_id: UUID) -> Connection:
        return (await load(self.store, CONNECTION, self.place.project_id, connection_id))[0]

    async def secret(self, connection_id: UUID) -> Secret | None:
        """The newest that is stored."""
        found = await self.vault.credential(self.place.project_id, connection_id)
        return read_secret(found[1]) if found else None
