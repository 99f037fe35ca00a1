"""The API with a clock that can be set, vendors that stand in, and what else tests of it share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from adapters.cli.quickstart import Plan
from adapters.connectors.credential_test import CredentialTester
from adapters.connectors.outbound import OutboundClient
from adapters.http.server import build_app
from adapters.oauth.provider_client import ProviderClient
from adapters.postgres.pool import Pool
from app import Causeway
from domain.accounts.use_cases import AccountCommands
from domain.apps.catalogue import Catalogue
from domain.connections.assembly import Surroundings, assemble
from domain.connections.fetching import CredentialFetch
from domain.connections.oauth import Client
from domain.connections.refresher import LEASE
from domain.deciding import Desk
from domain.projects.use_cases import ProjectCommands
from projections.granted import GrantLooks
from tests.api.every_route import Runtime
from tests.api_client import Answer, Api
from tests.vendor_stand_in import FixedResolver

PUBLIC_URL = "http://127.0.0.1:1290"
NOT_COUNTED = ("token_marks", "connection_marks", "dirty", "checkpoints", "projection_generations")


class SetClock:
    """The time now, moved by ``ahead``."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def nobody_answers() -> OutboundClient:
    """An outbound client that finds every vendor at a port of this machine where nobody listens."""
    return OutboundClient(allow_private_networks=True, resolver=FixedResolver([["127.0.0.1"]], 9))


@asynccontextmanager
async def staged(
    wired: Causeway,
    plan: Plan,
    *,
    clock: SetClock | None = None,
    outbound: OutboundClient | None = None,
    catalogue: Catalogue | None = None,
    installation: Mapping[str, Client] | None = None,
    lease: timedelta = LEASE,
    public_url: str = PUBLIC_URL,
    port: int | None = None,
) -> AsyncIterator[Api]:
    """The API with this clock, this way out to vendors, and this installation's OAuth clients."""
    now = clock or SetClock()
    client = outbound or nobody_answers()
    desk = Desk(wired.store, wired.vault, wired.follower)
    connections = assemble(
        desk,
        Surroundings(
            catalogue=catalogue or wired.services.catalogue,
            oauth=ProviderClient(client, now),
            prover=CredentialTester(client),
            clock=now,
            chance=lambda: 0.5,
            note_use=wired.uses.note,
            complain=print,
            public_url=public_url,
            installation=installation or {},
            lease=lease,
        ),
    )
    apps = catalogue or wired.services.catalogue
    accounts = AccountCommands(desk, wired.services.accounts._hasher, now)
    services = msgspec.structs.replace(
        wired.services,
        clock=now,
        catalogue=apps,
        public_url=public_url,
        projects=ProjectCommands(desk, apps, now, installation or {}, public_url),
        connections=connections.commands,
        connecting=connections.connecting,
        customer_connections=connections.of_customers,
        credential_fetch=CredentialFetch(
            GrantLooks(wired.pool), wired.vault, connections.refresher, now, wired.uses.note
        ),
        linking=connections.linking,
        authorizations=connections.authorizations,
        refresher=connections.refresher,
        accounts=accounts,
    )
    async with TestClient(TestServer(build_app(services, CollectorRegistry()), port=port)) as web:
        api = Api(web, plan)
        api.services = services
        api.settled = connections.drain
        yield api
    await connections.drain()
    await client.close()


async def register(api: Api, app_key: str, **members: Any) -> Answer:
    """Registers an app with the quickstart project."""
    answer = await api.manage("POST", f"{api.managed_project}/Integration", {"app_key": app_key, **members})
    assert answer.status == 201, answer.text
    return answer


async def import_token(api: Api, user: str, app: str = "github", **members: Any) -> Answer:
    """Imports over the newer generation."""
    body = {"appKey": app, "scopes": [], "accessToken": "imported-token", **members}
    return await api.monkedo("POST", f"/users/{quote(user, safe='')}/connections/import", body)


async def connect_fields(api: Api, user: str, app: str, fields: Mapping[str, Any], **members: Any) -> Answer:
    """Connects over the newer generation."""
    path = f"{api.project}/users/{quote(user, safe='')}/connections/{app}"
    return await api.monkedo("POST", path, {"connectionFields": dict(fields), **members})


async def new_runtime(api: Api, marker: str) -> Runtime:
    """A customer, a connection and an instance with the marker in every name, and a grant that ties them together."""

    async def made(path: str, **body: Any) -> Any:
        answer = await api.call("POST", path, body, token=api.plan.project_token)
        assert answer.status == 201, answer.text
        return answer.json

    customer = await made("/v1/customers", external_id=f"{marker}-customer", company_name=marker)
    connections = f"/v1/customers/{customer['id']}/connections"
    credentials = {"api_key": f"{marker}-secret"}
    connection = await made(connections, provider="github", name=marker, auth_type="api_key", credentials=credentials)
    instance = await made("/v1/instances", name=marker)
    grant = await made(
        f"{connections}/{connection['id']}/grants", instance_id=instance["id"], capabilities=["read_repos"]
    )
    return Runtime(customer["id"], connection["id"], instance["id"], instance["proxy_key"], grant["id"])


async def details(api: Api, user: str, app: str = "github") -> Any:
    answer = await api.monkedo("GET", f"/users/{quote(user, safe='')}/connections/{app}")
    assert answer.status == 200, answer.text
    return answer.json


def refusal(answer: Answer) -> tuple[int, int]:
    """The status and the published code of a Monkedo refusal, whose shape is checked on the way."""
    assert set(answer.json) == {"code", "name", "message"}, answer.text
    return answer.status, answer.json["code"]


async def sealed_secret(wired: Causeway, user: str, app: str = "github") -> Any:
    """What the vault keeps of an end user's connection, opened."""
    project_id = await wired.pool.fetchval("select tenant_id from read_projects_1")
    end_user_id = await wired.services.end_user_queries.end_user_id(project_id, user)
    assert end_user_id is not None
    row = await wired.services.connection_queries.connection(project_id, end_user_id, app)
    assert row is not None
    found = await wired.vault.credential(project_id, row.connection_id)
    assert found is not None
    return msgspec.json.decode(found[1])


async def stored(pool: Pool) -> dict[str, int]:
    """How many rows every table has, but for marks and progress."""
    tables = await pool.fetch("select tablename from pg_tables where schemaname = 'public' order by 1")
    names = [row["tablename"] for row in tables if row["tablename"] not in NOT_COUNTED]
    return {name: await pool.fetchval(f"select count(*) from {name}") for name in names}
