"""The web application: the routes of all dialects behind one observer, and the service's own pages."""

from __future__ import annotations

import re

from aiohttp import HttpVersion11, web
from prometheus_client import CollectorRegistry

from adapters.http.dialects import DIALECTS
from adapters.http.observer import Observer
from adapters.http.protocol_errors import keep_protocol_errors_quiet
from adapters.http.routes import bind
from adapters.http.service import add_service_pages
from adapters.http.services import Services

LARGEST_BODY = 1 << 20
"""Bytes of a request body; more is refused with 413."""

_PARAMETER = re.compile(r"\{(\w+)\}")


def build_app(services: Services, registry: CollectorRegistry) -> web.Application:
    keep_protocol_errors_quiet()
    app = web.Application(middlewares=[Observer(registry).middleware()], client_max_size=LARGEST_BODY)
    for dialect in DIALECTS:
        for route in dialect.routes:
            resource = app.router.add_resource(_pattern(route.path))
            handler = bind(route, services)
            for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
                resource.add_route(method, handler, expect_handler=_expect)
    add_service_pages(app, services, registry)
    return app


def _pattern(path: str) -> str:
    """The path for aiohttp's router, whose own parameters stop at braces and are never empty; a user id may hold braces,
    and an empty one is refused in words.
    """
    return _PARAMETER.sub(lambda found: f"{{{found[1]}:[^/]{'*' if found[1] == 'userId' else '+'}}}", path)


async def _expect(request: web.Request) -> None:
    """Lets a body come that waits for the word; other expectations are ignored (RFC 9110, 10.1.1 allows it)."""
    if request.version == HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
