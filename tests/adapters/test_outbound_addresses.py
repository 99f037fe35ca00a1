"""Which hosts and addresses the client for the outside calls, and which it never does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from adapters.connectors import outbound
from adapters.connectors.addresses import host_fits, is_public
from adapters.connectors.outbound import CheckedResolver, OutboundClient, OutboundFailed, OutboundRefused
from tests.vendor_stand_in import FixedResolver, StandIn, stand_in_for

FORBIDDEN = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "3fff::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "223.255.255.254",
    "2606:4700::1111",
    "2a00:1450::1",
]


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with stand_in_for(["api.vendor.example", "acme.vendor.example"], tmp_path) as running:
        yield running


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_known(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_a_name_with_such_an_address_is_not_called(address: str) -> None:
    async with OutboundClient(resolver=FixedResolver([[address]], 443)) as client:
        with pytest.raises(OutboundRefused, match=r"evil\.example"):
            await client.request("GET", "https://evil.example/")


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_such_an_address_in_the_url_is_not_called(address: str) -> None:
    host = f"[{address.replace('%', '%25')}]" if ":" in address else address
    async with OutboundClient() as client:
        with pytest.raises(OutboundRefused):
            await client.request("GET", f"https://{host}/")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "017700000001", "127.0.0.01", "１２７.0.0.1", "1.2.3.4.5"])
async def test_an_address_in_an_unusual_form_is_not_called(host: str) -> None:
    async with OutboundClient(allow_private_networks=True) as open_client, OutboundClient() as client:
        with pytest.raises(OutboundRefused):
            await client.request("GET", f"https://{host}/")
        if host != "１２７.0.0.1":
            with pytest.raises(OutboundRefused):
                await open_client.request("GET", f"https://{host}/")


@pytest.mark.parametrize("host", ["localhost", "0x7f.1", "0x7f000001"])
async def test_a_name_that_the_system_knows_as_loopback_is_not_called(host: str) -> None:
    async with OutboundClient() as client:
        with pytest.raises((OutboundRefused, OutboundFailed)):
            await client.request("GET", f"https://{host}/")


async def test_one_forbidden_address_among_public_ones_is_enough() -> None:
    inner = FixedResolver([["8.8.8.8", "10.0.0.1"]], 443)
    with pytest.raises(OutboundRefused):
        await CheckedResolver(inner, allow_private_networks=False).resolve("evil.example", 443)


async def test_a_name_that_changes_its_address_is_called_at_the_checked_one(
    vendor: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "is_public", lambda address: address == "127.0.0.1")
    rebinding = FixedResolver([["127.0.0.1"], ["127.0.0.66"]], vendor.port)
    async with OutboundClient(resolver=rebinding, tls=vendor.tls) as client:
        await client.request("GET", "https://api.vendor.example/")
        assert rebinding.asked == ["api.vendor.example"]
        assert len(vendor.seen) == 1
        await client.close()
        with pytest.raises(OutboundRefused):
            await client.request("GET", "https://api.vendor.example/")
    assert len(vendor.seen) == 1


async def test_a_guarded_client_does_not_even_connect_to_a_private_vendor(vendor: StandIn) -> None:
    async with OutboundClient(resolver=FixedResolver([["127.0.0.1"]], vendor.port), tls=vendor.tls) as client:
        with pytest.raises(OutboundRefused):
            await client.request("GET", "https://api.vendor.example/")
    assert vendor.seen == []


@pytest.mark.parametrize(
    "url",
    [
        "http://api.vendor.example/",
        "ftp://api.vendor.example/",
        "//api.vendor.example/",
        "x",
        "",
        "https://",
        "https:///a",
        "https://[",
        "https://a b.example/",
    ],
)
async def test_only_https_is_called(url: str) -> None:
    async with OutboundClient(resolver=FixedResolver([["8.8.8.8"]], 443)) as client:
        with pytest.raises(OutboundRefused):
            await client.request("GET", url)


async def test_plain_http_is_called_when_private_networks_are_allowed() -> None:
    vendor = StandIn()
    runner = web.ServerRunner(web.Server(vendor.handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with OutboundClient(allow_private_networks=True) as client:
            answer = await client.request("GET", f"http://127.0.0.1:{runner.addresses[0][1]}/")
    finally:
        await runner.cleanup()
    assert answer.status == 200 and len(vendor.seen) == 1


@pytest.mark.parametrize("user", ["u:p@", "u@", "@", ":@", "api.vendor.example@", "a.example\\@"])
async def test_a_user_in_the_address_is_refused_and_not_repeated(vendor: StandIn, user: str) -> None:
    async with vendor.client() as client:
        with pytest.raises(OutboundRefused) as caught:
            await client.request("GET", f"https://{user}api.vendor.example/")
    assert "u:p" not in str(caught.value) and vendor.seen == []


@pytest.mark.parametrize(
    ("host", "declared", "fits"),
    [
        ("api.vendor.example", "api.vendor.example", True),
        ("API.Vendor.Example", "api.vendor.example", True),
        ("acme.vendor.example", "{site}.vendor.example", True),
        ("a-1.vendor.example", "{site}.vendor.example", True),
        ("eu-acme.vendor.example", "{region}-{site}.vendor.example", True),
        ("vendor.example", "{site}.vendor.example", False),
        ("a.b.vendor.example", "{site}.vendor.example", False),
        ("evil.example", "{site}.vendor.example", False),
        ("acme.vendor.example.evil.example", "{site}.vendor.example", False),
        ("acmexvendor.example", "{site}.vendor.example", False),
        ("acme.vendor.example.", "{site}.vendor.example", False),
        ("a_b.vendor.example", "{site}.vendor.example", False),
        (".vendor.example", "{site}.vendor.example", False),
    ],
)
def test_a_host_fits_its_template_or_not(host: str, declared: str, fits: bool) -> None:
    assert host_fits(host, [declared]) is fits


async def test_only_declared_hosts_are_called(vendor: StandIn) -> None:
    async with vendor.client() as client:
        await client.request(
            "GET", "https://acme.vendor.example/", hosts=["api.other.example", "{site}.vendor.example"]
        )
        with pytest.raises(OutboundRefused, match="declares"):
            await client.request("GET", "https://api.vendor.example/", hosts=["acme.vendor.example"])
        with pytest.raises(OutboundRefused):
            await client.request("GET", "https://api.vendor.example/", hosts=[])
    assert len(vendor.seen) == 1


async def test_a_declared_host_is_called_on_its_standard_port_only() -> None:
    async with OutboundClient(resolver=FixedResolver([["8.8.8.8"]], 443)) as client:
        with pytest.raises(OutboundRefused, match="port"):
            await client.request("GET", "https://api.vendor.example:8443/", hosts=["api.vendor.example"])
