"""End users, and with them their profiles, connections and runtimes: one projection, because they come and go together."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from domain.end_users.end_user import EndUserAdded, EndUserDescribed, EndUserErased
from domain.events import Recorded, Reveal, stream_type_of
from domain.ports import TenantKind
from domain.projects.project import ProjectChanged, ProjectCreated, ProjectDeleted
from projections.connections import CONNECTIONS_TABLE, GRANTS_TABLE, fold_connection
from projections.customers import PROFILES_TABLE, put_profile
from projections.instances import INSTANCES_TABLE, fold_instance
from projections.projection import Projection
from projections.reading import Listing, Page, Pool
from projections.rows import Rows
from projections.tables import Table

END_USERS_TABLE = Table(
    "read_end_users_1",
    key={"end_user_id": "uuid"},
    columns={"external_id": "text", "added_at": "timestamptz"},
    indexes=("(tenant_id, generation, external_id)",),
)

_TABLES = (END_USERS_TABLE, PROFILES_TABLE, CONNECTIONS_TABLE, GRANTS_TABLE, INSTANCES_TABLE)


def fold(rows: Rows, recorded: Recorded, reveal: Reveal) -> None:
    event, at = recorded.event, recorded.recorded_at
    match event:
        case EndUserAdded():
            text = reveal(event.external_id)
            if isinstance(text, str):
                rows.put(END_USERS_TABLE, (recorded.stream_id,), external_id=text, added_at=at)
        case EndUserDescribed():
            put_profile(rows, recorded.stream_id, reveal(event.profile))
        case EndUserErased():
            for table in _TABLES:
                rows.forget(table, end_user_id=recorded.stream_id)
        case ProjectCreated() | ProjectChanged():
            pass
        case ProjectDeleted():
            for table in _TABLES:
                rows.forget(table)
        case _:
            if stream_type_of(event.TOPIC) == "instance":
                fold_instance(rows, recorded, reveal)
            else:
                fold_connection(rows, recorded, reveal)


END_USERS = Projection(
    name="end_users",
    kinds=frozenset({TenantKind.PROJECT}),
    reads=frozenset({"end_user", "connection", "instance", "project"}),
    tables=_TABLES,
    fold=fold,
    parts=(fold_connection, fold_instance, put_profile),
)


class EndUserRow(msgspec.Struct, frozen=True):
    end_user_id: UUID
    external_id: str
    added_at: datetime
    connections: int


_USER = """
select u.end_user_id, u.external_id, u.added_at from checkpoints g
join read_end_users_1 u on u.tenant_id = g.tenant_id and u.generation = g.generation
where g.tenant_id = $1 and g.projection = 'end_users' and g.live and u.external_id = $2
"""


class EndUserQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def end_user_id(self, project_id: UUID, external_id: str) -> UUID | None:
        row = await self._pool.fetchrow(_USER, project_id, external_id)
        return row["end_user_id"] if row else None

    async def list_end_users(self, project_id: UUID, page: Page) -> Listing[EndUserRow]:
        source = (
            "from checkpoints g join read_end_users_1 u on u.tenant_id = g.tenant_id and u.generation = g.generation"
            " where g.tenant_id = $1 and g.projection = 'end_users' and g.live"
        )
        rows = await self._pool.fetch(
            "select u.end_user_id, u.external_id, u.added_at,"
            " (select count(*) from read_connections_1 c where c.tenant_id = u.tenant_id"
            f" and c.generation = u.generation and c.end_user_id = u.end_user_id and c.ended <> 'pending') as connections {source}"
            " order by u.end_user_id limit $2 offset $3",
            project_id,
            page.size,
            page.offset,
        )
        total = await self._pool.fetchval(f"select count(*) {source}", project_id)
        return Listing([EndUserRow(*row) for row in rows], total, page)
