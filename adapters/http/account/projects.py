"""Projects, their tokens and their integrations, under /subscriptions/v2."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from aiohttp import web

from adapters.http.account.callers import member, member_of_project
from adapters.http.account.paging import PageQuery, cut, paged
from adapters.http.problems import BadRequest, TokenInvalid
from adapters.http.routes import Call, Route
from adapters.http.services import Services
from domain.apps.catalogue import AppNotFound, UnknownAuthType
from domain.ids import parse_id
from domain.projects.integration import IntegrationAlreadyExists, IntegrationNotFound
from domain.projects.project import ProjectNotFound, ProjectSettings
from domain.projects.token import ProjectTokenNotFound
from domain.projects.use_cases import NewIntegration
from projections.integrations import IntegrationRow
from projections.projects import ProjectRow

PREFIX = "/subscriptions/v2"
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Address = Annotated[str, msgspec.Meta(max_length=2000)]


class ProjectBody(msgspec.Struct):
    """PUT replaces: members that are left out become null."""

    name: Name
    webhook_url: Address
    logo_url: Address | None = None
    allowed_origins: Annotated[list[Address], msgspec.Meta(max_length=100)] = []


class ProjectEntry(msgspec.Struct):
    id: UUID
    name: str
    webhook_url: str
    logo_url: str | None
    allowed_origins: list[str]
    created_at: datetime


class TokenBody(msgspec.Struct):
    name: Name


class TokenEntry(msgspec.Struct, omit_defaults=True):
    """``token`` is in the answer to its creation, and never again."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None
    token: str | msgspec.UnsetType = msgspec.UNSET


class IntegrationBody(msgspec.Struct):
    app_key: Name
    auth_type: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    scopes: list[str] = []


async def list_projects(services: Services, call: Call) -> web.Response:
    known = await member(services, call)
    page = call.query().page()
    rows = await services.project_queries.rows(await services.company_queries.project_ids(known.company_id))
    return paged([_entry(row) for row in cut(rows, page)], len(rows), page)


async def create_project(services: Services, call: Call) -> ProjectEntry:
    known = await member(services, call)
    settings = _settings(await call.body())
    project_id = await services.projects.create(known.company_id, await known.caller(), settings)
    return await _read(services, project_id)


async def get_project(services: Services, call: Call) -> ProjectEntry:
    _, project_id = await member_of_project(services, call)
    return await _read(services, project_id)


async def put_project(services: Services, call: Call) -> ProjectEntry:
    known, project_id = await member_of_project(services, call)
    await services.projects.change(project_id, await known.caller(), _settings(await call.body()))
    return await _read(services, project_id)


async def delete_project(services: Services, call: Call) -> None:
    known, project_id = await member_of_project(services, call)
    await services.projects.delete(known.company_id, project_id, await known.caller())


async def list_tokens(services: Services, call: Call) -> web.Response:
    _, project_id = await member_of_project(services, call)
    listing = await services.token_queries.list(project_id, call.query().page())
    entries = [TokenEntry(row.token_id, row.name, row.created_at, row.last_used_at) for row in listing.items]
    return paged(entries, listing.total, listing.page)


async def create_token(services: Services, call: Call) -> TokenEntry:
    known, project_id = await member_of_project(services, call)
    body: TokenBody = await call.body()
    issued = await services.projects.issue_token(project_id, await known.caller(), body.name)
    row = await services.token_queries.one(project_id, issued.token_id)
    created_at = row.created_at if row else services.clock()
    return TokenEntry(issued.token_id, body.name, created_at, None, issued.token)


async def delete_token(services: Services, call: Call) -> None:
    known, project_id = await member_of_project(services, call)
    token_id = parse_id(call.segment("token_id"))
    if token_id is None:
        raise ProjectTokenNotFound
    await services.projects.revoke_token(project_id, await known.caller(), token_id)


async def list_integrations(services: Services, call: Call) -> web.Response:
    _, project_id = await member_of_project(services, call)
    listing = await services.integration_queries.list(project_id, call.query().page())
    return paged(listing.items, listing.total, listing.page)


async def create_integration(services: Services, call: Call) -> IntegrationRow:
    known, project_id = await member_of_project(services, call)
    body: IntegrationBody = await call.body()
    new = NewIntegration(
        app_key=body.app_key,
        auth_type=body.auth_type,
        client_id=body.client_id,
        client_secret=body.client_secret,
        scopes=tuple(body.scopes),
    )
    await services.projects.add_integration(project_id, await known.caller(), new)
    row = await services.integration_queries.one(project_id, body.app_key)
    if row is None:
        raise IntegrationNotFound
    return row


