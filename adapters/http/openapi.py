"""OpenAPI 3.1 documents, made from the routes' own declarations."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from adapters.http.dialects import Dialect
from adapters.http.problems import status_of
from adapters.http.routes import Route

_PARAMETER = re.compile(r"\{(\w+)\}")


def document(dialect: Dialect) -> dict[str, Any]:
    kinds = [kind for route in dialect.routes for kind in (route.body, route.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    found = iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for route in dialect.routes:
        body = next(found) if route.body is not None else None
        answer = next(found) if route.answer is not None else None
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, body, answer)
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


def _operation(route: Route, body: Any, answer: Any) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        schema = msgspec.json.schema(route.query)["$defs"][route.query.__name__]
        parameters += [
            {"name": name, "in": "query", "required": name in schema.get("required", []), "schema": kind}
            for name, kind in schema["properties"].items()
        ]
    success: dict[str, Any] = {"description": "Done"}
    if answer is not None:
        success["content"] = {"application/json": {"schema": answer}}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "parameters": parameters,
        "responses": {str(route.status): success, **_refusals(route)},
    }
    if body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return operation


def _refusals(route: Route) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {}
    for refusal in route.refusals:
        said = (refusal.__doc__ or "").strip().splitlines()[0]
        by_status.setdefault(str(status_of(refusal())), []).append(said)
    return {status: {"description": " ".join(said)} for status, said in sorted(by_status.items())}
