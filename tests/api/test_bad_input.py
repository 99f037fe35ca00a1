"""Wrong bodies on every route: a clear refusal in the dialect's own shape, nothing stored, never a 500."""

from __future__ import annotations

import gzip

import msgspec

from adapters.http.server import LARGEST_BODY
from adapters.postgres.pool import Pool
from tests.api.every_route import Target, members, misfits
from tests.api.refused import Refused
from tests.api.staging import stored
from tests.api_client import Api

DEEP = 100_000


def object_with(target: Target, member: str) -> bytes:
    """The body of the target and one more member, as raw JSON."""
    return msgspec.json.encode(target.body())[:-1] + b"," + member.encode("utf-8", "surrogatepass") + b"}"


def wrong_documents(target: Target) -> list[bytes]:
    """What is not JSON, or cannot be stored, or is nested beyond reason."""
    good = msgspec.json.encode(target.body())
    return [
        b"{",
        good + b"x",
        good[:-1],
        b"'x'",
        b"\xff\xfe",
        b"\xef\xbb\xbf" + good,
        good.decode().encode("utf-16"),
        b"null",
        b"7",
        b'"text"',
        b"[" + good + b"]",
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        object_with(target, '"more":' + "[" * DEEP + "]" * DEEP),
        object_with(target, '"more":"\\u0000"'),
        object_with(target, '"\\u0000":1'),
        object_with(target, '"more":"\0"'),
        object_with(target, '"more":"\\ud800"'),
        object_with(target, '"more":"\\udc00\\ud800"'),
        object_with(target, '"more":"\ud800"'),
        object_with(target, '"more":"') + b'\xff"}',
        object_with(target, '"more":18446744073709551616'),
        object_with(target, '"more":-9223372036854775809'),
        object_with(target, '"more":[{"deep":99999999999999999999}]'),
        object_with(target, '"more":' + "9" * 5000),
        object_with(target, '"more":NaN'),
        object_with(target, '"more":-Infinity'),
        object_with(target, '"more":01'),
    ]


async def test_a_body_that_is_wrong_json_or_cannot_be_stored_is_400(api: Api, every: list[Target], pool: Pool) -> None:
    before, refused = await stored(pool), Refused(api)
    for target in every:
        if target.route.body is not None:
            for body in wrong_documents(target):
                await refused.send(target, 400, target.path(), body)
    assert refused.complaints == []
    assert await stored(pool) == before


async def test_an_empty_body_is_400(api: Api, every: list[Target], pool: Pool) -> None:
    before, refused = await stored(pool), Refused(api)
    for target in every:
        if target.route.body is not None:
            await refused.send(target, 400, target.path())
            await refused.send(target, 400, target.path(), b" \n\t")
            await refused.send(target, 400, target.path(), b"0\r\n\r\n", "Transfer-Encoding: chunked")
    assert refused.complaints == []
    assert await stored(pool) == before


async def test_a_member_of_another_type_is_400(api: Api, every: list[Target], pool: Pool) -> None:
    before, refused = await stored(pool), Refused(api)
    for target in every:
        if target.route.body is None:
            continue
        for field in members(target.route.body):
            for value in misfits(field.type):
                body = msgspec.json.encode({**target.body(), field.encode_name: value})
                await refused.send(target, 400, target.path(), body)
            for number in ("1e400", "-1e400", "9" * 30, "NaN", "1" * 400 + ".5"):
                body = object_with(target, f'"{field.encode_name}":{number}')
                await refused.send(target, 400, target.path(), body)
    assert refused.complaints == []
    assert await stored(pool) == before


async def test_a_required_member_that_is_missing_is_400(api: Api, every: list[Target], pool: Pool) -> None:
    before, refused = await stored(pool), Refused(api)
    for target in every:
        for field in members(target.route.body) if target.route.body is not None else ():
            if field.required:
                rest = {name: value for name, value in target.body().items() if name != field.encode_name}
                await refused.send(target, 400, target.path(), msgspec.json.encode(rest))
    assert refused.complaints == []
    assert await stored(pool) == before


async def test_a_huge_body_is_413_with_and_without_its_length(api: Api, every: list[Target], pool: Pool) -> None:
    before, refused = await stored(pool), Refused(api)
    huge = b'{"x":"' + b"x" * LARGEST_BODY + b'"}'
    chunked = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (huge, b""))
    for target in every:
        if target.route.body is not None:
            await refused.send(target, 413, target.path(), huge)
            await refused.send(target, 413, target.path(), chunked, "Transfer-Encoding: chunked")
            await refused.send(target, 413, target.path(), huge, "Idempotency-Key: once")
            await refused.send(target, 413, target.path(), gzip.compress(huge * 20), "Content-Encoding: gzip")
    assert refused.complaints == []
    assert await stored(pool) == before


async def test_a_body_in_a_broken_encoding_is_400(api: Api, every: list[Target], pool: Pool) -> None:
    before, refused = await stored(pool), Refused(api)
    for target in every:
        if target.route.body is not None:
            whole = gzip.compress(msgspec.json.encode(target.body()))
            for body in (b"not gzip", whole[:-12]):
                await refused.send(target, 400, target.path(), body, "Content-Encoding: gzip")
    assert refused.complaints == []
    assert await stored(pool) == before


async def test_of_duplicate_members_the_last_wins(api: Api, every: list[Target]) -> None:
    """Also where the first one alone would be refused."""
    for target in every:
        for field in members(target.route.body) if target.route.body is not None else ():
            wrong = next(iter(misfits(field.type)))
            good = msgspec.json.encode(target.body())
            name = msgspec.json.encode(field.encode_name)
            last_good = b"{" + name + b":" + msgspec.json.encode(wrong) + b"," + good[1:]
            last_wrong = good[:-1] + b"," + name + b":" + msgspec.json.encode(wrong) + b"}"
            refused = await api.call(target.method, target.path(), raw=last_wrong, token=target.token)
            assert refused.status == target.unreadable, (str(target), field.name)
            taken = await api.call(target.method, target.path(), raw=last_good, token=target.token)
            alone = await api.call(target.method, target.path(), raw=good, token=target.token)
            assert "does not fit:" not in taken.text, (str(target), field.name, taken.text)
            assert _same(taken.status, alone.status), (str(target), field.name, taken.text, alone.text)


def _same(first: int, second: int) -> bool:
    """The second of two equal requests may find what the first one made."""
    return first == second or {first, second} <= {200, 201, 400, 409}


async def test_the_last_of_duplicate_members_is_what_is_stored(api: Api) -> None:
    body = b'{"name":"ci","name":5,"name":"cd"}'
    made = await api.manage("POST", f"{api.managed_project}/Token", raw=body)
    assert (made.status, made.json["name"]) == (201, "cd")
