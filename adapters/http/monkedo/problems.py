"""Refusals in Monkedo's words: {code, name, message}, with its fourteen published codes."""

from __future__ import annotations

from aiohttp import web

from adapters.http.problems import TokenInvalid, status_of
from adapters.http.routes import json_response
from domain.apps.catalogue import AppNotFound
from domain.connections.connection import ConnectionAlreadyExists, ConnectionNotFound
from domain.deciding import TenantGone
from domain.end_users.end_user import EndUserNotFound
from domain.errors import Invalid, Refusal, TooLarge, Unauthenticated
from domain.projects.integration import IntegrationNotFound
from domain.projects.project import ProjectNotFound

CODES: dict[type[Refusal], tuple[int, str]] = {
    Invalid: (1, "INVALID PARAMETER"),
    TooLarge: (1, "INVALID PARAMETER"),
    ConnectionNotFound: (209, "CONNECTION NOT FOUND"),
    ConnectionAlreadyExists: (222, "CONNECTION ALREADY EXISTS"),
    IntegrationNotFound: (600, "INTEGRATION NOT FOUND"),
    AppNotFound: (600, "INTEGRATION NOT FOUND"),
    Unauthenticated: (900, "INVALID TOKEN"),
    TokenInvalid: (900, "INVALID TOKEN"),
    ProjectNotFound: (901, "PROJECT NOT FOUND"),
    TenantGone: (901, "PROJECT NOT FOUND"),
    EndUserNotFound: (1000, "IPAAS USER NOT FOUND"),
}


def render(refusal: Refusal) -> web.Response:
    """A refusal without a published code says its own name under code 0."""
    for kind in type(refusal).__mro__:
        if kind in CODES:
            code, name = CODES[kind]
            break
    else:
        code, name = 0, refusal.code.replace("_", " ").upper()
    return json_response({"code": code, "name": name, "message": refusal.message}, status_of(refusal))


def render_fault(fault_id: str) -> web.Response:
    message = f"Something went wrong here; it is logged as {fault_id}."
    return json_response({"code": 0, "name": "INTERNAL ERROR", "message": message}, 500)
