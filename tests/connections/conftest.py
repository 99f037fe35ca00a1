"""Connections to a provider in this process, seen from several processes' worth of use cases over one database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.connectors.credential_test import CredentialTester
from adapters.connectors.outbound import OutboundClient
from adapters.oauth.provider_client import ProviderClient
from app import Causeway, causeway
from domain.apps.catalogue import Catalogue
from domain.connections.assembly import ConnectionUseCases, Surroundings, assemble
from domain.connections.connection import CONNECTION, Connection
from domain.connections.events import RefreshStarted
from domain.connections.use_cases import TokenSet
from domain.deciding import Caller, Desk, load
from domain.events import Event
from domain.projects.use_cases import NewIntegration
from scripts.providers.manifests import as_app
from scripts.providers.quick import QuickProvider
from tests.conftest import Ground

CALLER = Caller("test:lead")
LEASE = timedelta(seconds=2)
APP = "local"


class Node:
    """One process's use cases, with a clock that can be set."""

    def __init__(self, wired: Causeway, provider: QuickProvider, **scheme: Any) -> None:
        self.ahead = timedelta()
        self.wired = wired
        self.outbound = OutboundClient(allow_private_networks=True, keep_connections=False)
        self.catalogue = Catalogue({APP: as_app(provider, APP, **scheme)})
        self.uses: dict[UUID, datetime | None] = {}
        self.complaints: list[dict[str, object]] = []
        desk = Desk(wired.store, wired.vault, wired.follower)
        self.use_cases: ConnectionUseCases = assemble(
            desk,
            Surroundings(
                catalogue=self.catalogue,
                oauth=ProviderClient(self.outbound, self.clock),
                prover=CredentialTester(self.outbound),
                clock=self.clock,
                chance=lambda: 0.5,
                note_use=lambda project_id, connection_id, due_at: self.uses.update({connection_id: due_at}),
                complain=lambda name, **known: self.complaints.append({"name": name, **known}),
                public_url="http://127.0.0.1:1290",
                lease=LEASE,
            ),
        )
        self.refresher = self.use_cases.refresher

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def close(self) -> None:
        await self.use_cases.drain()
        await self.outbound.close()


class Linked:
    """An end user's connection to the provider, imported with a grant that the provider knows."""

    def __init__(self, node: Node, project_id: UUID, connection_id: UUID, tokens: dict[str, Any]) -> None:
        self.node, self.project_id, self.connection_id, self.tokens = node, project_id, connection_id, tokens

    async def events(self) -> list[Event]:
        return await self.node.wired.store.events_of(self.project_id, self.connection_id)

    async def state(self) -> Connection:
        return (await load(self.node.wired.store, CONNECTION, self.project_id, self.connection_id))[0]

    async def refreshes_begun(self) -> int:
        return sum(isinstance(event, RefreshStarted) for event in await self.events())


@pytest.fixture
async def provider() -> AsyncIterator[QuickProvider]:
    async with await QuickProvider.start() as provider:
        yield provider


@pytest.fixture
async def node(wired: Causeway, provider: QuickProvider) -> AsyncIterator[Node]:
    node = Node(wired, provider)
    yield node
    await node.close()


@pytest.fixture
async def other(ground: Ground, dsn: str, provider: QuickProvider) -> AsyncIterator[Node]:
    """Another process over the same database."""
    async with causeway(ground.settings(dsn), dsn) as wired:
        node = Node(wired, provider)
        yield node
        await node.close()


@pytest.fixture
async def linked(ground: Ground, node: Node, provider: QuickProvider) -> Linked:
    return await link(ground, node, provider)


async def link(
    ground: Ground, node: Node, provider: QuickProvider, user: str = "ada", *, seconds: float = 3600, **members: Any
) -> Linked:
    """Imports a grant of the provider for this user; its access token ends in so many seconds."""
    project_id = ground.plan.project_id
    if not await node.wired.services.integration_queries.one(project_id, APP):
        new = NewIntegration(
            app_key=APP, client_id=provider.client_id, client_secret=provider.client_secret, scopes=("read",)
        )
        commands = type(node.wired.services.projects)(
            Desk(node.wired.store, node.wired.vault, node.wired.follower), node.catalogue, node.clock
        )
        await commands.add_integration(project_id, CALLER, new)
    tokens = provider.tokens_for(user)
    imported = TokenSet(
        app_key=APP,
        access_token=tokens["access_token"],
        refresh_token=tokens.get("refresh_token"),
        scopes=("read",),
        expires_at=node.clock() + timedelta(seconds=seconds),
    )
    imported = msgspec.structs.replace(imported, **members)
    await node.use_cases.commands.import_token(project_id, CALLER, user, imported, replaces=True)
    user_id = await node.wired.services.end_user_queries.end_user_id(project_id, user)
    assert user_id is not None
    row = await node.wired.services.connection_queries.connection(project_id, user_id, APP)
    assert row is not None
    return Linked(node, project_id, row.connection_id, tokens)
