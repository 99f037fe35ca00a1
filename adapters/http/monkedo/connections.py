"""Connection routes of the Integration Provider API, both generations: the newer has the project or user in the path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from adapters.http.bodies import check_text
from adapters.http.monkedo.callers import bearer, checked_user_id, user_id
from adapters.http.problems import BadRequest, TokenInvalid
from adapters.http.routes import LONGEST_SEGMENT, Call, Route, json_response
from adapters.http.services import Services
from domain.apps.connection_fields import InvalidFields, credential_info
from domain.connections.connection import ConnectionAlreadyExists, ConnectionNotFound, CredentialRejected
from domain.connections.use_cases import CannotProve, TokenSet
from domain.end_users.end_user import EndUserNotFound
from domain.projects.integration import IntegrationNotFound
from domain.projects.project import ProjectNotFound
from projections.end_users import ConnectionRow

PREFIX = "/api/v1/ipaas"
LATEST_MS = 253_402_300_799_999  # the end of the year 9999
_MOST_APPS = 200


class StatusQuery(msgspec.Struct):
    """``appKeys``: one or more, separated by commas."""

    app_keys: str = msgspec.field(name="appKeys")


class ConnectBody(msgspec.Struct):
    """``connectionFields``: what credential-info asks for. ``verify`` asks the app whether they work before they are kept."""

    connection_fields: dict[str, Any] = msgspec.field(name="connectionFields", default_factory=dict)
    verify: bool = False


class ImportBody(msgspec.Struct, rename="camel"):
    """``expiresAt``: milliseconds since 1970; absent for a perpetual token. ``refreshToken``: absent when there is none."""

    app_key: str
    scopes: list[str]
    access_token: str
    refresh_token: str | None = None
    expires_at: int | float | None = None
    oauth1_token: str | None = msgspec.field(name="oauth1Token", default=None)
    access_token_secret: str | None = None
    user_id: str | None = None


class CredentialInfoField(msgspec.Struct, rename="camel", omit_defaults=True):
    """One thing to fill in, as the published type has it."""

    name: str
    type: str = "text"
    desc: str | None = None
    label: str | None = None
    is_optional: bool = False
    options: list[dict[str, str]] | None = None
    show_when: dict[str, str | int | float | bool] | None = None
    show: bool | None = None


class CredentialInfo(msgspec.Struct, rename="camel"):
    app_name: str
    desc: str
    fields: list[CredentialInfoField]


class ConnectionDetails(msgspec.Struct, rename="camel"):
    """A connection without its secrets. Times are milliseconds since 1970."""

    app_key: str
    app_name: str
    user_id: str
    status: str
    type: str
    scopes: list[str]
    expires_at: int | None
    created_at: int
    updated_at: int


async def get_credential_info(services: Services, call: Call) -> dict[str, Any]:
    known = await bearer(services, call)
    integration = await services.integration_queries.one(known.project_id, call.segment("appKey"))
    if integration is None:
        raise IntegrationNotFound
    return credential_info(*services.catalogue.scheme(integration.app_key, integration.auth_type))


async def get_status(services: Services, call: Call) -> dict[str, str]:
    known = await bearer(services, call)
    query: StatusQuery = call.query()
    app_keys = [key for part in query.app_keys.split(",") if (key := part.strip())]
    if not app_keys or len(app_keys) > _MOST_APPS:
        raise BadRequest(f'"appKeys" must name 1 to {_MOST_APPS} apps, separated by commas.')
    statuses = await services.end_user_queries.statuses(known.project_id, user_id(call), services.clock())
    words = {True: "connected", False: "invalid", None: "not-connected"}
    return {key: words[statuses.get(key)] for key in app_keys}


async def get_connection(services: Services, call: Call) -> ConnectionDetails:
    known = await bearer(services, call)
    external_id, app_key = user_id(call), call.segment("appKey")
    if await services.integration_queries.one(known.project_id, app_key) is None:
        raise IntegrationNotFound
    end_user_id = await services.end_user_queries.end_user_id(known.project_id, external_id)
    if end_user_id is None:
        raise EndUserNotFound
    row = await services.end_user_queries.connection(known.project_id, end_user_id, app_key)
    if row is None:
        raise ConnectionNotFound
    return _details(services, external_id, row)


def _details(services: Services, external_id: str, row: ConnectionRow) -> ConnectionDetails:
    return ConnectionDetails(
        app_key=row.app_key,
        app_name=services.catalogue.app(row.app_key).name,
        user_id=external_id,
        status="connected" if row.is_valid(services.clock()) else "invalid",
        type={"api_key": "apikey"}.get(row.auth_type, row.auth_type),
        scopes=row.scopes,
        expires_at=_milliseconds(row.expires_at) if row.expires_at else None,
        created_at=_milliseconds(row.created_at),
        updated_at=_milliseconds(row.updated_at),
    )


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def connect(*, replaces: bool) -> Callable[[Services, Call], Awaitable[Any]]:
    """The older generation replaces an existing connection; the newer refuses with 222."""

    async def handler(services: Services, call: Call) -> Any:
        known = await bearer(services, call)
        external_id = user_id(call)
        body: ConnectBody = await call.body() if call.request.body_exists else ConnectBody()
        await services.connections.connect(
            known.project_id,
            await known.caller(),
            external_id,
            call.segment("appKey"),
            body.connection_fields,
            replaces=replaces,
            prove=body.verify,
        )
        return json_response(None)

    return handler


async def import_newer(services: Services, call: Call) -> None:
    known = await bearer(services, call)
    external_id = user_id(call)
    body: ImportBody = await call.body()
    if body.user_id is not None and body.user_id != external_id:
        raise BadRequest("The body's userId is not the path's.")
    tokens = _tokens(body)
    await services.connections.import_token(known.project_id, await known.caller(), external_id, tokens, replaces=False)


async def import_older(services: Services, call: Call) -> None:
    known = await bearer(services, call)
    body: ImportBody = await call.body()
    external_id = checked_user_id(check_text(body.user_id or "", "The userId", LONGEST_SEGMENT))
    tokens = _tokens(body)
    await services.connections.import_token(known.project_id, await known.caller(), external_id, tokens, replaces=True)


def _tokens(body: ImportBody) -> TokenSet:
    if not body.access_token.strip():
        raise BadRequest("The accessToken is empty.")
    expires_at = None
    if body.expires_at is not None:
        if not 0 <= body.expires_at <= LATEST_MS:
            raise BadRequest("expiresAt is in milliseconds since 1970.")
        expires_at = datetime.fromtimestamp(body.expires_at / 1000, UTC)
    return TokenSet(
        app_key=body.app_key,
        access_token=body.access_token,
        scopes=tuple(body.scopes),
        refresh_token=body.refresh_token or None,
        expires_at=expires_at,
        token=body.oauth1_token,
        token_secret=body.access_token_secret,
    )


async def delete_connection(services: Services, call: Call) -> None:
    known = await bearer(services, call)
    await services.connections.delete(known.project_id, await known.caller(), user_id(call), call.segment("appKey"))


_IMPORT = (TokenInvalid, BadRequest, IntegrationNotFound, ConnectionAlreadyExists)
_CONNECT = (*_IMPORT, ProjectNotFound, InvalidFields, CredentialRejected, CannotProve)


def _newer_and_older(method: str, newer: str, older: str, **route: Any) -> list[Route]:
    handlers = route.pop("handlers", None) or (route["handler"], route["handler"])
    route.pop("handler", None)
    return [
        Route(method=method, path=PREFIX + path, handler=handler, **route)
        for path, handler in zip((newer, older), handlers, strict=True)
    ]


ROUTES = [
    *_newer_and_older(
        "GET",
        "/projects/{projectId}/apps/{appKey}/credential-info",
        "/apps/{appKey}/credential-info",
        handler=get_credential_info,
        summary="What an end user fills in to connect an app that is not OAuth",
        answer=CredentialInfo,
        refusals=(TokenInvalid, ProjectNotFound, IntegrationNotFound),
    ),
    *_newer_and_older(
        "GET",
        "/projects/{projectId}/users/{userId}/connections/status",
        "/users/{userId}/connections/status",
        handler=get_status,
        summary="Which apps an end user is connected to",
        query=StatusQuery,
        answer=dict[str, str],
        refusals=(TokenInvalid, ProjectNotFound, BadRequest),
    ),
    Route(
        method="POST",
        path=PREFIX + "/users/connections/import",
        handler=import_older,
        summary="Import a token that was issued elsewhere (older generation: an existing connection is replaced)",
        body=ImportBody,
        refusals=_IMPORT,
    ),
    Route(
        method="POST",
        path=PREFIX + "/users/{userId}/connections/import",
        handler=import_newer,
        summary="Import a token that was issued elsewhere",
        body=ImportBody,
        refusals=_IMPORT,
    ),
    Route(
        method="GET",
        path=PREFIX + "/users/{userId}/connections/{appKey}",
        handler=get_connection,
        summary="An end user's connection to an app, without its secrets",
        answer=ConnectionDetails,
        refusals=(TokenInvalid, BadRequest, IntegrationNotFound, EndUserNotFound, ConnectionNotFound),
    ),
    Route(
        method="DELETE",
        path=PREFIX + "/users/{userId}/connections/{appKey}",
        handler=delete_connection,
        summary="Delete an end user's connection and its secrets",
        refusals=(TokenInvalid, BadRequest, IntegrationNotFound, EndUserNotFound, ConnectionNotFound),
    ),
    *_newer_and_older(
        "POST",
        "/projects/{projectId}/users/{userId}/connections/{appKey}",
        "/users/{userId}/connections/{appKey}",
        handlers=(connect(replaces=False), connect(replaces=True)),
        summary="Connect an end user to an app",
        body=ConnectBody,
        answer=str | None,
        refusals=_CONNECT,
    ),
]
