"""Paths, queries, ids, tokens and methods that are wrong, on every route."""

from __future__ import annotations

import re

import msgspec

from adapters.http.dialects import DIALECTS, GRANTS, dialect_of
from adapters.postgres.pool import Pool
from tests.api.every_route import UNKNOWN_ID, Target, complaint, members
from tests.api.raw_http import request_bytes, send_raw
from tests.api.refused import Refused
from tests.api.staging import stored
from tests.api_client import Api

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
FROM_PROVIDERS = ("state", "code", "error", "iss", "oauth_token", "oauth_verifier")
EMPTY: dict[str, tuple[str, ...]] = {"search": (), **dict.fromkeys(FROM_PROVIDERS, ())}
"""Members of a query that may be empty."""

WRONG_SEGMENTS = ("%00", "a%00b", "%FF", "%C0%AF", "%ED%A0%80", "%", "%zz", "%e2%82", "x" * 600, "%F0%9F%98%80" * 513)


async def test_a_path_or_query_that_cannot_be_read_is_refused(api: Api, every: list[Target], pool: Pool) -> None:
    before, refused = await stored(pool), Refused(api)
    for target in every:
        body = msgspec.json.encode(target.body()) if target.route.body is not None else b""
        for name in target.parameters:
            for segment in WRONG_SEGMENTS:
                await refused.send(target, (400, 404), target.path(**{name: segment}), body)
        if target.route.query is not None:
            names = [field.encode_name for field in members(target.route.query)]
            for name in names:
                for value in ("%00", "%FF", "%ED%A0%80", "%", *EMPTY.get(name, ("",))):
                    await refused.send(target, 400, f"{target.path()}?{name}={value}")
            await refused.send(target, 400, f"{target.path()}?{names[0]}=1&other=%00")
    assert refused.complaints == []
    assert await stored(pool) == before


async def test_a_malformed_id_is_not_found_or_not_read(api: Api, every: list[Target], pool: Pool) -> None:
    before, refused = await stored(pool), Refused(api)
    for target in every:
        for name in target.parameters:
            if name.lower().endswith("id") and name not in ("userId", "user_id"):
                for one in ("nonsense", "1" * 36, "0", "{id}", f"urn:uuid:{UNKNOWN_ID}"):
                    query = "?provider=github" if target.dialect is GRANTS else ""
                    wanted = 400 if target.dialect is GRANTS else 404
                    await refused.send(target, wanted, target.path(**{name: one}) + query)
    assert refused.complaints == []
    assert await stored(pool) == before


async def test_a_wrong_token_is_refused_before_anything_is_read(api: Api, every: list[Target], pool: Pool) -> None:
    before, refused = await stored(pool), Refused(api)
    for target in every:
        if target.route.needs_token:
            for token in ("", "nonsense", "cwp_" + "A" * 64, "cwk_" + "A" * 64, "cws_" + "\xff" * 64):
                wrong = msgspec.structs.replace(target, token=token)
                await refused.send(wrong, 401, target.path(), b"{" if target.route.body else b"")
    assert refused.complaints == []
    assert await stored(pool) == before


async def test_a_method_that_a_path_does_not_take_is_405_and_says_which_it_takes(
    api: Api, every: list[Target], pool: Pool
) -> None:
    before, complaints = await stored(pool), []
    for path in sorted({target.path() for target in every}):
        allowed = _methods_at(path, every)
        for method in sorted(set(METHODS) - allowed - {"HEAD"}):
            answer = await send_raw(api.client, request_bytes(method, path, "any"))
            wrong = complaint(dialect_of(path), answer.status, answer.header("Content-Type") or "", answer.body)
            said = set((answer.header("Allow") or "").split(", "))
            if answer.status != 405 or said != allowed or wrong:
                complaints.append(f"{method} {path}: {answer.status} {wrong} Allow: {sorted(said)}")
    assert complaints == []
    assert await stored(pool) == before


def _methods_at(path: str, every: list[Target]) -> set[str]:
    """What the declarations say of a path, which may fit several of them."""
    found = {
        target.method
        for target in every
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", target.route.path), path) is not None
    }
    return found | ({"HEAD"} if "GET" in found else set())


async def test_head_answers_as_get_does_without_the_body(api: Api, every: list[Target]) -> None:
    for target in every:
        if target.method == "GET":
            path = f"{target.path()}?appKeys=github&provider=github"
            whole = await send_raw(api.client, request_bytes("GET", path, target.token))
            head = await send_raw(api.client, request_bytes("HEAD", path, target.token))
            assert (head.status, head.body) == (whole.status, b""), str(target)
            assert head.header("Content-Type") == whole.header("Content-Type")


async def test_an_unknown_path_is_404_in_the_shape_of_its_prefix(api: Api, every: list[Target]) -> None:
    complaints = []
    for dialect in DIALECTS:
        for prefix in dialect.prefixes:
            paths = (prefix, f"{prefix}/", f"{prefix}/nowhere", f"{prefix}/v9/Project", f"{prefix}/%FF/%00/%FF/%00")
            for path in (path for path in paths if not _methods_at(path, every)):
                for method in METHODS[:1] + METHODS[2:]:
                    answer = await send_raw(api.client, request_bytes(method, path, "any", b"{"))
                    kind = answer.header("Content-Type") or ""
                    wrong = complaint(dialect, answer.status, kind, answer.body)
                    if answer.status != 404 or wrong:
                        complaints.append(f"{method} {path}: {answer.status} {wrong}")
    assert complaints == []


async def test_what_is_under_no_prefix_is_404_in_plain_text(api: Api) -> None:
    for path in ("/", "/nowhere", "/apis", "/api/v1/ipaasx", "/ssox", "/.env", "//", "/openapi/nothing.json"):
        answer = await send_raw(api.client, request_bytes("GET", path, "any"))
        assert answer.status == 404, path
        assert (answer.header("Content-Type") or "").startswith("text/plain")


async def test_a_body_where_none_is_expected_does_not_matter(api: Api, every: list[Target]) -> None:
    for target in every:
        if target.route.body is None:
            path = target.path(**dict.fromkeys(target.parameters, UNKNOWN_ID))
            plain = await send_raw(api.client, request_bytes(target.method, path, target.token))
            with_body = await send_raw(api.client, request_bytes(target.method, path, target.token, b"\xff{" * 1000))
            assert (with_body.status, with_body.body) == (plain.status, plain.body), str(target)
