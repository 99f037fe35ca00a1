"""The web application: the routes of all dialects behind one observer, and the service's own pages."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CollectorRegistry

from adapters.http.dialects import DIALECTS
from adapters.http.observer import Observer
from adapters.http.routes import bind
from adapters.http.service import add_service_pages
from adapters.http.services import Services

LARGEST_BODY = 1 << 20
"""Bytes of a request body; more is refused with 413."""


def build_app(services: Services, registry: CollectorRegistry) -> web.Application:
    app = web.Application(middlewares=[Observer(registry).middleware()], client_max_size=LARGEST_BODY)
    for dialect in DIALECTS:
        for route in dialect.routes:
            app.router.add_route(route.method, route.path, bind(route, services))
    add_service_pages(app, services, registry)
    return app
