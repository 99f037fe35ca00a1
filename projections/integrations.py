"""The apps that a project has registered."""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

import msgspec

from domain.events import Recorded, Reveal
from domain.ports import TenantKind
from domain.projects.integration import IntegrationAdded, IntegrationRemoved
from domain.projects.project import ProjectChanged, ProjectCreated, ProjectDeleted
from projections.projection import Projection, unknown
from projections.reading import Listing, Page, Pool
from projections.rows import Rows
from projections.tables import Table

INTEGRATIONS_TABLE = Table(
    "read_integrations_1",
    key={"integration_id": "uuid"},
    columns={
        "app_key": "text",
        "auth_type": "text",
        "client_id": "text",
        "scopes": "text",
        "created_at": "timestamptz",
    },
    indexes=("(tenant_id, generation, app_key)",),
)


def fold(rows: Rows, recorded: Recorded, reveal: Reveal) -> None:
    event = recorded.event
    match event:
        case IntegrationAdded():
            rows.put(
                INTEGRATIONS_TABLE,
                (recorded.stream_id,),
                app_key=event.app_key,
                auth_type=event.auth_type,
                client_id=event.client_id,
                scopes=json.dumps(event.scopes),
                created_at=recorded.recorded_at,
            )
        case IntegrationRemoved():
            rows.remove(INTEGRATIONS_TABLE, (recorded.stream_id,))
        case ProjectCreated() | ProjectChanged():
            pass
        case ProjectDeleted():
            rows.remove_where(INTEGRATIONS_TABLE)
        case _:
            raise unknown(recorded)


INTEGRATIONS = Projection(
    name="integrations",
    kinds=frozenset({TenantKind.PROJECT}),
    reads=frozenset({"integration", "project"}),
    tables=(INTEGRATIONS_TABLE,),
    fold=fold,
)


class IntegrationRow(msgspec.Struct, frozen=True):
    app_key: str
    auth_type: str
    client_id: str | None
    scopes: list[str]
    created_at: datetime


_SOURCE = """
from checkpoints g join read_integrations_1 n on n.tenant_id = g.tenant_id and n.generation = g.generation
where g.tenant_id = $1 and g.projection = 'integrations' and g.live
"""
_SELECT = f"select n.app_key, n.auth_type, n.client_id, n.scopes, n.created_at {_SOURCE}"


class IntegrationQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def one(self, project_id: UUID, app_key: str) -> IntegrationRow | None:
        row = await self._pool.fetchrow(_SELECT + " and n.app_key = $2", project_id, app_key)
        return IntegrationRow(row[0], row[1], row[2], json.loads(row[3]), row[4]) if row else None

    async def list(self, project_id: UUID, page: Page) -> Listing[IntegrationRow]:
        rows = await self._pool.fetch(
            _SELECT + " order by n.created_at, n.app_key limit $2 offset $3", project_id, page.size, page.offset
        )
        total = await self._pool.fetchval(f"select count(*) {_SOURCE}", project_id)
        items = [IntegrationRow(row[0], row[1], row[2], json.loads(row[3]), row[4]) for row in rows]
        return Listing(items, total, page)
