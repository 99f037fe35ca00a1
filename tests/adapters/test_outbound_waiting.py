"""How long the client for the outside waits, and whether a request that failed may have arrived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.connectors.outbound import CONNECTIONS_PER_HOST, OutboundClient, OutboundFailed
from tests.vendor_stand_in import FixedResolver, StandIn, stand_in_for

URL = "https://api.vendor.example/"


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with stand_in_for(["api.vendor.example"], tmp_path) as running:
        yield running


async def test_a_caller_may_wait_less_than_usual(vendor: StandIn) -> None:
    vendor.hold = True
    async with vendor.client() as client:
        with pytest.raises(OutboundFailed, match=r"within 0\.2 s") as failure:
            await client.request("POST", URL, seconds=0.2)
    assert failure.value.may_have_arrived and len(vendor.seen) == 1


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_a_caller_without_time_sends_nothing(vendor: StandIn, seconds: float) -> None:
    async with vendor.client() as client:
        with pytest.raises(OutboundFailed) as failure:
            await client.request("POST", URL, seconds=seconds)
    assert not failure.value.may_have_arrived and vendor.seen == []


@pytest.mark.parametrize("keeps", [True, False])
async def test_who_waits_for_a_place_gets_one_before_those_who_come_later(vendor: StandIn, keeps: bool) -> None:
    callers, rounds = CONNECTIONS_PER_HOST + 8, 4
    ended: list[int] = []
    async with OutboundClient(
        allow_private_networks=True,
        resolver=FixedResolver([["127.0.0.1"]], vendor.port),
        tls=vendor.tls,
        keep_connections=keeps,
    ) as client:

        async def call_again_and_again(number: int) -> None:
            for _ in range(rounds):
                await client.request("POST", URL)
                ended.append(number)

        await asyncio.gather(*(call_again_and_again(number) for number in range(callers)))
    first_rounds = ended[: callers * (rounds - 1)]
    assert set(first_rounds) == set(range(callers))


async def test_who_never_got_a_place_sent_nothing(vendor: StandIn) -> None:
    vendor.hold = True
    async with vendor.client() as client:
        holding = [asyncio.create_task(client.request("POST", URL, seconds=3)) for _ in range(CONNECTIONS_PER_HOST)]
        while len(vendor.seen) < CONNECTIONS_PER_HOST:
            await asyncio.sleep(0.01)
        with pytest.raises(OutboundFailed) as failure:
            await client.request("POST", URL, seconds=0.2)
        for task in holding:
            task.cancel()
        await asyncio.gather(*holding, return_exceptions=True)
    assert not failure.value.may_have_arrived and len(vendor.seen) == CONNECTIONS_PER_HOST


async def test_a_caller_that_gives_up_is_let_go(vendor: StandIn) -> None:
    vendor.hold = True
    async with vendor.client() as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.request("POST", URL)


async def test_a_request_over_a_kept_connection_may_have_arrived_too(vendor: StandIn) -> None:
    async with vendor.client() as client:
        assert (await client.request("POST", URL)).status == 200
        vendor.hold = True
        with pytest.raises(OutboundFailed) as failure:
            await client.request("POST", URL, seconds=0.2)
    assert failure.value.may_have_arrived


async def test_a_request_without_a_trusted_connection_never_arrived(vendor: StandIn) -> None:
    async with OutboundClient(
        resolver=FixedResolver([["127.0.0.1"]], vendor.port), allow_private_networks=True
    ) as client:
        with pytest.raises(OutboundFailed, match="TLS") as failure:
            await client.request("POST", URL)
    assert not failure.value.may_have_arrived


@pytest.mark.parametrize(("keeps", "connections"), [(True, 1), (False, 3)])
async def test_connections_are_kept_unless_told_otherwise(vendor: StandIn, keeps: bool, connections: int) -> None:
    resolver = FixedResolver([["127.0.0.1"]], vendor.port)
    async with OutboundClient(
        allow_private_networks=True, resolver=resolver, tls=vendor.tls, keep_connections=keeps
    ) as client:
        for _ in range(3):
            assert (await client.request("POST", URL)).status == 200
    assert len(resolver.asked) == connections
