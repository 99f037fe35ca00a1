"""The web application: the routes of all dialects behind one observer, and the service's own pages."""

from __future__ import annotations

import re

from aiohttp import web
from prometheus_client import CollectorRegistry

from adapters.http.dialects import DIALECTS
from adapters.http.expectations import ignore_other_expectations
from adapters.http.observer import Observer
from adapters.http.protocol_errors import keep_protocol_errors_quiet
from adapters.http.routes import bind
from adapters.http.service import add_documents, add_watch_pages
from adapters.http.services import Services

LARGEST_BODY = 1 << 20
"""Bytes of a request body; more is refused with 413."""

_PARAMETER = re.compile(r"\{(\w+)\}")


def build_app(services: Services, registry: CollectorRegistry) -> web.Application:
    keep_protocol_errors_quiet()
    ignore_other_expectations()
    app = web.Application(middlewares=[Observer(registry).middleware()], client_max_size=LARGEST_BODY)
    for dialect in DIALECTS:
        for route in dialect.routes:
            resource = app.router.add_resource(_pattern(route.path))
            handler = bind(route, services)
            for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
                resource.add_route(method, handler)
    add_watch_pages(app, services)
    add_documents(app)
    return app


def build_watched_app(services: Services, registry: CollectorRegistry) -> web.Application:
    """For a process of workers alone: how it is, and nothing else."""
    keep_protocol_errors_quiet()
    ignore_other_expectations()
    app = web.Application(middlewares=[Observer(registry).middleware()], client_max_size=LARGEST_BODY)
    add_watch_pages(app, services)
    return app


def _pattern(path: str) -> str:
    """The path for aiohttp's router, whose own parameters stop at braces and are never empty; a user id may hold braces,
    and an empty one is refused in words.
    """
    return _PARAMETER.sub(lambda found: f"{{{found[1]}:[^/]{'*' if found[1] == 'userId' else '+'}}}", path)
