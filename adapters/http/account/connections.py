"""The developer's own connections, a project's end users, and the catalogue of apps."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web

from adapters.http.account.callers import member, member_of_project
from adapters.http.account.paging import PageQuery, cut, paged
from adapters.http.account.projects import PREFIX, Name
from adapters.http.problems import BadRequest, TokenInvalid
from adapters.http.routes import Call, Route
from adapters.http.services import Services
from domain.apps.connection_fields import InvalidFields, credential_info
from domain.connections.connecting import ConnectWishes
from domain.connections.connection import ConnectionAlreadyExists, ConnectionNotFound, CredentialRejected
from domain.connections.linking import OriginNotAllowed
from domain.connections.obtaining import CannotProve
from domain.connections.targets import ClientMissing
from domain.end_users.end_user import EndUserNotFound
from domain.ids import parse_id
from domain.projects.integration import IntegrationNotFound
from domain.projects.project import ProjectNotFound
from projections.connections import ConnectionRow

_NOT_OWN = "No connection of the developer's own has that id."


class ConnectionBody(msgspec.Struct):
    """``connection_fields``: what the app asks for; an app of OAuth is connected by a link, whose page asks for them. ``verify`` asks
    the app whether they work before they are kept. ``link`` asks for a link for an app that takes a key, too; ``return_url``,
    ``origin`` and ``keeps_account`` are as for end users.
    """

    app_key: Name
    name: Name
    connection_fields: dict[str, Any] | None = None
    verify: bool = False
    link: bool = False
    return_url: str | None = None
    origin: str | None = None
    keeps_account: bool = False


class ConnectionEntry(msgspec.Struct):
    """``status`` is pending until the link at ``connect_url`` has been followed; that is in the answer to its creation alone."""

    id: UUID
    app_key: str
    name: str
    auth_type: str
    status: str
    created_at: datetime
    updated_at: datetime
    account_name: str | None = None
    expires_at: datetime | None = None
    refreshed_at: datetime | None = None
    last_used_at: datetime | None = None
    error_message: str | None = None
    connect_url: str | None = None


class EndUserEntry(msgspec.Struct):
    """``user_id`` is the application's own id of the person."""

    id: UUID
    user_id: str
    connections: int
    created_at: datetime


class AppEntry(msgspec.Struct):
    """``credential_info`` is what each auth type asks for."""

    app_key: str
    name: str
    description: str
    categories: list[str]
    auth_types: list[str]
    credential_info: dict[str, Any]
    docs: list[str]


async def list_own(services: Services, call: Call) -> web.Response:
    _, project_id = await member_of_project(services, call)
    listing = await services.connection_queries.list_own(project_id, call.query().page())
    return paged([_entry(services, row) for row in listing.items], listing.total, listing.page)


async def get_own(services: Services, call: Call) -> ConnectionEntry:
    _, project_id = await member_of_project(services, call)
    return _entry(services, await _own(services, call, project_id))


async def create_own(services: Services, call: Call) -> ConnectionEntry:
    known, project_id = await member_of_project(services, call)
    body: ConnectionBody = await call.body()
    wishes = ConnectWishes(
        fields=body.connection_fields,
        asks_link=body.link or body.return_url is not None or body.origin is not None,
        proves=body.verify,
        return_url=body.return_url,
        origin=body.origin,
        keeps_account=body.keeps_account,
    )
    made, created_at, updated_at = await services.connecting.own(
        project_id, await known.caller(), body.app_key, body.name, wishes
    )
    return ConnectionEntry(
        made.connection_id,
        made.app_key,
        made.name,
        made.auth_type,
        "pending" if made.link else "active",
        created_at,
        updated_at,
        connect_url=made.link,
    )


async def delete_own(services: Services, call: Call) -> None:
    known, project_id = await member_of_project(services, call)
    connection_id = parse_id(call.segment("connection_id"))
    if connection_id is None:
        raise ConnectionNotFound(_NOT_OWN)
    await services.connections.delete_own(project_id, await known.caller(), connection_id)


