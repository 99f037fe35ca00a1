"""Connecting an end user to an app, both generations: at once with fields, or by a link to the connect page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from adapters.http.monkedo.callers import bearer, user_id
from adapters.http.monkedo.connections import newer_and_older
from adapters.http.problems import BadRequest, TokenInvalid
from adapters.http.routes import Call, json_response
from adapters.http.services import Services
from domain.apps.connection_fields import InvalidFields
from domain.connections.connecting import ConnectWishes
from domain.connections.connection import ConnectionAlreadyExists, CredentialRejected
from domain.connections.linking import OriginNotAllowed
from domain.connections.obtaining import CannotProve
from domain.connections.targets import ClientMissing
from domain.projects.integration import IntegrationNotFound
from domain.projects.project import ProjectNotFound


class ConnectBody(msgspec.Struct, rename="camel"):
    """``connectionFields``: what credential-info asks for; an app of OAuth is connected by a link, whose page asks for them.
    ``verify`` asks the app whether they work before they are kept.

    Members of our own: ``link`` asks for a link for an app that takes a key, too. ``returnUrl``: where the person goes
    afterwards, with ``status`` (connected or failed), ``app_key`` and ``error``; ``origin``: which window hears the same by
    postMessage; each asks for a link, and its origin is one of the project's allowed_origins. ``keepsAccount``: whoever
    connects again must choose the same account.
    """

    connection_fields: dict[str, Any] | None = None
    verify: bool = False
    link: bool = False
    return_url: str | None = None
    origin: str | None = None
    keeps_account: bool = False


def connect(*, replaces: bool) -> Callable[[Services, Call], Awaitable[Any]]:
    """The older generation replaces an existing connection; the newer refuses with 222."""

    async def handler(services: Services, call: Call) -> Any:
        known = await bearer(services, call)
        external_id = user_id(call)
        body: ConnectBody = await call.body() if call.request.body_exists else ConnectBody()
        app_key = call.segment("appKey")
        wishes = ConnectWishes(
            fields=body.connection_fields,
            asks_link=body.link or body.return_url is not None or body.origin is not None,
            proves=body.verify,
            replaces=replaces,
            return_url=body.return_url,
            origin=body.origin,
            keeps_account=body.keeps_account,
        )
        caller = await known.caller()
        return json_response(await services.connecting.end_user(known.project_id, caller, external_id, app_key, wishes))

    return handler


ROUTES = newer_and_older(
    "POST",
    "/projects/{projectId}/users/{userId}/connections/{appKey}",
    "/users/{userId}/connections/{appKey}",
    handlers=(connect(replaces=False), connect(replaces=True)),
    summary="Connect an end user to an app: null when that is done, or the link by which the end user does it",
    body=ConnectBody,
    answer=str | None,
    refusals=(
        TokenInvalid,
        BadRequest,
        IntegrationNotFound,
        ConnectionAlreadyExists,
        ProjectNotFound,
        InvalidFields,
        OriginNotAllowed,
        ClientMissing,
        CredentialRejected,
        CannotProve,
    ),
)
