"""Where HTTP itself is odd: expectations, request ids, encodings, connections that break."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from adapters.http.server import build_app
from app import Causeway
from tests.api.raw_http import parse, request_bytes, send_raw
from tests.api.staging import stored
from tests.api_client import MONKEDO, Answer, Api

STATUS = f"{MONKEDO}/users/ada/connections/status?appKeys=github"
IMPORT = f"{MONKEDO}/users/ada/connections/import"
IMPORTED = b'{"appKey":"github","scopes":[],"accessToken":"x"}'


async def test_a_body_that_waits_for_the_word_is_called_in(api: Api) -> None:
    request = request_bytes("POST", IMPORT, api.plan.project_token, IMPORTED, "Expect: 100-Continue")
    head, _, body = request.partition(b"\r\n\r\n")
    reader, writer = await asyncio.open_connection(api.client.server.host, api.client.server.port)
    writer.write(head + b"\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert parse(await reader.read()).status == 200
    writer.close()


async def test_another_expectation_is_ignored_wherever_it_is_sent(api: Api) -> None:
    for path, status in (
        (STATUS, 200),
        ("/healthz", 200),
        (f"{MONKEDO}/nowhere", 404),
        ("/v2/nowhere", 404),
        ("/", 404),
    ):
        answers = [
            await send_raw(api.client, request_bytes("GET", path, api.plan.project_token, b"", *expected))
            for expected in ((), ("Expect: 200-ok",))
        ]
        assert [answer.status for answer in answers] == [status] * 2
        assert answers[0].body == answers[1].body
        assert answers[1].header("X-Request-Id")
    refused = await send_raw(api.client, request_bytes("PATCH", STATUS, "", b"", "Expect: nonsense"))
    assert refused.status == 405
    assert refused.header("Allow")


async def test_a_request_id_of_the_callers_is_kept_when_it_is_one(api: Api) -> None:
    good = await api.call("GET", STATUS, headers={"X-Request-Id": "order-7.a_B"})
    assert request_id(good) == "order-7.a_B"


def request_id(answer: Answer) -> str:
    return {name.lower(): value for name, value in answer.headers.items()}["x-request-id"]


async def test_a_request_id_cannot_smuggle_anything_into_headers_or_logs(api: Api) -> None:
    wrong = ["a b", "x" * 65, "a;b", "<b>", "a\tb", '"', "%0d%0aSet-Cookie:x", "é", "a\\nb", "{}"]
    with capture_logs() as lines:
        for given in wrong:
            request = request_bytes("GET", STATUS, api.plan.project_token, b"", f"X-Request-Id: {given}")
            answer = await send_raw(api.client, request)
            assert answer.status == 200
            assert answer.header("X-Request-Id") != given
    logged = {line["request_id"] for line in lines}
    assert len(logged) == len(wrong)
    assert logged.isdisjoint(wrong)


async def test_a_request_id_with_line_breaks_is_no_request(api: Api) -> None:
    for given in ("a\rSet-Cookie: x", "a\x00b"):
        request = request_bytes("GET", STATUS, api.plan.project_token, b"", f"X-Request-Id: {given}")
        answer = await send_raw(api.client, request)
        assert answer.status == 400
        assert "Set-Cookie" not in answer.head
    request = request_bytes("GET", STATUS, api.plan.project_token, b"", "X-Request-Id: a\r\nX-Own: x")
    answer = await send_raw(api.client, request)
    assert (answer.header("X-Request-Id"), answer.header("X-Own")) == ("a", None)


async def test_every_answer_has_a_request_id_of_its_own(api: Api) -> None:
    answers = [await api.call("GET", path) for path in (STATUS, "/nowhere", "/healthz", STATUS)]
    assert len({request_id(answer) for answer in answers}) == 4


async def test_a_compressed_body_is_read(api: Api) -> None:
    headers = {"Content-Encoding": "gzip"}
    answer = await api.monkedo("POST", IMPORT, raw=gzip.compress(IMPORTED), headers=headers)
    assert answer.status == 200


async def test_what_is_no_http_is_400_and_nothing_happens(api: Api, wired: Causeway) -> None:
    before = await stored(wired.pool)
    token = api.plan.project_token
    long = "x" * 9000
    for request in (
        request_bytes("POST", IMPORT, token, b"zz\r\n" + IMPORTED, "Transfer-Encoding: chunked"),
        request_bytes("POST", IMPORT, token, IMPORTED, "Content-Length: 5", "Transfer-Encoding: chunked"),
        request_bytes("POST", IMPORT, token, IMPORTED, "Content-Length: -1"),
        request_bytes("POST", IMPORT, token, IMPORTED, "Content-Length: 5", "Content-Length: 6"),
        request_bytes("POST", IMPORT, token, b"{}", "Content-Encoding: deflate"),
        request_bytes("BREW", IMPORT, token, IMPORTED),
        request_bytes("POST", IMPORT.encode() + b"\xff", token, IMPORTED),
        request_bytes("GET", f"{STATUS},{long}", token),
        request_bytes("GET", STATUS, token, b"", f"X-Long: {long}"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ):
        assert (await send_raw(api.client, request)).status == 400, request[:200]
    assert await stored(wired.pool) == before


async def test_a_caller_that_hangs_up_in_mid_body_is_no_fault_of_ours(api: Api, wired: Causeway) -> None:
    before = await stored(wired.pool)
    with capture_logs() as lines:
        async with serving(wired) as port:
            for header, part in (("Content-Length: 1000", b"{"), ("Transfer-Encoding: chunked", b"5\r\n{    \r\n")):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request_bytes("POST", IMPORT, api.plan.project_token, part, header))
                await asyncio.sleep(0.05)
                writer.close()
                await writer.wait_closed()
            while len(lines) < 2:
                await asyncio.sleep(0.01)
    assert [(line["event"], line["status"]) for line in lines] == [("request", 400)] * 2
    assert await stored(wired.pool) == before


@asynccontextmanager
async def serving(wired: Causeway) -> AsyncIterator[int]:
    """A server as the service runs it: unlike a test server, it does not cancel the work of callers who hang up."""
    runner = web.AppRunner(build_app(wired.services, CollectorRegistry()), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_a_wrong_project_in_an_absolute_address_is_no_way_around(api: Api) -> None:
    request = request_bytes("GET", f"http://elsewhere.example{STATUS}", "nonsense")
    assert (await send_raw(api.client, request)).status == 401
