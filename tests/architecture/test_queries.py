"""Every query names the tenant: a row of one tenant is never found by another's question."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.architecture.sources import modules

PACKAGES = ("projections", "adapters/postgres", "adapters/vault", "adapters/cli")
_QUERY = re.compile(r"\s*(select|insert into|update|delete from|with \w+ as|truncate)\b")
_TABLE = re.compile(r"\b(?:from|join|insert into|update|delete from) +(?!unnest|lateral|share|set\b)([a-z_{]\w*[}]?)")
_NAMES_TENANT = {"live"}
"""Functions whose SQL names the tenant."""

OF_NO_TENANT = {
    "projection_generations": "which code feeds a read model: of the whole installation",
    "schema_migrations": "which migrations have run: of the whole database",
    "master_keys": "fingerprints of master keys: of the whole installation",
    "pg_attribute": "PostgreSQL's own catalogue",
}
"""Tables without a tenant, and why; a query that touches nothing else needs none."""

WITHOUT_TENANT = {
    "select * from append_batch(": "the tenants are in its arguments, one per append",
    "select count(*) from data_keys where wrapped_key is not null": "key rotation counts over all tenants at once",
    "update projection_generations g set status = 'dropped'": "asks whether any tenant at all is still served by one",
    "insert into {} ({}) select * from unnest({}) on conflict": "Table puts tenant_id in front of the columns",
    "update {} t set {} from unnest({}) as u({}) where {}": "Table puts tenant_id in front of the key it compares",
    "delete from {} t using (select {} from {} where {} < statement_timestamp()": "what has expired goes in every tenant",
    "delete from {} t using unnest({}) as u({}) where {}": "Table puts tenant_id in front of the key it compares",
}
"""Beginnings of the other queries that do not say it, and why."""


class Texts:
    """The texts of one module, with what its f-strings insert as far as that is written in the same module."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._docstrings = {id(text) for node in ast.walk(tree) if (text := _docstring(node)) is not None}
        self._named: dict[str, ast.expr] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self._named[node.targets[0].id] = node.value

    def queries(self) -> Iterator[str]:
        inner = {id(part) for node in ast.walk(self._tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in inner | self._docstrings:
                text = self.text(node)
                if _QUERY.match(text):
                    yield " ".join(text.split())

    def text(self, node: ast.expr, depth: int = 0) -> str:
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.JoinedStr(values=parts):
                return "".join(self.text(part, depth) for part in parts)
            case ast.FormattedValue(value=value):
                return self.text(value, depth)
            case ast.BinOp(left=left, right=right):
                return self.text(left, depth) + self.text(right, depth)
            case ast.Call(func=ast.Name(id=name)) if name in _NAMES_TENANT:
                return "tenant_id"
            case ast.Call(func=ast.Attribute(value=value, attr="replace")):
                return self.text(value, depth)
            case ast.Name(id=name) if name in self._named and depth < 5:
                return self.text(self._named[name], depth + 1)
            case _:
                return "{}"


def _docstring(node: ast.AST) -> ast.Constant | None:
    body = getattr(node, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        return body[0].value
    return None


def found() -> list[tuple[str, str]]:
    return [(str(path), query) for path, tree in modules(*PACKAGES) for query in Texts(tree).queries()]


def test_there_are_queries_to_look_at() -> None:
    assert len(found()) >= 40


def test_every_query_names_the_tenant_or_a_reason_why_not() -> None:
    homeless = [
        f"{path}: {query}"
        for path, query in found()
        if "tenant_id" not in query
        and not set(_TABLE.findall(query)) <= set(OF_NO_TENANT)
        and not any(query.startswith(known) for known in WITHOUT_TENANT)
    ]
    assert homeless == []


def test_every_exception_is_still_needed() -> None:
    queries = [query for _, query in found() if "tenant_id" not in query]
    assert [known for known in WITHOUT_TENANT if not any(query.startswith(known) for query in queries)] == []
