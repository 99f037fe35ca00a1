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
from adapters.postgres.pool import Pool
from app import Causeway
from domain.accounts.use_cases import AccountCommands
from domain.connections.use_cases import ConnectionCommands
from domain.deciding import Desk
from domain.projects.integration import IntegrationReader
from tests.api_client import Answer, Api
from tests.vendor_stand_in import FixedResolver

NOT_COUNTED = ("token_marks", "dirty", "checkpoints", "projection_generations")


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
    wired: Causeway, plan: Plan, *, clock: SetClock | None = None, outbound: OutboundClient | None = None
) -> AsyncIterator[Api]:
    """The API with this clock, and with this way out to vendors."""
    now = clock or SetClock()
    client = outbound or nobody_answers()
    desk = Desk(wired.store, wired.vault, wired.follower)
    catalogue = wired.services.catalogue
    connections = ConnectionCommands(desk, IntegrationReader(wired.store), catalogue, CredentialTester(client), now)
    accounts = AccountCommands(desk, wired.services.accounts._hasher, now)
    services = msgspec.structs.replace(wired.services, clock=now, connections=connections, accounts=accounts)
    async with TestClient(TestServer(build_app(services, CollectorRegistry()))) as web:
        yield Api(web, plan)
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
    row = await wired.services.end_user_queries.connection(project_id, end_user_id, app)
    assert row is not None
    found = await wired.vault.credential(project_id, row.connection_id)
    assert found is not None
    return msgspec.json.decode(found[1])


async def stored(pool: Pool) -> dict[str, int]:
    """How many rows every table has, but for marks and progress."""
    tables = await pool.fetch("select tablename from pg_tables where schemaname = 'public' order by 1")
    names = [row["tablename"] for row in tables if row["tablename"] not in NOT_COUNTED]
    return {name: await pool.fetchval(f"select count(*) from {name}") for name in names}
