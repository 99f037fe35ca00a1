"""The published APIs side by side: which paths are whose, and how each words a refusal."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from adapters.http.account import problems as account_problems
from adapters.http.account.connections import ROUTES as ACCOUNT_CONNECTIONS
from adapters.http.account.deliveries import ROUTES as ACCOUNT_DELIVERIES
from adapters.http.account.integrations import ROUTES as ACCOUNT_INTEGRATIONS
from adapters.http.account.projects import ROUTES as ACCOUNT_PROJECTS
from adapters.http.account.sso import ROUTES as ACCOUNT_SSO
from adapters.http.connect import problems as connect_problems
from adapters.http.connect.pages import ROUTES as CONNECT_PAGES
from adapters.http.grants import problems as grants_problems
from adapters.http.grants.connections import ROUTES as GRANTS_CONNECTIONS
from adapters.http.grants.customers import ROUTES as GRANTS_CUSTOMERS
from adapters.http.grants.instances import ROUTES as GRANTS_INSTANCES
from adapters.http.grants.runtime import ROUTES as GRANTS_RUNTIME
from adapters.http.monkedo import problems as monkedo_problems
from adapters.http.monkedo.connecting import ROUTES as MONKEDO_CONNECTING
from adapters.http.monkedo.connections import ROUTES as MONKEDO_CONNECTIONS
from adapters.http.routes import Route
from domain.errors import Refusal


class Dialect(msgspec.Struct, frozen=True):
    """``prefixes``: every path below them is this dialect's, known or not."""

    name: str
    title: str
    prefixes: tuple[str, ...]
    routes: tuple[Route, ...]
    render: Callable[[Refusal], web.Response]
    render_fault: Callable[[str], web.Response]


MONKEDO = Dialect(
    "monkedo",
    "Integration Provider API",
    ("/api/v1/ipaas",),
    (*MONKEDO_CONNECTIONS, *MONKEDO_CONNECTING),
    monkedo_problems.render,
    monkedo_problems.render_fault,
)
ACCOUNT = Dialect(
    "account",
    "Accounts and management API",
    ("/sso", "/subscriptions", "/v2"),
    (*ACCOUNT_SSO, *ACCOUNT_PROJECTS, *ACCOUNT_INTEGRATIONS, *ACCOUNT_CONNECTIONS, *ACCOUNT_DELIVERIES),
    account_problems.render,
    account_problems.render_fault,
)
GRANTS = Dialect(
    "grants",
    "Connections and grants API",
    ("/v1/customers", "/v1/instances", "/internal/v1"),
    (*GRANTS_CUSTOMERS, *GRANTS_CONNECTIONS, *GRANTS_INSTANCES, *GRANTS_RUNTIME),
    grants_problems.render,
    grants_problems.render_fault,
)
CONNECT = Dialect(
    "connect",
    "Pages for people who connect an app",
    ("/connect", "/platform"),
    tuple(CONNECT_PAGES),
    connect_problems.render,
    connect_problems.render_fault,
)
APIS = (MONKEDO, ACCOUNT, GRANTS)
DIALECTS = (*APIS, CONNECT)
"""All that is served: the APIs, which describe themselves, and the pages."""


def dialect_of(path: str) -> Dialect:
    """Whose path it is; what is nobody's speaks the management API's plain text."""
    for dialect in DIALECTS:
        if any(path == prefix or path.startswith(f"{prefix}/") for prefix in dialect.prefixes):
            return dialect
    return ACCOUNT
