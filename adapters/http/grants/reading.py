"""Reading a request: as everywhere, and when it does not fit, all that is wrong with it at once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from adapters.http.bodies import raw_body
from adapters.http.grants.misfits import malformed, misfits
from adapters.http.grants.problems import Problem, Unprocessable
from adapters.http.problems import BadRequest
from adapters.http.routes import Call
from domain.deciding import Caller
from domain.ids import parse_id


async def body(call: Call) -> Any:
    """The body as the route's declared struct, or Unprocessable."""
    try:
        return await call.body()
    except BadRequest as refused:
        raise Unprocessable(refused.message, await _wrong_body(call, refused)) from None


async def _wrong_body(call: Call, refused: BadRequest) -> tuple[Problem, ...]:
    anything = (Problem(("body",), refused.message),)
    try:
        raw = await raw_body(call.request)
        given = msgspec.json.decode(raw.decode()) if raw.strip() else None
    except (BadRequest, RecursionError):
        return anything
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return (malformed(error),)
    if not raw.strip():
        return (Problem(("body",), "Field required", "missing"),)
    if not isinstance(given, dict):
        return (Problem(("body",), "Input should be a valid dictionary", "model_attributes_type"),)
    return misfits(given, call.route.body, "body") or anything  # type: ignore[arg-type]


def query(call: Call) -> Any:
    """The query as the route's declared struct, or Unprocessable."""
    try:
        return call.query()
    except BadRequest as refused:
        given = dict(call.request.query)
        wrong = misfits(given, call.route.query, "query") or (  # type: ignore[arg-type]
            Problem(("query",), refused.message),
        )
        raise Unprocessable(refused.message, wrong) from None


def path_id(call: Call, name: str) -> UUID:
    """An id of the path, or Unprocessable."""
    found = parse_id(call.request.match_info[name])
    if found is None:
        raise Unprocessable(problems=(Problem(("path", name), "Input should be a valid UUID", "uuid_parsing"),))
    return found


async def caller(call: Call, actor: str) -> Caller:
    """Who asks, with the Idempotency-Key if there is one that fits."""
    try:
        return await call.caller(actor)
    except BadRequest as refused:
        raise Unprocessable(refused.message, (Problem(("header", "idempotency-key"), refused.message),)) from None
