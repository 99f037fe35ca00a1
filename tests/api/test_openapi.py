"""The documents as they are served, and answers held against them."""

from __future__ import annotations

from typing import Any

import msgspec

from adapters.http.dialects import APIS
from adapters.http.openapi import document
from tests.api.every_route import Target
from tests.api_client import Api


async def test_every_dialect_serves_its_document_to_anybody(api: Api) -> None:
    for dialect in APIS:
        answer = await api.call("GET", f"/openapi/{dialect.name}.json")
        assert answer.status == 200
        assert answer.json == document(dialect)


async def test_what_a_route_answers_is_what_it_declares(api: Api, every: list[Target]) -> None:
    await api.connect("ada")
    checked = 0
    for target in every:
        if target.method == "GET":
            query = "?appKeys=github&provider=github"
            answer = await api.call("GET", target.path() + query, token=target.token)
            if answer.status == 200:
                msgspec.json.decode(answer.text, type=target.route.answer)
                said = document(target.dialect)
                success = said["paths"][target.route.path]["get"]["responses"]["200"]
                schema = success["content"]["application/json"]["schema"]
                assert undeclared(answer.json, schema, said["components"]["schemas"]) == [], str(target)
                checked += 1
    assert checked >= 12


def undeclared(value: Any, schema: dict[str, Any], named: dict[str, Any], path: str = "") -> list[str]:
    """Members of the answer that the document does not know."""
    if "$ref" in schema:
        return undeclared(value, named[schema["$ref"].rpartition("/")[2]], named, path)
    if "anyOf" in schema:
        return min((undeclared(value, one, named, path) for one in schema["anyOf"]), key=len)
    match value:
        case dict():
            known, others = schema.get("properties", {}), schema.get("additionalProperties")
            found = []
            for name, inner in value.items():
                if name in known or isinstance(others, dict):
                    found += undeclared(inner, known.get(name, others), named, f"{path}.{name}")
                elif known:
                    found.append(f"{path}.{name}")
            return found
        case list():
            return [one for inner in value for one in undeclared(inner, schema.get("items", {}), named, f"{path}[]")]
        case _:
            return []
