"""Connections, end users' and the developer's own: what they are to, and in which state they are."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from domain.batching import SharedQuery
from domain.connections.connection import Status, status_of
from domain.connections.events import (
    AppConnected,
    ConnectionDeleted,
    ConnectionInvalidated,
    ConnectionLinked,
    ConnectionRequested,
    GrantMade,
    GrantRevoked,
    RefreshFailed,
    RefreshStarted,
    RevocationAttempted,
    TokenImported,
    TokenRefreshed,
)
from domain.events import Recorded, Reveal, Sealed
from projections.projection import unknown
from projections.reading import Listing, Page, Pool, live
from projections.rows import Rows
from projections.tables import Table

CONNECTIONS_TABLE = Table(
    "read_connections_1",
    key={"connection_id": "uuid"},
    columns={
        "end_user_id": "uuid",
        "app_key": "text",
        "name": "text",
        "is_default": "boolean",
        "auth_type": "text",
        "scopes": "text",
        "expires_at": "timestamptz",
        "renewable": "boolean",
        "ended": "text",
        "message": "text",
        "account_name": "text",
        "refreshed_at": "timestamptz",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
    },
    indexes=("(tenant_id, generation, end_user_id)",),
)
GRANTS_TABLE = Table(
    "read_grants_1",
    key={"grant_id": "uuid"},
    columns={
        "connection_id": "uuid",
        "end_user_id": "uuid",
        "instance_id": "uuid",
        "app_key": "text",
        "name": "text",
        "capabilities": "text",
        "granted_at": "timestamptz",
    },
    indexes=(
        "(tenant_id, generation, connection_id)",
        "(tenant_id, generation, end_user_id)",
        "(tenant_id, generation, instance_id, app_key, granted_at, grant_id)",
        "(tenant_id, generation, instance_id, app_key, name, granted_at, grant_id)",
    ),
)


def fold_connection(rows: Rows, recorded: Recorded, reveal: Reveal) -> None:
    event, at, key = recorded.event, recorded.recorded_at, (recorded.stream_id,)
    match event:
        case ConnectionRequested():
            values = _values(event, reveal, "[]", None, renewable=False, ended="pending")
            rows.put(CONNECTIONS_TABLE, key, created_at=at, updated_at=at, **values)
        case TokenImported():
            scopes = _json(event.scopes)
            _connected(rows, recorded, _values(event, reveal, scopes, event.expires_at, renewable=event.renewable))
        case AppConnected():
            _connected(rows, recorded, _values(event, reveal, "[]", None, renewable=False))
        case ConnectionLinked():
            values = _values(event, reveal, _json(event.scopes), event.expires_at, renewable=event.renewable)
            values["account_name"] = _text(event.account_name, reveal)
            _connected(rows, recorded, values)
        case TokenRefreshed():
            changed = {} if event.scopes is None else {"scopes": _json(event.scopes)}
            values = {
                "expires_at": event.expires_at,
                "renewable": event.renewable,
                "ended": "",
                "message": "",
                **changed,
            }
            rows.change(CONNECTIONS_TABLE, key, refreshed_at=at, updated_at=at, **values)
        case RefreshFailed():
            rows.change(CONNECTIONS_TABLE, key, message=event.message, updated_at=at)
        case ConnectionInvalidated():
            rows.change(CONNECTIONS_TABLE, key, ended=event.status, message=event.message, updated_at=at)
        case ConnectionDeleted():
            rows.remove(CONNECTIONS_TABLE, key)
            rows.remove_where(GRANTS_TABLE, connection_id=recorded.stream_id)
        case GrantMade():
            _granted(rows, recorded, event, _text(event.sealed_name, reveal) or "")
        case GrantRevoked():
            rows.remove(GRANTS_TABLE, (event.grant_id,))
        case RefreshStarted() | RevocationAttempted():
            pass
        case _:
            raise unknown(recorded)


def _values(
    event: ConnectionRequested | TokenImported | AppConnected | ConnectionLinked,
    reveal: Reveal,
    scopes: str,
    expires_at: datetime | None,
    *,
    renewable: bool,
    ended: str = "",
) -> dict[str, Any]:
    return {
        "end_user_id": event.end_user_id,
        "app_key": event.app_key,
        "name": event.name or _text(event.sealed_name, reveal) or "",
        "is_default": event.is_default,
        "auth_type": event.auth_type,
        "scopes": scopes,
        "expires_at": expires_at,
        "renewable": renewable,
        "ended": ended,
        "message": "",
        "account_name": None,
    }


def _connected(rows: Rows, recorded: Recorded, values: dict[str, Any]) -> None:
    at = recorded.recorded_at
    if recorded.version == 1:
        rows.put(CONNECTIONS_TABLE, (recorded.stream_id,), created_at=at, updated_at=at, **values)
    else:
        rows.change(CONNECTIONS_TABLE, (recorded.stream_id,), updated_at=at, **values)


def _granted(rows: Rows, recorded: Recorded, event: GrantMade, name: str) -> None:
    """With what a fetch asks for, so that it finds the grant at once."""
    rows.put(
        GRANTS_TABLE,
        (event.grant_id,),
        connection_id=recorded.stream_id,
        end_user_id=event.end_user_id,
        instance_id=event.instance_id,
        app_key=event.app_key,
        name=name,
        capabilities=_json(event.capabilities),
        granted_at=recorded.recorded_at,
    )


def _json(texts: tuple[str, ...]) -> str:
    return json.dumps(texts)


def _text(sealed: Sealed | None, reveal: Reveal) -> str | None:
    text = reveal(sealed) if sealed is not None else None
    return text if isinstance(text, str) else None


class ConnectionRow(msgspec.Struct, frozen=True):
    """``app_key`` ... ``updated_at`` as in the table; ``scopes`` as a list. ``last_used_at`` is a mark that may lag by seconds."""

    connection_id: UUID
    end_user_id: UUID | None
    app_key: str
    name: str
    auth_type: str
    scopes: list[str]
    expires_at: datetime | None
    renewable: bool
    ended: str
    message: str
    account_name: str | None
    refreshed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None

    def status(self, now: datetime) -> Status:
        return status_of(present=True, ended=self.ended, expires_at=self.expires_at, renewable=self.renewable, now=now)

    def is_valid(self, now: datetime) -> bool:
        return self.status(now) is Status.ACTIVE


class GrantRow(msgspec.Struct, frozen=True):
    grant_id: UUID
    connection_id: UUID
    instance_id: UUID
    capabilities: list[str]
    granted_at: datetime


_COLUMNS = (
    "c.connection_id, c.end_user_id, c.app_key, c.name, c.auth_type, c.scopes, c.expires_at, c.renewable, c.ended, c.message,"
    " c.account_name, c.refreshed_at, c.created_at, c.updated_at, m.last_used_at"
)
_OF_USER = f"""
select q.i, c.app_key, c.ended, c.expires_at, c.renewable, n.app_key is not null as registered
from unnest($1::uuid[], $2::text[]) with ordinality as q(tenant_id, external_id, i)
{live("end_users", "g", "q.tenant_id")}
join read_end_users_1 u on u.tenant_id = q.tenant_id and u.generation = g.generation and u.external_id = q.external_id
join read_connections_1 c on c.tenant_id = q.tenant_id and c.generation = g.generation and c.end_user_id = u.end_user_id
{live("integrations", "h", "q.tenant_id")}
left join read_integrations_1 n on n.tenant_id = q.tenant_id and n.generation = h.generation and n.app_key = c.app_key
where c.is_default and c.ended <> 'pending'
"""
_CONNECTIONS = f"""
select {_COLUMNS} from checkpoints g
join read_connections_1 c on c.tenant_id = g.tenant_id and c.generation = g.generation
left join connection_marks m on m.tenant_id = c.tenant_id and m.connection_id = c.connection_id
where g.tenant_id = $1 and g.projection = 'end_users' and g.live and (c.ended <> 'pending' or c.end_user_id is null)
"""


_GRANTS = """
select a.grant_id, a.connection_id, a.instance_id, a.capabilities, a.granted_at from checkpoints g
join read_grants_1 a on a.tenant_id = g.tenant_id and a.generation = g.generation
where g.tenant_id = $1 and g.projection = 'end_users' and g.live and a.end_user_id = $2 order by a.granted_at, a.grant_id
"""


class ConnectionQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._statuses = SharedQuery(pool.fetch, _OF_USER)

    async def statuses(self, project_id: UUID, external_id: str, now: datetime) -> dict[str, bool]:
        """The user's connections to registered apps: app key to whether the connection is valid. Empty for nobody."""
        return {
            app_key: not ended and (expires_at is None or renewable or expires_at > now)
            for _, app_key, ended, expires_at, renewable, registered in await self._statuses.ask(
                project_id, external_id
            )
            if registered
        }

    async def connection(self, project_id: UUID, end_user_id: UUID, app_key: str) -> ConnectionRow | None:
        """The end user's default connection to the app."""
        rows = await self._pool.fetch(
            _CONNECTIONS + " and c.end_user_id = $2 and c.app_key = $3 and c.is_default",
            project_id,
            end_user_id,
            app_key,
        )
        return _row(rows[0]) if rows else None

    async def of_end_user(self, project_id: UUID, end_user_id: UUID) -> list[ConnectionRow]:
        """All of the end user's connections, the oldest first."""
        rows = await self._pool.fetch(
            _CONNECTIONS + " and c.end_user_id = $2 order by c.created_at, c.connection_id", project_id, end_user_id
        )
        return [_row(row) for row in rows]

    async def grants(self, project_id: UUID, end_user_id: UUID) -> list[GrantRow]:
        """All grants of the end user's connections, the oldest first."""
        rows = await self._pool.fetch(_GRANTS, project_id, end_user_id)
        return [GrantRow(row[0], row[1], row[2], json.loads(row[3]), row[4]) for row in rows]

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


def _row(row: asyncpg.Record) -> ConnectionRow:
    values = list(row)
    values[5] = json.loads(values[5])
    return ConnectionRow(*values)
