"""Connection routes of the Integration Provider API, both generations: the newer has the project or user in the path."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from adapters.http.bodies import check_text
from adapters.http.monkedo.callers import bearer, checked_user_id, user_id
from adapters.http.problems import BadRequest, TokenInvalid
from adapters.http.routes import LONGEST_SEGMENT, Call, Route
from adapters.http.services import Services
from domain.apps.connection_fields import credential_info
from domain.connections.connection import ConnectionAlreadyExists, ConnectionNotFound
from domain.connections.use_cases import TokenSet
from domain.end_users.end_user import EndUserNotFound
from domain.projects.integration import IntegrationNotFound
from domain.projects.project import ProjectNotFound
from projections.connections import ConnectionRow

PREFIX = "/api/v1/ipaas"
LATEST_MS = 253_402_300_799_999  # the end of the year 9999
_MOST_APPS = 200


class StatusQuery(msgspec.Struct):
    """``appKeys``: one or more, separated by commas."""

    app_keys: list[str] = msgspec.field(name="appKeys")


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
    """A connection without its secrets. Times are milliseconds since 1970; ``lastUsedAt`` may lag a few seconds. ``accountName`` is
    the provider's name for the account; ``errorMessage`` says why the connection is invalid, or what the last refresh met.
    """

    app_key: str
    app_name: str
    user_id: str
    status: str
    type: str
    scopes: list[str]
    expires_at: int | None
    created_at: int
    updated_at: int
    account_name: str | None
    refreshed_at: int | None
    last_used_at: int | None
    error_message: str | None


async def get_credential_info(services: Services, call: Call) -> dict[str, Any]:
    known = await bearer(services, call)
    integration = await services.integration_queries.one(known.project_id, call.segment("appKey"))
    if integration is None:
        raise IntegrationNotFound
    return credential_info(*services.catalogue.scheme(integration.app_key, integration.auth_type))


async def get_status(services: Services, call: Call) -> dict[str, str]:
    known = await bearer(services, call)
    query: StatusQuery = call.query()
    if not 1 <= len(query.app_keys) <= _MOST_APPS:
        raise BadRequest(f'"appKeys" must name 1 to {_MOST_APPS} apps, separated by commas.')
    statuses = await services.connection_queries.statuses(known.project_id, user_id(call), services.clock())
    words = {True: "connected", False: "invalid", None: "not-connected"}
    return {key: words[statuses.get(key)] for key in query.app_keys}


async def get_connection(services: Services, call: Call) -> ConnectionDetails:
    known = await bearer(services, call)
    external_id, app_key = user_id(call), call.segment("appKey")
    if await services.integration_queries.one(known.project_id, app_key) is None:
        raise IntegrationNotFound
    end_user_id = await services.end_user_queries.end_user_id(known.project_id, external_id)
    if end_user_id is None:
        raise EndUserNotFound
    row = await services.connection_queries.connection(known.project_id, end_user_id, app_key)
    if row is None:
        raise ConnectionNotFound
    return _details(services, external_id, row)


def _details(services: Services, external_id: str, row: ConnectionRow) -> ConnectionDetails:
    return ConnectionDetails(
        app_key=row.app_key,
        app_name=services.catalogue.app(row.app_key).name,
        user_id=external_id,
        status="connected" if row.is_valid(services.clock()) else "invalid",
        type={"api_key": "apikey", "oauth2": "oauth"}.get(row.auth_type, row.auth_type),
        scopes=row.scopes,
        expires_at=_milliseconds(row.expires_at),
        created_at=round(row.created_at.timestamp() * 1000),
        updated_at=round(row.updated_at.timestamp() * 1000),
        account_name=row.account_name,
        refreshed_at=_milliseconds(row.refreshed_at),
        last_used_at=_milliseconds(row.last_used_at),
        error_message=row.message or None,
    )


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


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


def newer_and_older(method: str, newer: str, older: str, **route: Any) -> list[Route]:
    """One route under the paths of both generations; ``handlers`` where they differ."""
    handlers = route.pop("handlers", None) or (route["handler"], route["handler"])
    route.pop("handler", None)
    return [
        Route(method=method, path=PREFIX + path, handler=handler, **route)
        for path, handler in zip((newer, older), handlers, strict=True)
    ]


ROUTES = [
    *newer_and_older(
        "GET",
        "/projects/{projectId}/apps/{appKey}/credential-info",
        "/apps/{appKey}/credential-info",
        handler=get_credential_info,
        summary="What an end user fills in to connect an app that is not OAuth",
        answer=CredentialInfo,
        refusals=(TokenInvalid, ProjectNotFound, IntegrationNotFound),
    ),
    *newer_and_older(
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
]
