"""Trouble in front of a provider: what a client meets, what the provider did, and what was counted."""

import asyncio
from collections.abc import Callable

import aiohttp
import pytest

from scripts.providers import faults
from scripts.providers.faults import Trouble, at, refreshing
from scripts.providers.oidc import OidcProvider
from scripts.providers.provider import OAuth2Provider
from scripts.providers.quick import QuickProvider
from tests.providers.conftest import Begin, dance_with


@pytest.fixture(
    params=[QuickProvider, pytest.param(OidcProvider, marks=pytest.mark.real)], ids=["in process", "in front"]
)
async def provider(request: pytest.FixtureRequest, begin: Begin) -> OAuth2Provider:
    started = await begin(request.param)
    assert isinstance(started, OAuth2Provider)
    return started


async def met(provider: OAuth2Provider, refresh_token: str) -> tuple[int, str, dict[str, str]]:
    """What a refresh meets: status, body and headers; raises what aiohttp raises."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    headers = {"Authorization": aiohttp.encode_basic_auth(*provider.client)}
    async with (
        aiohttp.ClientSession() as session,
        session.post(provider.token_url, headers=headers, data=form) as answer,
    ):
        return answer.status, await answer.text(), {name.lower(): value for name, value in answer.headers.items()}


@pytest.mark.parametrize("processed", [False, True], ids=["unprocessed", "processed"])
@pytest.mark.parametrize("make", [faults.status, faults.html, faults.truncated, faults.cut_json, faults.dropped])
async def test_only_a_processed_request_has_used_up_the_refresh_token(
    provider: OAuth2Provider, make: Callable[..., Trouble], processed: bool
) -> None:
    dance = dance_with(provider)
    tokens = await dance.link("alice")
    trouble = make(503, processed=processed) if make is faults.status else make(processed=processed)
    provider.faults.plan(trouble)

    try:
        status, body, _ = await met(provider, tokens["refresh_token"])
        assert status != 200 or not body.endswith("}")
    except aiohttp.ClientError:
        assert make in (faults.truncated, faults.dropped)

    again = await dance.refresh(tokens["refresh_token"])
    assert again.status == (400 if processed else 200)
    assert provider.traffic.refreshes_of(tokens["refresh_token"]) == 2


async def test_too_many_requests_say_when_to_come_again(provider: OAuth2Provider) -> None:
    tokens = await dance_with(provider).link("alice")
    provider.faults.plan(faults.status(429, retry_after=7), times=2)

    for _ in range(2):
        status, body, headers = await met(provider, tokens["refresh_token"])
        assert (status, headers["retry-after"]) == (429, "7")
        assert "temporarily_unavailable" in body
    assert (await met(provider, tokens["refresh_token"]))[0] == 200


async def test_the_true_answer_comes_under_a_wrong_content_type(provider: OAuth2Provider) -> None:
    tokens = await dance_with(provider).link("alice")
    provider.faults.plan(faults.wrong_type("text/html"))

    status, body, headers = await met(provider, tokens["refresh_token"])

    assert (status, headers["content-type"]) == (200, "text/html")
    assert '"refresh_token"' in body


async def test_a_held_answer_comes_late_and_whole(provider: OAuth2Provider) -> None:
    dance = dance_with(provider)
    tokens = await dance.link("alice")
    hold = provider.faults.hold(processed=True)

    late = asyncio.create_task(dance.refresh(tokens["refresh_token"]))
    await hold.reached()
    assert provider.traffic.in_flight == 1
    assert provider.traffic.seen[-1].upstream_status == 200
    hold.release()

    answer = await late
    assert await provider.whose(answer.body["access_token"]) == "alice"
    assert provider.traffic.in_flight == 0


async def test_a_client_that_goes_away_does_not_keep_the_provider_from_rotating(provider: OAuth2Provider) -> None:
    dance = dance_with(provider)
    tokens = await dance.link("alice")
    hold = provider.faults.hold()

    gone = asyncio.create_task(dance.refresh(tokens["refresh_token"]))
    await hold.reached()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    hold.release()
    await provider.traffic.until(lambda traffic: traffic.in_flight == 0)

    assert provider.traffic.seen[-1].upstream_status == 200
    assert (await dance.refresh(tokens["refresh_token"])).error == "invalid_grant"


async def test_a_hanging_provider_hangs_up_when_the_trouble_is_cleared(provider: OAuth2Provider) -> None:
    tokens = await dance_with(provider).link("alice")
    hold = provider.faults.hold()

    hanging = asyncio.create_task(met(provider, tokens["refresh_token"]))
    await hold.reached()
    provider.faults.clear()

    with pytest.raises(aiohttp.ClientError):
        await hanging
    assert (await met(provider, tokens["refresh_token"]))[0] == 200


async def test_requests_that_are_open_at_once_are_counted_for_each_grant(provider: OAuth2Provider) -> None:
    alices, bobs = dance_with(provider), dance_with(provider)
    hers, his = await alices.link("alice"), await bobs.link("bob")
    hold = provider.faults.hold(times=3)

    asked = [
        asyncio.create_task(alices.refresh(hers["refresh_token"])),
        asyncio.create_task(alices.refresh(hers["refresh_token"])),
        asyncio.create_task(bobs.refresh(his["refresh_token"])),
    ]
    await hold.reached(3)
    hold.release()
    await asyncio.gather(*asked)

    assert provider.traffic.most_at_once == 3
    assert provider.traffic.most_at_once_per_grant == 2
    assert provider.traffic.refreshes == 3
    assert provider.traffic.refreshes_of(hers["refresh_token"]) == 2


async def test_the_refreshes_of_a_grant_are_counted_through_its_rotations(provider: OAuth2Provider) -> None:
    dance = dance_with(provider)
    first = (await dance.link("alice"))["refresh_token"]
    second = (await dance.refresh(first)).body["refresh_token"]
    third = (await dance.refresh(second)).body["refresh_token"]

    assert [provider.traffic.refreshes_of(token) for token in (first, second, third)] == [1, 1, 0]
    assert provider.traffic.refreshes_of_grant(third) == provider.traffic.refreshes_of_grant(first) == 2


async def test_trouble_meets_only_what_it_is_planned_for(provider: OAuth2Provider) -> None:
    provider.faults.plan(faults.oauth_error("invalid_grant"), meets=refreshing)
    provider.faults.plan(faults.status(500), times=None, meets=at("/resource"))
    dance = dance_with(provider)

    tokens = await dance.link("alice")
    assert (await dance.refresh(tokens["refresh_token"])).error == "invalid_grant"
    assert (await dance.refresh(tokens["refresh_token"])).status == 200

    for _ in range(2):
        with pytest.raises(aiohttp.ClientResponseError):
            await provider.whose(tokens["access_token"])
