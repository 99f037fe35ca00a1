"""A customer's connections, and the grants that let instances fetch their credentials."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from adapters.http.grants.callers import HEADERS, operator
from adapters.http.grants.customers import PREFIX
from adapters.http.grants.problems import Unprocessable
from adapters.http.grants.reading import body, path_id
from adapters.http.problems import TokenInvalid
from adapters.http.routes import Call, Route
from adapters.http.services import Services
from domain.connections.authorising import GrantAlreadyExists, GrantNotFound
from domain.connections.connection import ConnectionAlreadyExists, ConnectionNotFound, Status
from domain.connections.customers import InstanceOfAnotherCustomer, NewConnection
from domain.connections.given_credentials import InvalidCredentials
from domain.connections.refreshing import EXPIRED
from domain.end_users.end_user import EndUserNotFound
from domain.instances.instance import InstanceNotFound
from domain.projects.project import ProjectNotFound
from projections.connections import ConnectionRow, GrantRow

Provider = Annotated[str, msgspec.Meta(min_length=1, max_length=50, pattern=r"^[a-z0-9_.-]+(?!\n)$")]
Capability = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Scope = Annotated[str, msgspec.Meta(max_length=2000)]


class ConnectionBody(msgspec.Struct):
    """``credentials``: any object. Of oauth2 its access_token, refresh_token, token_type, expires_at (ISO 8601, or seconds since
    1970) and scope are known by name; ``scopes`` wins over the latter. ``metadata_json`` is kept and never answered.
    """

    provider: Provider
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    credentials: dict[str, Any]
    auth_type: Literal["oauth2", "api_key", "basic"] = "oauth2"
    metadata_json: dict[str, Any] | None = None
    scopes: Annotated[list[Scope], msgspec.Meta(max_length=200)] | None = None


class GrantBody(msgspec.Struct):
    """``capabilities``: the provider's own words, such as send_mail."""

    instance_id: UUID
    capabilities: Annotated[list[Capability], msgspec.Meta(max_length=100)]


class Grant(msgspec.Struct):
    id: UUID
    connection_id: UUID
    instance_id: UUID
    capabilities: list[str]
    granted_at: datetime


class Connection(msgspec.Struct):
    """A connection without its credentials. ``status``: active, expired, revoked or error."""

    id: UUID
    customer_id: UUID
    provider: str
    name: str
    auth_type: str
    scopes: list[str]
    status: str
    error_message: str | None
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime
    updated_at: datetime
    grants: list[Grant]


class Connections(msgspec.Struct):
    connections: list[Connection]
    total: int


async def list_connections(services: Services, call: Call) -> Connections:
    known = await operator(services, call)
    project_id, customer_id = known.project_id, path_id(call, "customer_id")
    if await services.customer_queries.one(project_id, customer_id) is None:
        raise EndUserNotFound
    grants: dict[UUID, list[Grant]] = defaultdict(list)
    for grant in await services.connection_queries.grants(project_id, customer_id):
        grants[grant.connection_id].append(_grant(grant))
    rows = await services.connection_queries.of_end_user(project_id, customer_id)
    now = services.clock()
    found = [_connection(row, customer_id, now, grants[row.connection_id]) for row in rows]
    return Connections(found, len(found))


async def create_connection(services: Services, call: Call) -> Connection:
    known = await operator(services, call)
    customer_id = path_id(call, "customer_id")
    told: ConnectionBody = await body(call)
    new = NewConnection(
        provider=told.provider,
        name=told.name,
        auth_type=told.auth_type,
        credentials=told.credentials,
        metadata=told.metadata_json,
        scopes=None if told.scopes is None else tuple(told.scopes),
    )
    made, created_at, updated_at = await services.customer_connections.create(
        known.project_id, await known.caller(), customer_id, new
    )
    return Connection(
        id=made.connection_id,
        customer_id=customer_id,
        provider=made.provider,
        name=made.name,
        auth_type=made.auth_type,
        scopes=list(made.scopes),
        status=made.status,
        error_message=EXPIRED if made.status == Status.EXPIRED else None,
        expires_at=made.expires_at,
        last_used_at=None,
        created_at=created_at,
        updated_at=updated_at,
        grants=[],
    )


async def delete_connection(services: Services, call: Call) -> None:
    known = await operator(services, call)
    customer_id, connection_id = path_id(call, "customer_id"), path_id(call, "connection_id")
    await services.customer_connections.delete(known.project_id, await known.caller(), customer_id, connection_id)


async def create_grant(services: Services, call: Call) -> Grant:
    known = await operator(services, call)
    customer_id, connection_id = path_id(call, "customer_id"), path_id(call, "connection_id")
    told: GrantBody = await body(call)
    made, granted_at = await services.customer_connections.grant(
        known.project_id,
        await known.caller(),
        customer_id,
        connection_id,
        told.instance_id,
        tuple(told.capabilities),
    )
    return Grant(made.grant_id, connection_id, made.instance_id, list(made.capabilities), granted_at)


async def delete_grant(services: Services, call: Call) -> None:
    known = await operator(services, call)
    customer_id, connection_id = path_id(call, "customer_id"), path_id(call, "connection_id")
    grant_id = path_id(call, "grant_id")
    await services.customer_connections.revoke_grant(
        known.project_id, await known.caller(), customer_id, connection_id, grant_id
    )


def _connection(row: ConnectionRow, customer_id: UUID, now: datetime, grants: list[Grant]) -> Connection:
    status = row.status(now)
    return Connection(
        id=row.connection_id,
        customer_id=customer_id,
        provider=row.app_key,
        name=row.name,
        auth_type=row.auth_type,
        scopes=row.scopes,
        status=status,
        error_message=row.message or (EXPIRED if status is Status.EXPIRED else None),
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        grants=grants,
    )


def _grant(row: GrantRow) -> Grant:
    return Grant(row.grant_id, row.connection_id, row.instance_id, row.capabilities, row.granted_at)


_ALL = PREFIX + "/{customer_id}/connections"
_ONE = _ALL + "/{connection_id}"
_COMMON = (TokenInvalid, ProjectNotFound, EndUserNotFound, Unprocessable)
ROUTES = [
    Route(
        method="GET",
        path=_ALL,
        handler=list_connections,
        summary="A customer's connections, without their credentials",
        answer=Connections,
        headers=HEADERS,
        refusals=_COMMON,
    ),
    Route(
        method="POST",
        path=_ALL,
        handler=create_connection,
        summary="Keep a customer's credentials for a provider, encrypted",
        status=201,
        body=ConnectionBody,
        answer=Connection,
        headers=HEADERS,
        refusals=(*_COMMON, InvalidCredentials, ConnectionAlreadyExists),
    ),
    Route(
        method="DELETE",
        path=_ONE,
        handler=delete_connection,
        summary="Delete a connection with its grants and its credentials",
        status=204,
        headers=HEADERS,
        refusals=(*_COMMON, ConnectionNotFound),
    ),
    Route(
        method="POST",
        path=_ONE + "/grants",
        handler=create_grant,
        summary="Let an instance fetch the connection's credentials",
        status=201,
        body=GrantBody,
        answer=Grant,
        headers=HEADERS,
        refusals=(
            *_COMMON,
            ConnectionNotFound,
            InstanceNotFound,
            InstanceOfAnotherCustomer,
            GrantAlreadyExists,
        ),
    ),
    Route(
        method="DELETE",
        path=_ONE + "/grants/{grant_id}",
        handler=delete_grant,
        summary="Take the grant back, at once",
        status=204,
        headers=HEADERS,
        refusals=(*_COMMON, ConnectionNotFound, GrantNotFound),
    ),
]
