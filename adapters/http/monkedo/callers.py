"""Who calls the Integration Provider API: the bearer of a project token."""

from __future__ import annotations

from uuid import UUID

from adapters.http.authorization import presented_token
from adapters.http.problems import BadRequest, TokenInvalid
from adapters.http.routes import TENANT, Call
from adapters.http.services import Services
from domain.deciding import Caller
from domain.ids import PROJECT_TOKEN, parse_id, parse_token
from domain.projects.project import ProjectNotFound


class Bearer:
    """A project token that is valid, as of this request."""

    __slots__ = ("call", "project_id", "token_id")

    def __init__(self, call: Call, project_id: UUID, token_id: UUID) -> None:
        self.call = call
        self.project_id = project_id
        self.token_id = token_id

    async def caller(self) -> Caller:
        return await self.call.caller(f"project_token:{self.token_id}")


async def bearer(services: Services, call: Call) -> Bearer:
    """The token's project; where the path names one, it must be the same.

    TokenInvalid (900) when the token is not valid, or the path names another project; ProjectNotFound (901) when there
    is no such project.
    """
    token = parse_token(presented_token(call.request))
    if token is None or token.kind != PROJECT_TOKEN:
        raise TokenInvalid
    token_id = await services.token_queries.token_id(token.tenant_id, token.digest)
    if token_id is None:
        raise TokenInvalid
    call.request[TENANT] = str(token.tenant_id)
    services.note_use(token.tenant_id, token_id)
    named = call.request.match_info.get("projectId")
    if named is not None and named != str(token.tenant_id):
        other = parse_id(named)
        if other is None or not await services.project_queries.exists(other):
            raise ProjectNotFound
        if other != token.tenant_id:
            raise TokenInvalid
    return Bearer(call, token.tenant_id, token_id)


def user_id(call: Call) -> str:
    """The application's own id of its end user: any text that is not blank."""
    return checked_user_id(call.segment("userId"))


def checked_user_id(text: str) -> str:
    if not text.strip():
        raise BadRequest('"params" must contain "userId" value.')
    return text
