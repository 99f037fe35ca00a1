"""Requests that nobody thought of: whatever comes, no route answers 500, and refusals keep their shape."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.every_route import Target, complaint, members
from tests.api.raw_http import request_bytes, send_raw
from tests.api_client import Api

TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", " ", "\0", "ada", "github", "../..", "%00", "'; drop table events; --", "{}", "x" * 600, "😀"]
    ),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**80), max_value=2**80),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
HEADERS = st.dictionaries(
    st.sampled_from(["Idempotency-Key", "X-Request-Id", "Content-Type", "Accept", "X-Forwarded-For", "Expect"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
    max_size=3,
)
QUERIES = st.lists(
    st.tuples(st.sampled_from(["appKeys", "pageNumber", "pageSize", "provider", "page", "x"]), TEXTS | st.just("1")),
    max_size=3,
)
MANY = settings(
    max_examples=1500, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@st.composite
def requests(draw: st.DrawFn, every: list[Target]) -> tuple[Target, bytes]:
    """A route, something in its path, and a body that is close to what it takes."""
    target = draw(st.sampled_from(every))
    path = target.path(
        **{name: quote(draw(TEXTS | st.just(good)), safe="") for name, good in target.parameters.items()}
    )
    query = "&".join(f"{name}={quote(value)}" for name, value in draw(QUERIES))
    body = b""
    if target.route.body is not None:
        names = [field.encode_name for field in members(target.route.body)]
        changed = draw(st.dictionaries(st.sampled_from(names) | TEXTS, VALUES, max_size=3))
        kept = {name: value for name, value in target.body().items() if draw(st.booleans()) or name not in changed}
        body = _json({**kept, **changed})
    headers = [f"{name}: {value.strip()}" for name, value in draw(HEADERS).items()]
    return target, request_bytes(target.method, f"{path}?{query}" if query else path, target.token, body, *headers)


def _json(value: Any) -> bytes:
    """As JSON, integers of any size included."""
    match value:
        case dict():
            return b"{" + b",".join(_json(name) + b":" + _json(one) for name, one in value.items()) + b"}"
        case list():
            return b"[" + b",".join(map(_json, value)) + b"]"
        case int() if not isinstance(value, bool):
            return str(value).encode()
        case _:
            return msgspec.json.encode(value)


async def test_no_request_is_answered_with_a_fault(api: Api, every: list[Target]) -> None:
    """Vendors cannot be reached here: 502 is what a request to verify a credential then gets."""
    loop = asyncio.get_running_loop()
    lasting = [target for target in every if not (target.method == "DELETE" and target.route.path.endswith("{id}"))]

    @MANY
    @given(requests(lasting))
    def no_fault(request: tuple[Target, bytes]) -> None:
        target, sent = request
        answer = asyncio.run_coroutine_threadsafe(send_raw(api.client, sent), loop).result(30)
        if answer.status >= 400 and answer.status != 502:
            wrong = complaint(target.dialect, answer.status, answer.header("Content-Type") or "", answer.body)
            assert not wrong, (str(target), wrong, sent, answer.body[:300])

    await asyncio.to_thread(no_fault)
    assert (await api.call("GET", "/readyz")).status == 200
