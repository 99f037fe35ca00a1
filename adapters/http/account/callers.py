"""Who calls the management API: a person's session, or what acts for a company (its session or API key)."""

from __future__ import annotations

from uuid import UUID

from adapters.http.authorization import presented_token
from adapters.http.problems import TokenInvalid
from adapters.http.routes import TENANT, Call
from adapters.http.services import Services
from domain.deciding import Caller
from domain.ids import ACCOUNT_SESSION, COMPANY_KEY, COMPANY_SESSION, Token, parse_id, parse_token
from domain.projects.project import ProjectNotFound


class Person:
    """A person who has logged in, whatever company was chosen since."""

    __slots__ = ("account_id", "call")

    def __init__(self, call: Call, account_id: UUID) -> None:
        self.call = call
        self.account_id = account_id

    async def caller(self) -> Caller:
        return await self.call.caller(f"account:{self.account_id}")


class Member:
    """Somebody who acts for a company."""

    __slots__ = ("actor", "call", "company_id")

    def __init__(self, call: Call, company_id: UUID, actor: str) -> None:
        self.call = call
        self.company_id = company_id
        self.actor = actor

    async def caller(self) -> Caller:
        return await self.call.caller(self.actor)


def _token(call: Call) -> Token:
    """The bare token, or one after "Bearer"."""
    token = parse_token(presented_token(call.request))
    if token is None:
        raise TokenInvalid("The Authorization header needs a valid access token.")
    return token


async def person(services: Services, call: Call) -> Person:
    """TokenInvalid for anything but a session of a person."""
    token = _token(call)
    account_id = None
    if token.kind == ACCOUNT_SESSION:
        account_id = await services.account_queries.session(token.digest)
    elif token.kind == COMPANY_SESSION:
        access = await services.company_queries.access(token.tenant_id, token.digest)
        account_id = access.account_id if access else None
    if account_id is None:
        raise TokenInvalid("The access token is invalid or has expired; log in again.")
    return Person(call, account_id)


async def member(services: Services, call: Call) -> Member:
    """TokenInvalid for anything but a company's session or API key."""
    token = _token(call)
    if token.kind not in (COMPANY_SESSION, COMPANY_KEY):
        raise TokenInvalid("This needs a company's access token; choose a company at /sso/v2/User/ChangeCompany/{id}.")
    access = await services.company_queries.access(token.tenant_id, token.digest)
    if access is None:
        raise TokenInvalid("The access token is invalid or has expired.")
    call.request[TENANT] = str(token.tenant_id)
    actor = f"account:{access.account_id}" if access.account_id else f"api_key:{access.access_id}"
    return Member(call, token.tenant_id, actor)


async def member_of_project(services: Services, call: Call) -> tuple[Member, UUID]:
    """The caller, and the path's project if it is one of the company's; else ProjectNotFound, whosever it is."""
    known = await member(services, call)
    project_id = parse_id(call.request.match_info["id"])
    if project_id is None or not await services.company_queries.lists(known.company_id, project_id):
        raise ProjectNotFound
    call.request[TENANT] = str(project_id)
    return known, project_id
