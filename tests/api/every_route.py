"""Every declared route with a request made for it: what is declared anew is tested without a word."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec

from adapters.cli.quickstart import Plan
from adapters.http.dialects import CONNECT, DIALECTS, GRANTS, MONKEDO, Dialect
from adapters.http.problems import BadRequest
from adapters.http.routes import Route

_PARAMETER = re.compile(r"\{(\w+)\}")
UNKNOWN_ID = "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0fa1b2"
GOOD = {
    "webhook_url": "https://shop.example/hooks",
    "logo_url": None,
    "allowed_origins": ["https://shop.example"],
    "app_key": "github",
    "appKey": "github",
    "connectionFields": {"accessToken": "x"},
    "connection_fields": {"accessToken": "x"},
    "auth_type": None,
    "userId": None,
    "expiresAt": None,
    "verify": False,
    "since": "2026-01-31T08:00:00Z",
}
"""Members whose type alone does not say what fits. A new member that needs more than its type belongs here."""


class Runtime(msgspec.Struct, frozen=True):
    """A customer with a connection to github, and an instance that was granted it."""

    customer_id: str
    connection_id: str
    instance_id: str
    proxy_key: str
    grant_id: str


class Target(msgspec.Struct, frozen=True):
    """A route as one caller may use it. ``parameters`` fill its path, ``token`` opens it."""

    dialect: Dialect
    route: Route
    token: str
    parameters: Mapping[str, str]

    @property
    def method(self) -> str:
        return self.route.method

    def path(self, **instead: str) -> str:
        return _PARAMETER.sub(lambda found: {**self.parameters, **instead}[found[1]], self.route.path)

    @property
    def unreadable(self) -> int:
        """The status with which its dialect refuses what it cannot read."""
        return self.dialect.render(BadRequest()).status

    def body(self) -> dict[str, Any]:
        """A body with every declared member, of the right types."""
        return sample_object(self.route.body)

    def __str__(self) -> str:
        return f"{self.method} {self.route.path}"


def targets(plan: Plan, session: str, runtime: Runtime) -> list[Target]:
    """All routes of all dialects, opened with the quickstart project's keys, and those of runtimes with a proxy key."""
    return [
        Target(
            dialect, route, _token(dialect, route, plan, session, runtime), _parameters(dialect, route, plan, runtime)
        )
        for dialect in DIALECTS
        for route in dialect.routes
    ]


def _token(dialect: Dialect, route: Route, plan: Plan, session: str, runtime: Runtime) -> str:
    if is_for_runtimes(route):
        return runtime.proxy_key
    if dialect in (MONKEDO, GRANTS):
        return plan.project_token
    return session if "/User/" in route.path else plan.api_key


def is_for_runtimes(route: Route) -> bool:
    return route.path.startswith("/internal/")


def _parameters(dialect: Dialect, route: Route, plan: Plan, runtime: Runtime) -> dict[str, str]:
    own = plan.company_id if "/ChangeCompany/" in route.path else plan.project_id
    known = {
        "id": "1" if route.path.endswith("/User/{id}/Companies") else str(own),
        "projectId": str(plan.project_id),
        "appKey": "github",
        "app_key": "github",
        "userId": "ada",
        "user_id": "ada",
    }
    known |= msgspec.structs.asdict(runtime) if dialect is GRANTS else {}
    return {name: known.get(name, UNKNOWN_ID) for name in _PARAMETER.findall(route.path)}


def members(kind: Any) -> Iterator[msgspec.inspect.Field]:
    """The members that a body declares."""
    described = msgspec.inspect.type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType)
    yield from described.fields


def sample_object(kind: Any) -> dict[str, Any]:
    return {field.encode_name: _sample_of(field) for field in msgspec.structs.fields(kind)}


def _sample_of(field: msgspec.structs.FieldInfo) -> Any:
    good = GOOD.get(field.encode_name, ...)
    try:
        return msgspec.to_builtins(msgspec.convert(good, field.type))
    except msgspec.ValidationError:  # a member of the same name elsewhere
        return sample(msgspec.inspect.type_info(field.type))


def sample(kind: msgspec.inspect.Type) -> Any:
    """The smallest JSON value of the type."""
    match kind:
        case msgspec.inspect.StrType():
            return "x" * max(1, kind.min_length or 1)
        case msgspec.inspect.LiteralType():
            return kind.values[0]
        case msgspec.inspect.BoolType():
            return False
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return kind.ge or 0
        case msgspec.inspect.ListType():
            return []
        case msgspec.inspect.DictType():
            return {}
        case msgspec.inspect.UnionType():
            return None if kind.includes_none else sample(kind.types[0])
        case msgspec.inspect.UUIDType():
            return str(UUID(UNKNOWN_ID))
        case _:
            raise TypeError(f"say here what a {type(kind).__name__} looks like")


def misfits(kind: msgspec.inspect.Type) -> list[Any]:
    """JSON values of other types than this one."""
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    taken = {_json_type(one) for one in kinds}
    values = {"string": "x", "number": 7, "boolean": True, "null": None, "array": [[]], "object": {"x": {"y": []}}}
    return [value for name, value in values.items() if name not in taken]


def _json_type(kind: msgspec.inspect.Type) -> str:
    match kind:
        case msgspec.inspect.StrType() | msgspec.inspect.UUIDType() | msgspec.inspect.DateTimeType():
            return "string"
        case msgspec.inspect.LiteralType():
            return "string"
        case msgspec.inspect.BoolType():
            return "boolean"
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return "number"
        case msgspec.inspect.ListType():
            return "array"
        case msgspec.inspect.DictType() | msgspec.inspect.StructType():
            return "object"
        case msgspec.inspect.NoneType():
            return "null"
        case _:
            raise TypeError(f"say here what a {type(kind).__name__} is in JSON")


def complaint(dialect: Dialect, status: int, content_type: str, body: bytes) -> str:
    """What is wrong with the shape of a refusal; empty when it is its dialect's own."""
    if status >= 500:
        return f"answered {status}"
    if dialect is CONNECT:
        is_page = content_type.startswith("text/html") and (b"<main" in body or not body)
        return "" if is_page else f"answered {status} as {content_type}, not as a page"
    if dialect in (MONKEDO, GRANTS):
        try:
            said = msgspec.json.decode(body)
        except msgspec.DecodeError:
            return f"answered {status} without JSON"
        if dialect is GRANTS:
            return "" if _is_detail(said, status) else f"answered {status} in another shape"
        fits = isinstance(said, dict) and set(said) == {"code", "name", "message"} and isinstance(said["code"], int)
        return "" if fits and said["message"] and said["name"] else f"answered {status} in another shape"
    if not content_type.startswith("text/plain"):
        return f"answered {status} as {content_type}"
    return "" if body and not body.lstrip().startswith((b"{", b"<")) else f"answered {status} in another shape"


def _is_detail(said: Any, status: int) -> bool:
    """{"detail": "text"}, or for 422 a list of what is wrong where."""
    if not isinstance(said, dict) or set(said) != {"detail"}:
        return False
    if status != 422:
        return isinstance(said["detail"], str) and said["detail"] != ""
    return bool(said["detail"]) and all(
        set(one) == {"loc", "msg", "type"} and one["loc"] and one["msg"] and one["type"] for one in said["detail"]
    )
