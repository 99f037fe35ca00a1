"""End users and their connections, and the developer's own: who is connected to what, and in which state."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from domain.batching import SharedQuery
from domain.connections.connection import AppConnected, ConnectionDeleted, TokenImported
from domain.end_users.end_user import EndUserAdded, EndUserErased
from domain.events import Recorded, Reveal
from domain.ports import TenantKind
from domain.projects.project import ProjectChanged, ProjectCreated, ProjectDeleted
from projections.projection import Projection, unknown
from projections.reading import Listing, Page, Pool, live
from projections.rows import Rows
from projections.tables import Table

END_USERS_TABLE = Table(
    "read_end_users_1",
    key={"end_user_id": "uuid"},
    columns={"external_id": "text", "added_at": "timestamptz"},
    indexes=("(tenant_id, generation, external_id)",),
)
CONNECTIONS_TABLE = Table(
    "read_connections_1",
    key={"connection_id": "uuid"},
    columns={
        "end_user_id": "uuid",
        "app_key": "text",
        "name": "text",
        "auth_type": "text",
        "scopes": "text",
        "expires_at": "timestamptz",
        "renewable": "boolean",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
    },
    indexes=("(tenant_id, generation, end_user_id)",),
)


def fold(rows: Rows, recorded: Recorded, reveal: Reveal) -> None:
    event, at = recorded.event, recorded.recorded_at
    match event:
        case EndUserAdded():
            text = reveal(event.external_id)
            if isinstance(text, str):
                rows.put(END_USERS_TABLE, (recorded.stream_id,), external_id=text, added_at=at)
        case EndUserErased():
            rows.forget(END_USERS_TABLE, end_user_id=recorded.stream_id)
            rows.forget(CONNECTIONS_TABLE, end_user_id=recorded.stream_id)
        case TokenImported():
            values = {
                "end_user_id": event.end_user_id,
                "app_key": event.app_key,
                "name": "",
                "auth_type": event.auth_type,
                "scopes": json.dumps(event.scopes),
                "expires_at": event.expires_at,
                "renewable": event.renewable,
            }
            _connected(rows, recorded, values)
        case AppConnected():
            values = {
                "end_user_id": event.end_user_id,
                "app_key": event.app_key,
                "name": event.name,
                "auth_type": event.auth_type,
                "scopes": "[]",
                "expires_at": None,
                "renewable": False,
            }
            _connected(rows, recorded, values)
        case ConnectionDeleted():
            rows.remove(CONNECTIONS_TABLE, (recorded.stream_id,))
        case ProjectCreated() | ProjectChanged():
            pass
        case ProjectDeleted():
            rows.forget(END_USERS_TABLE)
            rows.forget(CONNECTIONS_TABLE)
        case _:
            raise unknown(recorded)


def _connected(rows: Rows, recorded: Recorded, values: dict[str, Any]) -> None:
    at = recorded.recorded_at
    if recorded.version == 1:
        rows.put(CONNECTIONS_TABLE, (recorded.stream_id,), created_at=at, updated_at=at, **values)
    else:
        rows.change(CONNECTIONS_TABLE, (recorded.stream_id,), updated_at=at, **values)


END_USERS = Projection(
    name="end_users",
    kinds=frozenset({TenantKind.PROJECT}),
    reads=frozenset({"end_user", "connection", "project"}),
    tables=(END_USERS_TABLE, CONNECTIONS_TABLE),
    fold=fold,
)


class EndUserRow(msgspec.Struct, frozen=True):
    end_user_id: UUID
    external_id: str
    added_at: datetime
    connections: int


class ConnectionRow(msgspec.Struct, frozen=True):
    """``app_key`` ... ``updated_at`` as in the table; ``scopes`` as a list."""

    connection_id: UUID
    end_user_id: UUID | None
    app_key: str
    name: str
    auth_type: str
    scopes: list[str]
    expires_at: datetime | None
    renewable: bool
    created_at: datetime
    updated_at: datetime

    def is_valid(self, now: datetime) -> bool:
        return self.expires_at is None or self.renewable or self.expires_at > now


_COLUMNS = "c.connection_id, c.end_user_id, c.app_key, c.name, c.auth_type, c.scopes, c.expires_at, c.renewable, c.created_at, c.updated_at"
_OF_USER = f"""
select q.i, u.end_user_id, c.app_key, c.expires_at, c.renewable, n.app_key is not null as registered
from unnest($1::uuid[], $2::text[]) with ordinality as q(tenant_id, external_id, i)
{live("end_users", "g", "q.tenant_id")}
join read_end_users_1 u on u.tenant_id = q.tenant_id and u.generation = g.generation and u.external_id = q.external_id
join read_connections_1 c on c.tenant_id = q.tenant_id and c.generation = g.generation and c.end_user_id = u.end_user_id
{live("integrations", "h", "q.tenant_id")}
left join read_integrations_1 n on n.tenant_id = q.tenant_id and n.generation = h.generation and n.app_key = c.app_key
"""
_USER = """
select u.end_user_id, u.external_id, u.added_at from checkpoints g
join read_end_users_1 u on u.tenant_id = g.tenant_id and u.generation = g.generation
where g.tenant_id = $1 and g.projection = 'end_users' and g.live and u.external_id = $2
"""
_CONNECTIONS = f"""
select {_COLUMNS} from checkpoints g
join read_connections_1 c on c.tenant_id = g.tenant_id and c.generation = g.generation
where g.tenant_id = $1 and g.projection = 'end_users' and g.live
"""


class EndUserQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._statuses = SharedQuery(pool.fetch, _OF_USER)

    async def statuses(self, project_id: UUID, external_id: str, now: datetime) -> dict[str, bool]:
        """The user's connections to registered apps: app key to whether the connection is valid. Empty for nobody."""
        return {
            app_key: expires_at is None or renewable or expires_at > now
            for _, _, app_key, expires_at, renewable, registered in await self._statuses.ask(project_id, external_id)
            if registered
        }

    async def end_user_id(self, project_id: UUID, external_id: str) -> UUID | None:
        row = await self._pool.fetchrow(_USER, project_id, external_id)
        return row["end_user_id"] if row else None

    async def connection(self, project_id: UUID, end_user_id: UUID, app_key: str) -> ConnectionRow | None:
        rows = await self._pool.fetch(
            _CONNECTIONS + " and c.end_user_id = $2 and c.app_key = $3", project_id, end_user_id, app_key
        )
        return _row(rows[0]) if rows else None

    async def own(self, project_id: UUID, connection_id: UUID) -> ConnectionRow | None:
        """A connection of the developer's own."""
        rows = await self._pool.fetch(
            _CONNECTIONS + " and c.end_user_id is null and c.connection_id = $2", project_id, connection_id
        )
        return _row(rows[0]) if rows else None

    async def list_own(self, project_id: UUID, page: Page) -> Listing[ConnectionRow]:
        mine = _CONNECTIONS + " and c.end_user_id is null"
        rows = await self._pool.fetch(
            f"{mine} order by c.created_at, c.connection_id limit $2 offset $3", project_id, page.size, page.offset
        )
        total = await self._pool.fetchval(f"select count(*) from ({mine}) as mine", project_id)
        return Listing([_row(row) for row in rows], total, page)

    async def list_end_users(self, project_id: UUID, page: Page) -> Listing[EndUserRow]:
        source = (
            "from checkpoints g join read_end_users_1 u on u.tenant_id = g.tenant_id and u.generation = g.generation"
            " where g.tenant_id = $1 and g.projection = 'end_users' and g.live"
        )
        rows = await self._pool.fetch(
            "select u.end_user_id, u.external_id, u.added_at,"
            " (select count(*) from read_connections_1 c where c.tenant_id = u.tenant_id"
            f" and c.generation = u.generation and c.end_user_id = u.end_user_id) as connections {source}"
            " order by u.end_user_id limit $2 offset $3",
            project_id,
            page.size,
            page.offset,
        )
        total = await self._pool.fetchval(f"select count(*) {source}", project_id)
        return Listing([EndUserRow(*row) for row in rows], total, page)


def _row(row: asyncpg.Record) -> ConnectionRow:
    values = list(row)
    values[5] = json.loads(values[5])
    return ConnectionRow(*values)
