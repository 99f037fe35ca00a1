"""What the client for the outside sends, what it takes for an answer, and what it never tells."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.connectors import outbound
from adapters.connectors.outbound import OutboundFailed, OutboundRefused
from tests.vendor_stand_in import StandIn, stand_in_for


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with stand_in_for(["api.vendor.example", "acme.vendor.example"], tmp_path) as running:
        yield running


async def test_a_redirect_is_an_answer_and_is_not_followed(vendor: StandIn) -> None:
    vendor.status, vendor.headers = 302, {"Location": "https://api.vendor.example/elsewhere"}
    async with vendor.client() as client:
        answer = await client.request("GET", "https://api.vendor.example/here")
    assert answer.status == 302 and answer.headers["location"].endswith("/elsewhere")
    assert [seen.target for seen in vendor.seen] == ["/here"]


async def test_the_request_arrives_as_it_was_given(vendor: StandIn) -> None:
    vendor.body = b'{"ok":true}'
    async with vendor.client() as client:
        answer = await client.request(
            "POST",
            "https://api.vendor.example/a%2Fb",
            headers={"Authorization": "Bearer t", "Content-Type": "application/json"},
            query={"q": "a&b=c+d"},
            body=b"{}",
        )
    (seen,) = vendor.seen
    assert (seen.method, seen.host, seen.body) == ("POST", "api.vendor.example", b"{}")
    assert seen.target in {"/a%2Fb?q=a%26b%3Dc%2Bd", "/a%2Fb?q=a%26b=c%2Bd"}
    assert seen.headers["authorization"] == "Bearer t" and seen.headers["user-agent"] == "Causeway"
    assert (answer.status, answer.body) == (200, b'{"ok":true}')


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00b", "a\x7fb", "schlüssel", "\ud800"])
async def test_a_header_that_could_smuggle_is_refused_without_its_value(vendor: StandIn, value: str) -> None:
    async with vendor.client() as client:
        with pytest.raises(OutboundRefused, match="Authorization") as caught:
            await client.request("GET", "https://api.vendor.example/", headers={"Authorization": value})
    assert value not in str(caught.value) and vendor.seen == []


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "Connection", "X Y", "X:Y", "X\r\nY", ""]
)
async def test_a_header_that_is_not_the_caller_s_is_refused(vendor: StandIn, name: str) -> None:
    async with vendor.client() as client:
        with pytest.raises(OutboundRefused):
            await client.request("GET", "https://api.vendor.example/", headers={name: "1"})
    assert vendor.seen == []


async def test_an_unknown_method_is_refused(vendor: StandIn) -> None:
    async with vendor.client() as client:
        with pytest.raises(OutboundRefused):
            await client.request("CONNECT", "https://api.vendor.example/")
    assert vendor.seen == []


async def test_an_answer_of_the_largest_size_is_read_and_a_larger_one_is_not(vendor: StandIn) -> None:
    async with vendor.client() as client:
        vendor.body = b"x" * outbound.LARGEST_BODY
        assert len((await client.request("GET", "https://api.vendor.example/")).body) == outbound.LARGEST_BODY
        vendor.body += b"x"
        with pytest.raises(OutboundFailed, match="larger"):
            await client.request("GET", "https://api.vendor.example/")


async def test_a_small_answer_that_unpacks_to_a_large_one_is_not_read(vendor: StandIn) -> None:
    vendor.body, vendor.headers = gzip.compress(b"\0" * (50 * outbound.LARGEST_BODY)), {"Content-Encoding": "gzip"}
    async with vendor.client() as client:
        with pytest.raises(OutboundFailed, match="larger"):
            await client.request("GET", "https://api.vendor.example/")


async def test_a_compressed_answer_is_unpacked(vendor: StandIn) -> None:
    vendor.body, vendor.headers = gzip.compress(b"hello"), {"Content-Encoding": "gzip"}
    async with vendor.client() as client:
        assert (await client.request("GET", "https://api.vendor.example/")).body == b"hello"


async def test_an_answer_with_a_broken_body_is_a_failure(vendor: StandIn) -> None:
    vendor.body, vendor.headers = b"this is not gzip", {"Content-Encoding": "gzip"}
    async with vendor.client() as client:
        with pytest.raises(OutboundFailed):
            await client.request("GET", "https://api.vendor.example/")


async def test_a_vendor_that_does_not_answer_in_time_is_a_failure(
    vendor: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.hold = True
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.2)
    async with vendor.client() as client:
        with pytest.raises(OutboundFailed, match="did not answer"):
            await client.request("GET", "https://api.vendor.example/s3cret")


async def test_a_certificate_for_another_host_is_a_failure(vendor: StandIn) -> None:
    async with vendor.client() as client:
        with pytest.raises(OutboundFailed, match="TLS"):
            await client.request("GET", "https://other.vendor.example/")
    assert vendor.seen == []


async def test_a_certificate_nobody_trusts_is_a_failure(vendor: StandIn) -> None:
    vendor.tls = None
    async with vendor.client() as client:
        with pytest.raises(OutboundFailed, match="TLS"):
            await client.request("GET", "https://api.vendor.example/")
    assert vendor.seen == []


async def test_a_failure_names_the_host_and_nothing_else_of_the_address(tmp_path: Path) -> None:
    async with stand_in_for(["api.vendor.example"], tmp_path) as gone:
        client = gone.client()
    async with client:
        with pytest.raises(OutboundFailed) as caught:
            await client.request(
                "GET",
                "https://api.vendor.example/bots3cret/getMe",
                query={"token": "s3cret"},
                headers={"Authorization": "s3cret"},
            )
    assert "api.vendor.example" in str(caught.value) and "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


async def test_the_environment_s_proxy_is_not_used(vendor: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with vendor.client() as client:
        assert (await client.request("GET", "https://api.vendor.example/")).status == 200


async def test_a_cookie_is_not_carried_to_the_next_request(vendor: StandIn) -> None:
    vendor.headers = {"Set-Cookie": "session=1"}
    async with vendor.client() as client:
        await client.request("GET", "https://api.vendor.example/")
        await client.request("GET", "https://api.vendor.example/")
    assert "cookie" not in vendor.seen[1].headers


async def test_a_response_does_not_print_what_it_holds(vendor: StandIn) -> None:
    vendor.body, vendor.headers = b"s3cret", {"X-Token": "s3cret"}
    async with vendor.client() as client:
        answer = await client.request("GET", "https://api.vendor.example/")
    assert "s3cret" not in repr(answer) and "200" in repr(answer)