async def _own(services: Services, call: Call, project_id: UUID) -> ConnectionRow:
    connection_id = parse_id(call.segment("connection_id"))
    row = await services.connection_queries.own(project_id, connection_id) if connection_id else None
    if row is None:
        raise ConnectionNotFound(_NOT_OWN)
    return row


def _entry(services: Services, row: ConnectionRow) -> ConnectionEntry:
    return ConnectionEntry(
        row.connection_id,
        row.app_key,
        row.name,
        row.auth_type,
        row.status(services.clock()),
        row.created_at,
        row.updated_at,
        row.account_name,
        row.expires_at,
        row.refreshed_at,
        row.last_used_at,
        row.message or None,
    )


async def list_end_users(services: Services, call: Call) -> web.Response:
    _, project_id = await member_of_project(services, call)
    listing = await services.end_user_queries.list_end_users(project_id, call.query().page())
    entries = [EndUserEntry(row.end_user_id, row.external_id, row.connections, row.added_at) for row in listing.items]
    return paged(entries, listing.total, listing.page)


async def erase_end_user(services: Services, call: Call) -> None:
    known, project_id = await member_of_project(services, call)
    await services.end_users.erase(project_id, await known.caller(), call.segment("user_id"))


async def list_apps(services: Services, call: Call) -> web.Response:
    await member(services, call)
    page = call.query().page()
    apps = list(services.catalogue)
    entries = [
        AppEntry(
            app_key=app.key,
            name=app.name,
            description=app.desc,
            categories=list(app.categories),
            auth_types=[scheme.type for scheme in app.auth],
            credential_info={scheme.type: credential_info(app, scheme) for scheme in app.auth},
            docs=list(app.docs),
        )
        for app in cut(apps, page)
    ]
    return paged(entries, len(apps), page)


_PROJECT = PREFIX + "/Project/{id}"
_COMMON = (TokenInvalid, ProjectNotFound)
ROUTES = [
    Route(
        method="GET",
        path=_PROJECT + "/Connections",
        handler=list_own,
        summary="The developer's own connections",
        query=PageQuery,
        answer=list[ConnectionEntry],
        refusals=_COMMON,
    ),
    Route(
        method="POST",
        path=_PROJECT + "/Connections",
        handler=create_own,
        summary="Connect the developer's own account to an app: at once, or by following the connect_url",
        status=201,
        body=ConnectionBody,
        answer=ConnectionEntry,
        refusals=(
            *_COMMON,
            BadRequest,
            IntegrationNotFound,
            InvalidFields,
            OriginNotAllowed,
            ClientMissing,
            CredentialRejected,
            CannotProve,
            ConnectionAlreadyExists,
        ),
    ),
    Route(
        method="GET",
        path=_PROJECT + "/Connections/{connection_id}",
        handler=get_own,
        summary="One of the developer's own connections",
        answer=ConnectionEntry,
        refusals=(*_COMMON, ConnectionNotFound),
    ),
    Route(
        method="DELETE",
        path=_PROJECT + "/Connections/{connection_id}",
        handler=delete_own,
        summary="Delete one of the developer's own connections and its secrets",
        refusals=(*_COMMON, ConnectionNotFound),
    ),
    Route(
        method="GET",
        path=_PROJECT + "/EndUsers",
        handler=list_end_users,
        summary="A project's end users",
        query=PageQuery,
        answer=list[EndUserEntry],
        refusals=_COMMON,
    ),
    Route(
        method="DELETE",
        path=_PROJECT + "/EndUser/{user_id}",
        handler=erase_end_user,
        summary="Erase an end user: key, connections and secrets are destroyed, the history stays readable",
        refusals=(*_COMMON, EndUserNotFound),
    ),
    Route(
        method="GET",
        path=PREFIX + "/Apps",
        handler=list_apps,
        summary="All apps that can be registered",
        query=PageQuery,
        answer=list[AppEntry],
        refusals=(TokenInvalid,),
    ),
]
