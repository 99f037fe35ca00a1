"""The apps that a project registers, under /subscriptions/v2."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from aiohttp import web

from adapters.http.account.callers import member_of_project
from adapters.http.account.paging import PageQuery, paged
from adapters.http.account.projects import PREFIX, Name
from adapters.http.problems import BadRequest, TokenInvalid
from adapters.http.routes import Call, Route
from adapters.http.services import Services
from domain.apps.app import asks_for_consent
from domain.apps.catalogue import AppNotFound, UnknownAuthType
from domain.apps.connection_fields import InvalidFields
from domain.projects.integration import IntegrationAlreadyExists, IntegrationNotFound, callback_path
from domain.projects.project import ProjectNotFound
from domain.projects.use_cases import NewIntegration, OAuthClientNeeded
from projections.integrations import IntegrationRow


class IntegrationBody(msgspec.Struct):
    """``auth_type``: without it the app's first way, or with a ``client_id`` its OAuth. An app of OAuth needs a client, unless this
    installation has one. ``client_fields`` are what the provider asks for once, with the client.
    """

    app_key: Name
    auth_type: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    client_fields: dict[str, Any] = {}
    scopes: list[str] = []


class IntegrationEntry(msgspec.Struct):
    """``redirect_uri`` is what the app's OAuth client must allow; null where nobody is sent to the app to agree."""

    app_key: str
    auth_type: str
    client_id: str | None
    scopes: list[str]
    created_at: datetime
    redirect_uri: str | None


async def list_integrations(services: Services, call: Call) -> web.Response:
    _, project_id = await member_of_project(services, call)
    listing = await services.integration_queries.list(project_id, call.query().page())
    entries = [_integration(services, project_id, row) for row in listing.items]
    return paged(entries, listing.total, listing.page)


async def create_integration(services: Services, call: Call) -> IntegrationEntry:
    known, project_id = await member_of_project(services, call)
    body: IntegrationBody = await call.body()
    new = NewIntegration(
        app_key=body.app_key,
        auth_type=body.auth_type,
        client_id=body.client_id,
        client_secret=body.client_secret,
        client_fields=body.client_fields,
        scopes=tuple(body.scopes),
    )
    made, created_at = await services.projects.add_integration(project_id, await known.caller(), new)
    row = IntegrationRow(made.app_key, made.auth_type, made.client_id, list(made.scopes), created_at)
    return _integration(services, project_id, row)


def _integration(services: Services, project_id: UUID, row: IntegrationRow) -> IntegrationEntry:
    redirect_uri = None
    if _sends_people_back(services, row):
        redirect_uri = services.public_url + callback_path(project_id, of_installation=not row.client_id)
    return IntegrationEntry(row.app_key, row.auth_type, row.client_id, row.scopes, row.created_at, redirect_uri)


def _sends_people_back(services: Services, row: IntegrationRow) -> bool:
    try:
        _, scheme = services.catalogue.scheme(row.app_key, row.auth_type)
    except (AppNotFound, UnknownAuthType):
        return False  # it was registered when the catalogue still had it
    return asks_for_consent(scheme)


async def delete_integration(services: Services, call: Call) -> None:
    known, project_id = await member_of_project(services, call)
    await services.projects.remove_integration(project_id, await known.caller(), call.segment("app_key"))


_PROJECT = PREFIX + "/Project/{id}"
_COMMON = (TokenInvalid, ProjectNotFound)
ROUTES = [
    Route(
        method="GET",
        path=_PROJECT + "/Integrations",
        handler=list_integrations,
        summary="The apps that a project has registered",
        query=PageQuery,
        answer=list[IntegrationEntry],
        refusals=_COMMON,
    ),
    Route(
        method="POST",
        path=_PROJECT + "/Integration",
        handler=create_integration,
        summary="Register an app",
        status=201,
        body=IntegrationBody,
        answer=IntegrationEntry,
        refusals=(
            *_COMMON,
            BadRequest,
            AppNotFound,
            UnknownAuthType,
            OAuthClientNeeded,
            InvalidFields,
            IntegrationAlreadyExists,
        ),
    ),
    Route(
        method="DELETE",
        path=_PROJECT + "/Integration/{app_key}",
        handler=delete_integration,
        summary="Remove an app",
        refusals=(*_COMMON, IntegrationNotFound),
    ),
]
