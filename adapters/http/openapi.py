"""OpenAPI 3.1 documents, made from the routes' own declarations."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from adapters.http.dialects import Dialect
from adapters.http.problems import BadRequest, BodyTooLarge
from adapters.http.routes import Route
from domain.errors import IdempotencyKeyReused

_PARAMETER = re.compile(r"\{(\w+)\}")
_LISTED = {"style": "form", "explode": False}
"""A list's items stand in one member, separated by commas."""
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same request gives the first answer again for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def document(dialect: Dialect) -> dict[str, Any]:
    kinds = [kind for route in dialect.routes for kind in (route.body, route.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    found = iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for route in dialect.routes:
        body = next(found) if route.body is not None else None
        answer = next(found) if route.answer is not None else None
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(dialect, route, body, answer)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Causeway: {dialect.title}", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(dialect: Dialect, route: Route, body: Any, answer: Any) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done"}
    if answer is not None:
        success["content"] = {"application/json": {"schema": answer}}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": {str(route.status): success, **_refusals(dialect, route)},
    }
    if body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    if not route.needs_token:
        operation["security"] = []
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        schema = msgspec.json.schema(route.query)["$defs"][route.query.__name__]
        parameters += [
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", []),
                "schema": kind,
                **(_LISTED if kind.get("type") == "array" else {}),
            }
            for name, kind in schema["properties"].items()
        ]
    parameters += [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}} for name in route.headers
    ]
    return [*parameters, _IDEMPOTENCY_KEY] if route.may_be_repeated else parameters


def _refusals(dialect: Dialect, route: Route) -> dict[str, Any]:
    """By status, as the dialect words them; what any route of its kind may say needs no declaration."""
    declared = list(route.refusals)
    if route.body is not None:
        declared.append(BodyTooLarge)
    reads = route.body is not None or route.query is not None or "{" in route.path
    if reads and BadRequest not in declared:
        declared.append(BadRequest)
    if route.may_be_repeated:
        declared.append(IdempotencyKeyReused)
    by_status: dict[str, list[str]] = {}
    for refusal in declared:
        said = (refusal.__doc__ or "").strip().splitlines()[0]
        by_status.setdefault(str(dialect.render(refusal()).status), []).append(said)
    return {status: {"description": " ".join(said)} for status, said in sorted(by_status.items())}