async def delete_integration(services: Services, call: Call) -> None:
    known, project_id = await member_of_project(services, call)
    await services.projects.remove_integration(project_id, await known.caller(), call.segment("app_key"))


async def _read(services: Services, project_id: UUID) -> ProjectEntry:
    rows = await services.project_queries.rows([project_id])
    if not rows:
        raise ProjectNotFound
    return _entry(rows[0])


def _entry(row: ProjectRow) -> ProjectEntry:
    return ProjectEntry(row.project_id, row.name, row.webhook_url, row.logo_url, row.allowed_origins, row.created_at)


def _settings(body: ProjectBody) -> ProjectSettings:
    if not body.name.strip():
        raise BadRequest("The name is blank.")
    return ProjectSettings(
        name=body.name,
        webhook_url=_web_address(body.webhook_url, "webhook_url"),
        logo_url=None if body.logo_url is None else _web_address(body.logo_url, "logo_url"),
        allowed_origins=tuple(_origin(origin) for origin in body.allowed_origins),
    )


def _web_address(text: str, member: str) -> str:
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        fits = fits and (parts.port is None or parts.port > 0) and not any(character <= " " for character in text)
    except ValueError:
        fits = False
    if not fits:
        raise BadRequest(f"{member} must be a full web address such as https://example.com/hooks.")
    return text


def _origin(text: str) -> str:
    """An origin as browsers send it (RFC 6454, 6.1): scheme, host, and port if it is not the default."""
    parts = urlsplit(_web_address(text, "allowed_origins"))
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise BadRequest("allowed_origins are origins such as https://app.example.com, without a path.")
    return f"{parts.scheme}://{parts.netloc}".lower()


_PROJECT = PREFIX + "/Project/{id}"
_COMMON = (TokenInvalid, ProjectNotFound)
ROUTES = [
    Route(
        method="GET",
        path=PREFIX + "/Projects",
        handler=list_projects,
        summary="The company's projects",
        query=PageQuery,
        answer=list[ProjectEntry],
        refusals=(TokenInvalid,),
    ),
    Route(
        method="POST",
        path=PREFIX + "/Project",
        handler=create_project,
        summary="Create a project",
        status=201,
        body=ProjectBody,
        answer=ProjectEntry,
        refusals=(TokenInvalid, BadRequest),
    ),
    Route(method="GET", path=_PROJECT, handler=get_project, summary="A project", answer=ProjectEntry, refusals=_COMMON),
    Route(
        method="PUT",
        path=_PROJECT,
        handler=put_project,
        summary="Replace a project's settings",
        body=ProjectBody,
        answer=ProjectEntry,
        refusals=(*_COMMON, BadRequest),
    ),
    Route(
        method="DELETE",
        path=_PROJECT,
        handler=delete_project,
        summary="Delete a project and everything under it; its secrets are destroyed",
        refusals=_COMMON,
    ),
    Route(
        method="GET",
        path=_PROJECT + "/Tokens",
        handler=list_tokens,
        summary="A project's API tokens",
        query=PageQuery,
        answer=list[TokenEntry],
        refusals=_COMMON,
    ),
    Route(
        method="POST",
        path=_PROJECT + "/Token",
        handler=create_token,
        summary="Create an API token, shown once",
        status=201,
        body=TokenBody,
        answer=TokenEntry,
        refusals=(*_COMMON, BadRequest),
    ),
    Route(
        method="DELETE",
        path=_PROJECT + "/Token/{token_id}",
        handler=delete_token,
        summary="Revoke an API token",
        refusals=(*_COMMON, ProjectTokenNotFound),
    ),
    Route(
        method="GET",
        path=_PROJECT + "/Integrations",
        handler=list_integrations,
        summary="The apps that a project has registered",
        query=PageQuery,
        answer=list[IntegrationRow],
        refusals=_COMMON,
    ),
    Route(
        method="POST",
        path=_PROJECT + "/Integration",
        handler=create_integration,
        summary="Register an app",
        status=201,
        body=IntegrationBody,
        answer=IntegrationRow,
        refusals=(*_COMMON, BadRequest, AppNotFound, UnknownAuthType, IntegrationAlreadyExists),
    ),
    Route(
        method="DELETE",
        path=_PROJECT + "/Integration/{app_key}",
        handler=delete_integration,
        summary="Remove an app",
        refusals=(*_COMMON, IntegrationNotFound),
    ),
]
