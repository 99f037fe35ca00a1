"""Logging in and choosing a company."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from aiohttp import web

from adapters.http.account.callers import Person, person
from adapters.http.account.paging import PageQuery, cut, paged
from adapters.http.problems import BadRequest, TokenInvalid
from adapters.http.routes import Call, Route
from adapters.http.services import Services
from domain.accounts.account import AccountNotFound, WrongCredentials
from domain.accounts.use_cases import Session
from domain.companies.company import CompanyNotFound
from domain.ids import parse_id
from projections.accounts import AccountRow

_LONGEST_PASSWORD = 1024


class LoginBody(msgspec.Struct):
    """``username`` is another name for ``email_address``."""

    password: str
    email_address: str | None = None
    username: str | None = None
    return_url: str | None = None
    remember_me: bool = False
    tracking_guid: str | None = None


class LoginAnswer(msgspec.Struct):
    """``id`` is the person's number. ``refresh_token`` is null: log in again when the access token has expired."""

    id: int
    name: str
    email_address: str
    access_token: str
    access_token_expiration: datetime
    refresh_token: str | None
    return_url: str | None
    permissions: list[str]
    tracking_guid: str | None


class CompanyEntry(msgspec.Struct):
    id: UUID
    name: str
    logo: str | None
    designation_id: int
    user_type_id: int
    designations: dict[str, str]


async def log_in(services: Services, call: Call) -> LoginAnswer:
    body: LoginBody = await call.body()
    email = body.email_address or body.username
    if not email or not body.password or len(body.password) > _LONGEST_PASSWORD:
        raise BadRequest("email_address and password are required.")
    session = await services.accounts.log_in(await call.caller("anonymous:"), email, body.password)
    return await _answer(services, session, [], body.return_url, body.tracking_guid)


async def list_companies(services: Services, call: Call) -> web.Response:
    known = await person(services, call)
    query: PageQuery = call.query()
    await _own_number(services, known, call.segment("id"))
    memberships = await services.account_queries.memberships(known.account_id)
    rows = await services.company_queries.rows([one.company_id for one in memberships])
    entries = [CompanyEntry(row.company_id, row.name, row.logo_url, 1, 1, {"1": "Admin"}) for row in rows]
    return paged(cut(entries, query.page()), len(entries), query.page())


async def change_company(services: Services, call: Call) -> LoginAnswer:
    known = await person(services, call)
    company_id = parse_id(call.segment("id"))
    if company_id is None:
        raise CompanyNotFound
    session = await services.accounts.enter_company(await known.caller(), known.account_id, company_id)
    roles = {one.company_id: one.role for one in await services.account_queries.memberships(known.account_id)}
    permissions = [roles[company_id]] if company_id in roles else []
    return await _answer(services, session, permissions, None, None)


async def _own_number(services: Services, known: Person, number: str) -> AccountRow:
    row = await services.account_queries.account(known.account_id)
    if row is None or str(row.number) != number:
        raise AccountNotFound
    return row


async def _answer(
    services: Services, session: Session, permissions: list[str], return_url: str | None, tracking_guid: str | None
) -> LoginAnswer:
    row = await services.account_queries.account(session.account_id)
    if row is None:
        raise AccountNotFound
    return LoginAnswer(
        id=row.number,
        name=row.name,
        email_address=row.email,
        access_token=session.token,
        access_token_expiration=session.expires_at,
        refresh_token=None,
        return_url=return_url,
        permissions=permissions,
        tracking_guid=tracking_guid,
    )


def _routes(prefix: str) -> list[Route]:
    return [
        Route(
            method="POST",
            path=prefix + "/Auth/Login",
            handler=log_in,
            summary="Log in with e-mail address and password",
            body=LoginBody,
            answer=LoginAnswer,
            needs_token=False,
            refusals=(BadRequest, WrongCredentials),
        ),
        Route(
            method="GET",
            path=prefix + "/User/{id}/Companies",
            handler=list_companies,
            summary="The companies of the person who has logged in",
            query=PageQuery,
            answer=list[CompanyEntry],
            refusals=(TokenInvalid, AccountNotFound),
        ),
        Route(
            method="GET",
            path=prefix + "/User/ChangeCompany/{id}",
            handler=change_company,
            summary="Choose a company: answers an access token for it",
            answer=LoginAnswer,
            refusals=(TokenInvalid, CompanyNotFound),
        ),
    ]


ROUTES = [*_routes("/sso/v2"), *_routes("/v2")]
