"""A route, declared once: method, path, query, body, answer and refusals; what serves it and what documents it read this."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Hashable
from functools import cache
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from aiohttp import web

from adapters.http.bodies import check_text, raw_body, read_body
from adapters.http.problems import BadRequest
from domain.deciding import Caller, Idempotency
from domain.errors import Refusal

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
TENANT: web.RequestKey[str] = web.RequestKey("tenant", str)
LONGEST_SEGMENT = 512
"""Characters of a path parameter, and so of an end user's external id."""

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_encode = msgspec.json.Encoder().encode


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """``handler`` takes (services, call) and answers a value of type ``answer``; None as ``answer``: an empty body.
    It may answer a web.Response of its own where headers or the status depend on the request. ``headers`` are those that may
    say who asks beside Authorization.
    """

    method: str
    path: str
    handler: Callable[[Any, Call], Awaitable[Any]]
    summary: str
    status: int = 200
    query: type[Any] | None = None
    body: type[Any] | None = None
    answer: Any = None
    refusals: tuple[type[Refusal], ...] = ()
    headers: tuple[str, ...] = ()
    needs_token: bool = True

    @property
    def may_be_repeated(self) -> bool:
        """Whether an Idempotency-Key changes anything."""
        return self.needs_token and self.method in ("POST", "PUT", "DELETE")


@cache
def _query_members(kind: Hashable) -> dict[str, bool]:
    """The members that a query declares; True for those that take a list."""
    described = msgspec.inspect.type_info(kind)
    if not isinstance(described, msgspec.inspect.StructType):
        raise TypeError(f"a query is declared as a struct, not as {kind}")
    return {field.encode_name: _is_list(field.type) for field in described.fields}


def _is_list(kind: msgspec.inspect.Type) -> bool:
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    return any(isinstance(one, msgspec.inspect.ListType) for one in kinds)


class Call:
    """One request on its way through a handler. The handler decides when query and body are looked at: after it knows
    who asks.
    """

    __slots__ = ("request", "route")

    def __init__(self, request: web.Request, route: Route) -> None:
        self.request = request
        self.route = route

    def segment(self, name: str) -> str:
        """A decoded part of the path; BadRequest when it cannot be stored."""
        self._check_escapes()
        return check_text(self.request.match_info[name], f'The path\'s "{name}"', LONGEST_SEGMENT)

    def query(self) -> Any:
        """The query as the route's declared struct. A list's items may stand in one member, separated by commas, or in
        several; anything else comes once.
        """
        self._check_escapes()
        if self.route.query is None:
            raise TypeError(f"{self.route.path} declares no query")
        declared = _query_members(self.route.query)  # type: ignore[arg-type]
        given: dict[str, Any] = {}
        for name, value in self.request.query.items():
            check_text(value, f'The query\'s "{name}"')
            is_list = declared.get(name)
            if is_list:
                given.setdefault(name, []).extend(item for part in value.split(",") if (item := part.strip()))
            elif is_list is not None and name in given:
                raise BadRequest(f'The query has "{name}" twice.')
            else:
                given[name] = value
        try:
            return msgspec.convert(given, self.route.query, strict=False)
        except msgspec.ValidationError as error:
            raise BadRequest(f"The query does not fit: {error}.") from None

    def _check_escapes(self) -> None:
        """BadRequest for percent-encoding that is broken or is not UTF-8: two such paths could read the same."""
        target = self.request.raw_path
        if "%" not in target:
            return
        try:
            unquote_to_bytes(target).decode()
            is_broken = _BROKEN_ESCAPE.search(target) is not None
        except UnicodeError:
            is_broken = True
        if is_broken:
            raise BadRequest("The address is not percent-encoded UTF-8.")

    async def body(self) -> Any:
        """The body as the route's declared struct."""
        if self.route.body is None:
            raise TypeError(f"{self.route.path} declares no body")
        return await read_body(self.request, self.route.body)

    async def caller(self, actor: str) -> Caller:
        """Who asks, with the Idempotency-Key if there is one."""
        self.request[TENANT] = self.request.get(TENANT, "")
        request_id = self.request[REQUEST_ID]
        key = self.request.headers.get("Idempotency-Key")
        if key is None:
            return Caller(actor, request_id)
        if not _KEY.fullmatch(key):
            raise BadRequest("The Idempotency-Key must be 1 to 255 visible ASCII characters.")
        said = f"{self.request.method} {self.request.path_qs}\n".encode() + await raw_body(self.request)
        return Caller(actor, request_id, idempotency=Idempotency(key, said))


def bind(route: Route, services: Any) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of a route."""
    handler, status, is_empty = route.handler, route.status, route.answer is None

    async def serve(request: web.Request) -> web.StreamResponse:
        answer = await handler(services, Call(request, route))
        if isinstance(answer, web.StreamResponse):
            return answer
        if is_empty:
            return web.Response(status=status)
        return web.Response(body=_encode(answer), status=status, content_type="application/json")

    return serve


def json_response(answer: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=_encode(answer), status=status, headers=headers, content_type="application/json")
