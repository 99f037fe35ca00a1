"""The service's own pages: is it alive, is it ready, how is it doing, and what its APIs look like."""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from adapters.http.authorization import presented_token
from adapters.http.dialects import APIS
from adapters.http.openapi import document
from adapters.http.problems import RouteNotFound, TokenInvalid
from adapters.http.routes import json_response
from adapters.http.services import Services

_PASSED_ON = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
"""What proxies add: a request that bears one did not begin on this machine, whoever hands it over."""


def add_watch_pages(app: web.Application, services: Services) -> None:
    """What whoever watches the service asks of each of its processes."""

    async def healthz(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        """200 when the database answers, its schema is this program's and the read models follow; else 503 and why."""
        wrong = await services.readiness()
        return json_response({"ready": not wrong, "problems": wrong}, 503 if wrong else 200)

    async def metrics(request: web.Request) -> web.Response:
        """Prometheus text; from another machine only with ``Authorization: Bearer`` and CAUSEWAY_METRICS_TOKEN."""
        if not _is_loopback(request.remote) or any(header in request.headers for header in _PASSED_ON):
            wanted = services.metrics_token
            given = presented_token(request).encode("utf-8", "replace")
            if not wanted or not hmac.compare_digest(given, wanted.encode()):
                raise TokenInvalid("Metrics are for this machine, or for whoever has the metrics token.")
        return web.Response(body=await services.figures(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)


def add_documents(app: web.Application) -> None:
    """What the APIs look like, in OpenAPI."""
    documents = {dialect.name: document(dialect) for dialect in APIS}

    async def openapi(request: web.Request) -> web.Response:
        found = documents.get(request.match_info["dialect"])
        if found is None:
            raise RouteNotFound(f"The documents here are: {', '.join(documents)}.")
        return json_response(found)

    app.router.add_get("/openapi/{dialect}.json", openapi)


def _is_loopback(remote: str | None) -> bool:
    try:
        return remote is not None and ip_address(remote).is_loopback
    except ValueError:
        return False
