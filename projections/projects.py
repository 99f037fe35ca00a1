"""Projects as their settings page shows them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from domain.deliveries.endpoint import Notice
from domain.events import Recorded, Reveal
from domain.ports import TenantKind
from domain.projects.project import ProjectChanged, ProjectCreated, ProjectDeleted
from projections.projection import Projection, unknown
from projections.reading import Pool
from projections.rows import Rows
from projections.tables import Table

PROJECTS_TABLE = Table(
    "read_projects_1",
    key={},
    columns={
        "company_id": "uuid",
        "name": "text",
        "webhook_url": "text",
        "logo_url": "text",
        "allowed_origins": "text",
        "created_at": "timestamptz",
    },
)


def fold(rows: Rows, recorded: Recorded, reveal: Reveal) -> None:
    event = recorded.event
    match event:
        case ProjectCreated():
            rows.put(
                PROJECTS_TABLE, (), company_id=event.company_id, created_at=recorded.recorded_at, **_settings(event)
            )
        case ProjectChanged():
            rows.change(PROJECTS_TABLE, (), **_settings(event))
        case ProjectDeleted():
            rows.remove_where(PROJECTS_TABLE)
        case _:
            raise unknown(recorded)


def _settings(event: ProjectCreated | ProjectChanged) -> dict[str, Any]:
    return {
        "name": event.name,
        "webhook_url": event.webhook_url,
        "logo_url": event.logo_url,
        "allowed_origins": json.dumps(event.allowed_origins),
    }


PROJECTS = Projection(
    name="projects",
    kinds=frozenset({TenantKind.PROJECT}),
    reads=frozenset({"project"}),
    tables=(PROJECTS_TABLE,),
    fold=fold,
)


class ProjectRow(msgspec.Struct, frozen=True):
    project_id: UUID
    company_id: UUID
    name: str
    webhook_url: str
    logo_url: str | None
    allowed_origins: list[str]
    created_at: datetime
    notice: Notice | None


_ROWS = """
select p.tenant_id, p.company_id, p.name, p.webhook_url, p.logo_url, p.allowed_origins, p.created_at,
    w.disabled_at, w.message
from unnest($1::uuid[]) as q(tenant_id)
join checkpoints g on g.tenant_id = q.tenant_id and g.projection = 'projects' and g.live
join read_projects_1 p on p.tenant_id = q.tenant_id and p.generation = g.generation
left join (checkpoints h join read_webhooks_1 w on w.tenant_id = h.tenant_id and w.generation = h.generation)
    on h.tenant_id = q.tenant_id and h.projection = 'webhooks' and h.live
"""


def _row(
    project_id: UUID,
    company_id: UUID,
    name: str,
    webhook_url: str,
    logo_url: str | None,
    allowed_origins: str,
    created_at: datetime,
    disabled_at: datetime | None,
    message: str | None,
) -> ProjectRow:
    notice = Notice(disabled_at, message or "") if disabled_at else None
    origins = json.loads(allowed_origins)
    return ProjectRow(project_id, company_id, name, webhook_url, logo_url, origins, created_at, notice)


class ProjectQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def rows(self, project_ids: Sequence[UUID]) -> list[ProjectRow]:
        """Those of these projects that exist, oldest first."""
        rows = await self._pool.fetch(_ROWS + " order by p.created_at, p.tenant_id", project_ids)
        return [_row(*row) for row in rows]

    async def exists(self, project_id: UUID) -> bool:
        return bool(await self.rows([project_id]))
