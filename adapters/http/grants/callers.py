"""Who calls the connections and grants API: what acts for a project, or a runtime with its proxy key."""

from __future__ import annotations

from uuid import UUID

from adapters.http.authorization import presented_token
from adapters.http.grants import reading
from adapters.http.grants.problems import ProjectNotNamed
from adapters.http.problems import TokenInvalid
from adapters.http.routes import TENANT, Call
from adapters.http.services import Services
from domain.connections.fetching import ProxyKeyInvalid
from domain.deciding import Caller
from domain.ids import COMPANY_KEY, INSTANCE_KEY, PROJECT_TOKEN, Token, parse_id, parse_token
from domain.projects.project import ProjectNotFound

HEADERS = ("X-Api-Key", "X-Project-Id")


class Operator:
    """Somebody who may act for this project, as of this request."""

    __slots__ = ("_actor", "_call", "project_id")

    def __init__(self, call: Call, project_id: UUID, actor: str) -> None:
        self._call = call
        self._actor = actor
        self.project_id = project_id

    async def caller(self) -> Caller:
        return await reading.caller(self._call, self._actor)


async def operator(services: Services, call: Call) -> Operator:
    """The bearer of a project token or of a company's API key, in Authorization or else in X-Api-Key. A company with several
    projects names one in X-Project-Id.

    TokenInvalid; ProjectNotFound when X-Project-Id names no project of the caller's; ProjectNotNamed.
    """
    token = parse_token(presented_token(call.request) or call.request.headers.get("X-Api-Key", "").strip())
    if token is None or token.kind not in (PROJECT_TOKEN, COMPANY_KEY):
        raise TokenInvalid("This needs a project token or a company's API key, as Bearer or in X-Api-Key.")
    named = call.request.headers.get("X-Project-Id")
    if token.kind == PROJECT_TOKEN:
        known = await _project_token(services, call, token, named)
    else:
        known = await _company_key(services, call, token, named)
    call.request[TENANT] = str(known.project_id)
    return known


async def _project_token(services: Services, call: Call, token: Token, named: str | None) -> Operator:
    token_id = await services.token_queries.token_id(token.tenant_id, token.digest)
    if token_id is None:
        raise TokenInvalid("The project token is invalid.")
    if named is not None and parse_id(named.strip()) != token.tenant_id:
        raise ProjectNotFound
    services.note_use(token.tenant_id, token_id)
    return Operator(call, token.tenant_id, f"project_token:{token_id}")


async def _company_key(services: Services, call: Call, token: Token, named: str | None) -> Operator:
    access = await services.company_queries.access(token.tenant_id, token.digest)
    if access is None or access.account_id is not None:
        raise TokenInvalid("The API key is invalid or has expired.")
    project_id = await _chosen(services, token.tenant_id, named)
    return Operator(call, project_id, f"api_key:{access.access_id}")


async def _chosen(services: Services, company_id: UUID, named: str | None) -> UUID:
    if named is not None:
        project_id = parse_id(named.strip())
        if project_id is None or not await services.company_queries.lists(company_id, project_id):
            raise ProjectNotFound
        return project_id
    owned = await services.company_queries.project_ids(company_id)
    if not owned:
        raise ProjectNotFound
    if len(owned) > 1:
        raise ProjectNotNamed
    return owned[0]


def proxy_key(call: Call) -> Token:
    """The instance key that follows "Bearer"; no other header counts. It proves nothing yet. ProxyKeyInvalid."""
    scheme, _, text = call.request.headers.get("Authorization", "").partition(" ")
    token = parse_token(text.strip()) if scheme.lower() == "bearer" else None
    if token is None or token.kind != INSTANCE_KEY:
        raise ProxyKeyInvalid
    return token
