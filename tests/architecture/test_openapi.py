"""The OpenAPI documents: of the published form, complete, and as the routes behave."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
import pytest

from adapters.http.dialects import APIS, Dialect
from adapters.http.openapi import document
from adapters.http.problems import BadRequest
from adapters.http.routes import Route


class Closed(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """An object of the OpenAPI 3.1 specification, with the members that we use."""


class Info(Closed):
    title: str
    version: str


class Parameter(Closed):
    name: str
    place: Literal["path", "query", "header"] = msgspec.field(name="in")
    schema: dict[str, Any]
    required: bool = False
    description: str = ""
    style: Literal["form"] | None = None
    explode: bool | None = None


class Media(Closed):
    schema: dict[str, Any]


class Content(Closed):
    content: dict[Literal["application/json"], Media]


class Response(Closed):
    description: str
    content: dict[Literal["application/json"], Media] = {}


class Operation(Closed):
    summary: str
    responses: dict[str, Response]
    parameters: list[Parameter] = []
    request_body: Content | None = None
    security: list[dict[str, list[str]]] | None = None


class SecurityScheme(Closed):
    type: Literal["http"]
    scheme: Literal["bearer"]


class Components(Closed):
    schemas: dict[str, dict[str, Any]]
    security_schemes: dict[str, SecurityScheme]


class Document(Closed):
    openapi: Literal["3.1.0"]
    info: Info
    paths: dict[str, dict[Literal["get", "put", "post", "delete", "patch"], Operation]]
    components: Components
    security: list[dict[str, list[str]]]


TYPES = {"string", "number", "integer", "boolean", "null", "array", "object"}
PARSED = {dialect.name: msgspec.convert(document(dialect), Document) for dialect in APIS}
EVERY = [(dialect, route) for dialect in APIS for route in dialect.routes]
each_route = pytest.mark.parametrize(
    ("dialect", "route"), EVERY, ids=[f"{route.method} {route.path}" for _, route in EVERY]
)


def operation(dialect: Dialect, route: Route) -> Operation:
    return PARSED[dialect.name].paths[route.path][route.method.lower()]  # type: ignore[index]


def schemas(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "$ref" in value or "type" in value or "anyOf" in value:
            yield value
        for inner in value.values():
            yield from schemas(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from schemas(inner)


@pytest.mark.parametrize("dialect", APIS, ids=lambda dialect: dialect.name)
def test_every_reference_leads_somewhere_and_every_type_is_one(dialect: Dialect) -> None:
    whole = document(dialect)
    seen = list(schemas(whole["paths"])) + list(schemas(whole["components"]["schemas"]))
    for schema in seen:
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/components/schemas/")
            assert name in whole["components"]["schemas"]
        elif isinstance(schema.get("type"), str) and "scheme" not in schema:
            assert schema["type"] in TYPES or isinstance(schema.get("properties"), dict)
    assert msgspec.json.decode(msgspec.json.encode(whole)) == whole


@pytest.mark.parametrize("dialect", APIS, ids=lambda dialect: dialect.name)
def test_the_security_schemes_that_are_asked_for_are_there(dialect: Dialect) -> None:
    parsed = PARSED[dialect.name]
    asked = [
        *parsed.security,
        *(one for path in parsed.paths.values() for op in path.values() for one in op.security or []),
    ]
    assert {name for one in asked for name in one} == set(parsed.components.security_schemes)


@each_route
def test_a_route_has_its_answer_and_refusals_in_the_document(dialect: Dialect, route: Route) -> None:
    said = operation(dialect, route).responses
    success = said[str(route.status)]
    assert bool(success.content) == (route.answer is not None)
    for refusal in route.refusals:
        status = str(dialect.render(refusal()).status)
        assert (refusal.__doc__ or "").splitlines()[0] in said[status].description


@each_route
def test_a_route_has_its_parameters_and_body_in_the_document(dialect: Dialect, route: Route) -> None:
    said = operation(dialect, route)
    by_place = {place: [p for p in said.parameters if p.place == place] for place in ("path", "query", "header")}
    assert [p.name for p in by_place["path"]] == re.findall(r"\{(\w+)\}", route.path)
    assert all(p.required for p in by_place["path"])
    declared = msgspec.structs.fields(route.query) if route.query is not None else ()
    assert {p.name: p.required for p in by_place["query"]} == {f.encode_name: f.required for f in declared}
    assert (said.request_body is not None) == (route.body is not None)
    if route.body is not None:
        assert "413" in said.responses


@each_route
def test_a_route_that_needs_a_token_says_401_and_one_that_does_not_says_so(dialect: Dialect, route: Route) -> None:
    said = operation(dialect, route)
    assert "401" in said.responses
    assert (said.security == []) == (not route.needs_token)


@each_route
def test_a_route_says_what_it_cannot_read_wherever_there_is_something_to_read(dialect: Dialect, route: Route) -> None:
    reads = route.body is not None or route.query is not None or route.headers != () or "{" in route.path
    status = str(dialect.render(BadRequest()).status)
    assert (status in operation(dialect, route).responses) == reads


@each_route
def test_a_route_has_the_headers_in_the_document_that_may_say_who_asks(dialect: Dialect, route: Route) -> None:
    said = [p.name for p in operation(dialect, route).parameters if p.place == "header" and not p.required]
    assert [name for name in said if name != "Idempotency-Key"] == list(route.headers)


def test_no_two_declarations_are_for_the_same_requests() -> None:
    declared = [(route.method, re.sub(r"\{\w+\}", "{}", route.path)) for _, route in EVERY]
    assert len(set(declared)) == len(declared)


def test_every_path_belongs_to_the_dialect_that_declares_it() -> None:
    for dialect, route in EVERY:
        assert any(f"{route.path}/".startswith(f"{prefix}/") for prefix in dialect.prefixes), route.path
