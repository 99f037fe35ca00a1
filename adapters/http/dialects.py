"""The published APIs side by side: which paths are whose, and how each words a refusal."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from adapters.http.account import problems as account_problems
from adapters.http.account.connections import ROUTES as ACCOUNT_CONNECTIONS
from adapters.http.account.projects import ROUTES as ACCOUNT_PROJECTS
from adapters.http.account.sso import ROUTES as ACCOUNT_SSO
from adapters.http.monkedo import problems as monkedo_problems
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
    tuple(MONKEDO_CONNECTIONS),
    monkedo_problems.render,
    monkedo_problems.render_fault,
)
ACCOUNT = Dialect(
    "account",
    "Accounts and management API",
    ("/sso", "/subscriptions", "/v2"),
    (*ACCOUNT_SSO, *ACCOUNT_PROJECTS, *ACCOUNT_CONNECTIONS),
    account_problems.render,
    account_problems.render_fault,
)
DIALECTS = (MONKEDO, ACCOUNT)


def dialect_of(path: str) -> Dialect:
    """Whose path it is; what is nobody's speaks the management API's plain text."""
    for dialect in DIALECTS:
        if any(path == prefix or path.startswith(f"{prefix}/") for prefix in dialect.prefixes):
            return dialect
    return ACCOUNT
