"""What django-oauth-toolkit has of its own: a grace period, 403 for a dead token, and no issuer."""

import asyncio

import aiohttp
import pytest
from yarl import URL

from scripts.providers.django_toolkit import DjangoToolkit
from tests.providers.conftest import Begin, dance_with

pytestmark = pytest.mark.real


async def toolkit(begin: Begin, **settings: object) -> DjangoToolkit:
    provider = await begin(DjangoToolkit, **settings)
    assert isinstance(provider, DjangoToolkit)
    return provider


async def status_with(provider: DjangoToolkit, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session, session.get(provider.userinfo_url, headers=headers) as answer:
        return answer.status


async def test_a_dead_token_answers_403_instead_of_401(begin: Begin) -> None:
    provider = await toolkit(begin, access_seconds=1)
    tokens = await dance_with(provider).link("alice")

    async with asyncio.timeout(30):
        while (status := await status_with(provider, tokens["access_token"])) == 200:
            await asyncio.sleep(0.1)

    assert status == 403


async def test_within_the_grace_period_a_lost_answer_can_be_asked_for_again(begin: Begin) -> None:
    provider = await toolkit(begin, grace_seconds=60)
    dance = dance_with(provider)
    tokens = await dance.link("alice")
    first = await dance.refresh(tokens["refresh_token"])

    again = await dance.refresh(tokens["refresh_token"])

    assert (first.status, again.status) == (200, 200)
    assert await provider.whose(again.body["access_token"]) == "alice"
    assert (await dance.refresh(again.body["refresh_token"])).status == 200


async def test_after_the_grace_period_a_used_refresh_token_revokes_its_successors(begin: Begin) -> None:
    provider = await toolkit(begin, grace_seconds=1)
    dance = dance_with(provider)
    tokens = await dance.link("alice")
    refreshed = await dance.refresh(tokens["refresh_token"])

    async with asyncio.timeout(30):
        while (again := await dance.refresh(tokens["refresh_token"])).status == 200:
            refreshed = again
            await asyncio.sleep(0.2)

    assert again.error == "invalid_grant"
    assert (await dance.refresh(refreshed.body["refresh_token"])).error == "invalid_grant"


async def test_many_refreshes_at_once_are_answered_one_after_another(begin: Begin) -> None:
    provider = await toolkit(begin)
    dances = [dance_with(provider) for _ in range(10)]
    tokens = [await dance.link(f"user-{number}") for number, dance in enumerate(dances)]

    answers = await asyncio.gather(
        *(dance.refresh(token["refresh_token"]) for dance, token in zip(dances, tokens, strict=True))
    )

    assert {answer.status for answer in answers} == {200}
    assert await provider.whose(answers[7].body["access_token"]) == "user-7"


async def test_no_issuer_is_named(begin: Begin) -> None:
    provider = await toolkit(begin)

    assert "iss" not in URL(await provider.consent(dance_with(provider).authorize_url(), "alice")).query


async def test_the_client_may_authenticate_in_the_body(begin: Begin) -> None:
    provider = await toolkit(begin)
    form = {
        "grant_type": "client_credentials",
        "client_id": provider.machine.id,
        "client_secret": provider.machine.secret,
    }

    async with aiohttp.ClientSession() as session, session.post(provider.token_url, data=form) as answer:
        assert answer.status == 200
