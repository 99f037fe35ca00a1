"""Customers: end users, as the connections and grants API makes, finds and erases them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from adapters.http.grants.callers import HEADERS, operator
from adapters.http.grants.problems import Problem, Unprocessable
from adapters.http.grants.reading import body, path_id, query
from adapters.http.problems import TokenInvalid
from adapters.http.routes import LONGEST_SEGMENT, Call, Route
from adapters.http.services import Services
from domain.end_users.end_user import EndUserAlreadyExists, EndUserNotFound, Profile
from domain.projects.project import ProjectNotFound
from projections.customers import CustomerRow, Search, SortBy
from projections.reading import Page

PREFIX = "/v1/customers"
Email = Annotated[str, msgspec.Meta(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]
Long = Annotated[str, msgspec.Meta(max_length=255)]
Short = Annotated[str, msgspec.Meta(max_length=64)]


class CustomerBody(msgspec.Struct, kw_only=True):
    """``external_id``: the application's own id of the person; left out, it is the e-mail address, or else the new id."""

    email: Email | None = None
    company_name: Long | None = None
    country_code: Annotated[str, msgspec.Meta(max_length=3)] | None = None
    currency: Annotated[str, msgspec.Meta(max_length=3)] | None = None
    industry: Long | None = None
    locale: Short | None = None
    timezone: Short | None = None
    external_id: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_SEGMENT)] | None = None


class Customer(msgspec.Struct):
    id: UUID
    external_id: str
    email: str | None
    company_name: str | None
    country_code: str | None
    currency: str | None
    industry: str | None
    locale: str | None
    timezone: str | None
    created_at: datetime


class CustomerQuery(msgspec.Struct):
    """``search``: words that stand in the external id, e-mail address or company name."""

    page: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1
    per_page: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    search: Annotated[str, msgspec.Meta(max_length=255)] = ""
    sort_by: SortBy = "created_at"
    sort_dir: Literal["asc", "desc"] = "desc"


class Customers(msgspec.Struct):
    customers: list[Customer]
    total: int
    page: int
    per_page: int


async def create_customer(services: Services, call: Call) -> Customer:
    known = await operator(services, call)
    told: CustomerBody = await body(call)
    if told.external_id is not None and not told.external_id.strip():
        raise Unprocessable(problems=(Problem(("body", "external_id"), "String should not be blank"),))
    added, created_at = await services.end_users.add(
        known.project_id, await known.caller(), told.external_id, _profile(told)
    )
    return _customer(CustomerRow(added.end_user_id, added.external_id, created_at, added.profile))


async def list_customers(services: Services, call: Call) -> Customers:
    known = await operator(services, call)
    asked: CustomerQuery = query(call)
    page = Page(asked.page, asked.per_page)
    search = Search(asked.search.strip(), asked.sort_by, asked.sort_dir == "desc", page)
    listing = await services.customer_queries.search(known.project_id, search)
    return Customers([_customer(row) for row in listing.items], listing.total, page.number, page.size)


async def get_customer(services: Services, call: Call) -> Customer:
    known = await operator(services, call)
    row = await services.customer_queries.one(known.project_id, path_id(call, "customer_id"))
    if row is None:
        raise EndUserNotFound
    return _customer(row)


async def erase_customer(services: Services, call: Call) -> None:
    known = await operator(services, call)
    customer_id = path_id(call, "customer_id")
    await services.end_users.erase_by_id(known.project_id, await known.caller(), customer_id)


def _profile(told: CustomerBody) -> Profile:
    """What is blank is not told."""
    members = {name: getattr(told, name) for name in Profile.__struct_fields__}
    return Profile(**{name: text.strip() or None for name, text in members.items() if text is not None})


def _customer(row: CustomerRow) -> Customer:
    return Customer(
        id=row.end_user_id,
        external_id=row.external_id,
        created_at=row.added_at,
        **msgspec.structs.asdict(row.profile),
    )


_ONE = PREFIX + "/{customer_id}"
_COMMON = (TokenInvalid, ProjectNotFound, Unprocessable)
ROUTES = [
    Route(
        method="POST",
        path=PREFIX,
        handler=create_customer,
        summary="Create a customer",
        status=201,
        body=CustomerBody,
        answer=Customer,
        headers=HEADERS,
        refusals=(*_COMMON, EndUserAlreadyExists),
    ),
    Route(
        method="GET",
        path=PREFIX,
        handler=list_customers,
        summary="The project's customers",
        query=CustomerQuery,
        answer=Customers,
        headers=HEADERS,
        refusals=_COMMON,
    ),
    Route(
        method="GET",
        path=_ONE,
        handler=get_customer,
        summary="A customer",
        answer=Customer,
        headers=HEADERS,
        refusals=(*_COMMON, EndUserNotFound),
    ),
    Route(
        method="DELETE",
        path=_ONE,
        handler=erase_customer,
        summary="Erase a customer: key, connections and secrets are destroyed, the history stays readable",
        status=204,
        headers=HEADERS,
        refusals=(*_COMMON, EndUserNotFound),
    ),
]
