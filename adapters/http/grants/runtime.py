"""The route of runtimes: credentials for whoever has the instance's proxy key and a grant."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec

from adapters.http.grants.callers import proxy_key
from adapters.http.grants.problems import Unprocessable
from adapters.http.grants.reading import path_id, query
from adapters.http.routes import TENANT, Call, Route
from adapters.http.services import Services
from domain.connections.connection import ConnectionNotFound
from domain.connections.fetching import CapabilityNotGranted, NoGrant, ProxyKeyInvalid
from domain.connections.refreshing import ConnectionUnusable, RefreshTrouble
from domain.ids import Token, parse_id

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class FetchQuery(msgspec.Struct):
    """Without a ``name`` the newest grant for the provider counts. ``capability``: refuse unless the grant includes it."""

    provider: Text
    name: Text | None = None
    capability: Text | None = None


class Credentials(msgspec.Struct):
    """``credentials``: of oauth2 access_token, token_type, expires_at and scope; else the object that was stored."""

    credentials: dict[str, Any]
    capabilities: list[str]


async def fetch_credentials(services: Services, call: Call) -> Any:
    key = proxy_key(call)
    try:
        instance_id, asked = path_id(call, "instance_id"), query(call)
    except Unprocessable:
        await _check_key(services, key, parse_id(call.request.match_info["instance_id"]))
        raise
    call.request[TENANT] = str(key.tenant_id)
    try:
        fetched = await services.credential_fetch.fetch(key, instance_id, asked.provider, asked.name, asked.capability)
    except ProxyKeyInvalid:
        call.request[TENANT] = ""
        raise
    services.note_use(key.tenant_id, instance_id)
    return fetched


async def _check_key(services: Services, key: Token, instance_id: UUID | None) -> None:
    """Who asks is looked at before what is asked. ProxyKeyInvalid."""
    owner = await services.instance_queries.owner(key.tenant_id, key.digest)
    if owner is None or instance_id not in (None, owner):
        raise ProxyKeyInvalid


ROUTES = [
    Route(
        method="GET",
        path="/internal/v1/instances/{instance_id}/connections",
        handler=fetch_credentials,
        summary="Fetch a connection's credentials, renewed if that is due; the bearer is the instance's proxy key",
        query=FetchQuery,
        answer=Credentials,
        refusals=(
            ProxyKeyInvalid,
            CapabilityNotGranted,
            NoGrant,
            ConnectionNotFound,
            ConnectionUnusable,
            RefreshTrouble,
            Unprocessable,
        ),
    ),
]
