"""Around every request: its id, its refusal or fault worded by its dialect, one log line, and the metrics."""

from __future__ import annotations

import re
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable
from itertools import count

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware
from prometheus_client import CollectorRegistry, Counter, Histogram

from adapters.http.away import AwayLog
from adapters.http.dialects import dialect_of
from adapters.http.problems import DatabaseAway, refusal_of
from adapters.http.routes import REQUEST_ID, TENANT
from domain.errors import Refusal
from domain.ports import StorageAway

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Observer:
    """The one middleware."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._prefix = f"{secrets.token_hex(6)}-"
        self._numbers = count(1)
        self._log = structlog.get_logger("http")
        self._away = AwayLog()
        labels = ("route", "method", "status")
        self._requests = Counter("causeway_http_requests", "Requests answered", labels, registry=registry)
        self._seconds = Histogram(
            "causeway_http_request_seconds", "Time to answer", ("route",), registry=registry, buckets=_BUCKETS
        )
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def middleware(self) -> Middleware:
        @web.middleware
        async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
            started = time.perf_counter()
            given = request.headers.get("X-Request-Id")
            request_id = given if given and _REQUEST_ID.fullmatch(given) else f"{self._prefix}{next(self._numbers):x}"
            request[REQUEST_ID] = request_id
            code = ""
            try:
                response = await handler(request)
            except Refusal as refusal:
                code = refusal.code
                response = dialect_of(request.path).render(refusal)
            except web.HTTPException as error:
                refused = refusal_of(error)
                code = refused.code
                response = dialect_of(request.path).render(refused)
                if hasattr(error, "allowed_methods"):
                    response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
            except StorageAway as error:
                code = DatabaseAway.code
                response = dialect_of(request.path).render(DatabaseAway())
                response.headers["Retry-After"] = "1"
                self._away.note(str(error))
            except Exception as error:
                self._log.error("fault", request_id=request_id, error=type(error).__name__, where=_where(error))
                response = dialect_of(request.path).render_fault(request_id)
            if not response.prepared:
                response.headers["X-Request-Id"] = request_id
                if response.status == 401:
                    response.headers["WWW-Authenticate"] = "Bearer"
            self._note(request, response.status, code, time.perf_counter() - started)
            return response

        return observe

    def _note(self, request: web.Request, status: int, code: str, seconds: float) -> None:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unknown"
        counter = self._counters.get((route, request.method, status))
        if counter is None:
            counter = self._requests.labels(route, request.method, str(status))
            self._counters[route, request.method, status] = counter
        counter.inc()
        timer = self._timers.get(route)
        if timer is None:
            timer = self._timers[route] = self._seconds.labels(route)
        timer.observe(seconds)
        self._log.info(
            "request",
            request_id=request[REQUEST_ID],
            method=request.method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            tenant=request.get(TENANT, ""),
            **({"code": code} if code else {}),
        )


def _where(error: BaseException) -> list[str]:
    """The frames of a fault, innermost last. Messages are left out: they may repeat what callers sent."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-8:]]
