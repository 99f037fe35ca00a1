"""Projects and their tokens, under /subscriptions/v2."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from aiohttp import web

from adapters.http.account.callers import member, member_of_project
from adapters.http.account.paging import PageQuery, cut, paged
from adapters.http.problems import BadRequest, TokenInvalid
from adapters.http.routes import TENANT, Call, Route
from adapters.http.services import Services
from domain.connections.linking import origin_of
from domain.deliveries.endpoint import Notice
from domain.ids import parse_id
from domain.projects.project import ProjectNotFound, ProjectSettings
from domain.projects.token import ProjectTokenNotFound
from projections.projects import ProjectRow

PREFIX = "/subscriptions/v2"
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Address = Annotated[str, msgspec.Meta(max_length=2000)]
_HOST = re.compile(r"([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d+)?")


class ProjectBody(msgspec.Struct):
    """PUT replaces: members that are left out become null."""

    name: Name
    webhook_url: Address
    logo_url: Address | None = None
    allowed_origins: Annotated[list[Address], msgspec.Meta(max_length=100)] = []


class ProjectEntry(msgspec.Struct, omit_defaults=True):
    """``webhook_secret`` is in the answer to its creation, and never again. A webhook is disabled when nothing has arrived for
    five days; ``webhook_message`` says why, and a new address or sending something again enables it.
    """

    id: UUID
    name: str
    webhook_url: str
    logo_url: str | None
    allowed_origins: list[str]
    created_at: datetime
    webhook_status: Literal["active", "disabled"]
    webhook_disabled_at: datetime | None
    webhook_message: str | None
    webhook_secret: str | msgspec.UnsetType = msgspec.UNSET


class TokenBody(msgspec.Struct):
    name: Name


class TokenEntry(msgspec.Struct, omit_defaults=True):
    """``token`` is in the answer to its creation, and never again."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None
    token: str | msgspec.UnsetType = msgspec.UNSET


async def list_projects(services: Services, call: Call) -> web.Response:
    known = await member(services, call)
    page = call.query().page()
    rows = await services.project_queries.rows(await services.company_queries.project_ids(known.company_id))
    return paged([_entry(row) for row in cut(rows, page)], len(rows), page)


async def create_project(services: Services, call: Call) -> ProjectEntry:
    known = await member(services, call)
    settings = _settings(await call.body())
    made, created_at = await services.projects.create(known.company_id, await known.caller(), settings)
    entry = _as_written(made.project_id, made.settings, created_at, None)
    entry.webhook_secret = made.webhook_secret
    return entry


async def get_project(services: Services, call: Call) -> ProjectEntry:
    _, project_id = await member_of_project(services, call)
    return await _read(services, project_id)


async def put_project(services: Services, call: Call) -> ProjectEntry:
    known, project_id = await member_of_project(services, call)
    settings = _settings(await call.body())
    changed, created_at = await services.projects.change(project_id, await known.caller(), settings)
    return _as_written(project_id, changed.settings, created_at, changed.notice)


async def delete_project(services: Services, call: Call) -> None:
    """What a repeated request is answered with outlives the project: so it is looked for before the project is."""
    known = await member(services, call)
    project_id = parse_id(call.request.match_info["id"])
    if project_id is None:
        raise ProjectNotFound
    await services.projects.delete(known.company_id, project_id, await known.caller())
    call.request[TENANT] = str(project_id)


async def list_tokens(services: Services, call: Call) -> web.Response:
    _, project_id = await member_of_project(services, call)
    listing = await services.token_queries.list(project_id, call.query().page())
    entries = [TokenEntry(row.token_id, row.name, row.created_at, row.last_used_at) for row in listing.items]
    return paged(entries, listing.total, listing.page)


async def create_token(services: Services, call: Call) -> TokenEntry:
    known, project_id = await member_of_project(services, call)
    body: TokenBody = await call.body()
    issued, created_at = await services.projects.issue_token(project_id, await known.caller(), body.name)
    return TokenEntry(issued.token_id, issued.name, created_at, None, issued.token)


async def delete_token(services: Services, call: Call) -> None:
    known, project_id = await member_of_project(services, call)
    token_id = parse_id(call.segment("token_id"))
    if token_id is None:
        raise ProjectTokenNotFound
    await services.projects.revoke_token(project_id, await known.caller(), token_id)


async def _read(services: Services, project_id: UUID) -> ProjectEntry:
    rows = await services.project_queries.rows([project_id])
    if not rows:
        raise ProjectNotFound
    return _entry(rows[0])


def _entry(row: ProjectRow) -> ProjectEntry:
    settings = ProjectSettings(
        name=row.name, webhook_url=row.webhook_url, logo_url=row.logo_url, allowed_origins=tuple(row.allowed_origins)
    )
    return _as_written(row.project_id, settings, row.created_at, row.notice)


def _as_written(
    project_id: UUID, settings: ProjectSettings, created_at: datetime, notice: Notice | None
) -> ProjectEntry:
    return ProjectEntry(
        project_id,
        settings.name,
        settings.webhook_url,
        settings.logo_url,
        list(settings.allowed_origins),
        created_at,
        "active" if notice is None else "disabled",
        notice.at if notice else None,
        notice.message if notice else None,
    )


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
    if parts.path not in ("", "/") or parts.query or parts.fragment or not _HOST.fullmatch(parts.netloc.lower()):
        raise BadRequest("allowed_origins are origins such as https://app.example.com, in ASCII and without a path.")
    return origin_of(text)


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
]
