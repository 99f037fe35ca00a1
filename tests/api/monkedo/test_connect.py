"""Connecting apps that are not OAuth: fields, their rules, and the app's own word on them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.postgres.pool import Pool
from app import Causeway
from tests.api.staging import connect_fields, refusal, register, sealed_secret, staged, stored
from tests.api_client import Api
from tests.conftest import Ground
from tests.vendor_stand_in import StandIn, stand_in_for

MAILGUN = {"region": "eu", "apiKey": "key-1"}
POSTHOG = {"region": "us", "personalApiKey": "phx_1"}


async def test_connecting_answers_null_in_both_generations(api: Api) -> None:
    newer = await api.connect("ada")
    older = await api.monkedo("POST", "/users/eve/connections/github", {"connectionFields": {"accessToken": "x"}})
    for answer in (newer, older):
        assert (answer.status, answer.text) == (200, "null")
        assert answer.headers["Content-Type"] == "application/json"


async def test_the_fields_are_kept_trimmed_and_in_the_apps_order(api: Api, wired: Causeway) -> None:
    await register(api, "mailgun")
    assert (await connect_fields(api, "ada", "mailgun", {"apiKey": " key-1 ", "region": "eu"})).status == 200
    secret = await sealed_secret(wired, "ada", "mailgun")
    assert list(secret["fields"].items()) == [("region", "eu"), ("apiKey", "key-1")]


async def test_a_hidden_field_is_not_required_and_a_value_for_it_is_dropped(api: Api, wired: Causeway) -> None:
    await register(api, "posthog")
    assert (await connect_fields(api, "ada", "posthog", {**POSTHOG, "host": "kept.nowhere"})).status == 200
    assert (await sealed_secret(wired, "ada", "posthog"))["fields"] == POSTHOG
    assert refusal(await connect_fields(api, "eve", "posthog", {**POSTHOG, "region": "self-hosted"})) == (400, 1)
    own = {**POSTHOG, "region": "self-hosted", "host": "posthog.example.com"}
    assert (await connect_fields(api, "eve", "posthog", own)).status == 200


WRONG: list[dict[str, Any]] = [
    {},
    {"region": "eu"},
    {"apiKey": "key-1"},
    {**MAILGUN, "region": "mars"},
    {**MAILGUN, "region": ""},
    {**MAILGUN, "apiKey": None},
    {**MAILGUN, "apiKey": 5},
    {**MAILGUN, "apiKey": {}},
    {**MAILGUN, "apiKey": ["key-1"]},
    {**MAILGUN, "apiKey": "two\nlines"},
    {**MAILGUN, "apiKey": "x" * 20_001},
    {**MAILGUN, "unknown": "x"},
    {**MAILGUN, "": "x"},
]


async def test_fields_that_do_not_fit_are_code_1_and_store_nothing(api: Api, pool: Pool) -> None:
    await register(api, "mailgun")
    before = await stored(pool)
    for fields in WRONG:
        for path in (f"{api.project}/users/ada/connections/mailgun", "/users/ada/connections/mailgun"):
            answer = await api.monkedo("POST", path, {"connectionFields": fields})
            assert refusal(answer) == (400, 1), fields
            assert "key-1" not in answer.text
    assert await stored(pool) == before


async def test_a_wrong_pattern_is_code_1(api: Api) -> None:
    assert refusal(await connect_fields(api, "ada", "telegram-bot", {"botToken": "no token"})) == (400, 1)
    assert (await connect_fields(api, "ada", "telegram-bot", {"botToken": "123:AAb_c-d"})).status == 200


async def test_no_body_at_all_means_no_fields(api: Api) -> None:
    answer = await api.monkedo("POST", f"{api.project}/users/ada/connections/github")
    assert refusal(answer) == (400, 1)
    assert "accessToken" in answer.json["message"]


async def test_an_app_that_is_not_registered_is_600_whatever_the_fields(api: Api) -> None:
    assert refusal(await connect_fields(api, "ada", "notion", {"nonsense": 1})) == (404, 600)
    assert refusal(await api.monkedo("POST", "/users/ada/connections/notion", {})) == (404, 600)


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with stand_in_for(["api.github.com"], tmp_path) as vendor:
        yield vendor


async def test_verify_asks_the_app_with_the_credential_and_connects_when_it_agrees(
    wired: Causeway, ground: Ground, vendor: StandIn
) -> None:
    async with staged(wired, ground.plan, outbound=vendor.client()) as api:
        answer = await connect_fields(api, "ada", "github", {"accessToken": "ghp_good"}, verify=True)
        assert (answer.status, answer.text) == (200, "null")
        assert await api.status("ada", "github") == {"github": "connected"}
    assert [seen.headers["authorization"] for seen in vendor.seen] == ["Bearer ghp_good"]


async def test_verify_refuses_what_the_app_refuses_and_stores_nothing(
    wired: Causeway, ground: Ground, vendor: StandIn
) -> None:
    vendor.status, vendor.body = 401, b'{"message": "Bad credentials: ghp_wrong"}'
    before = await stored(wired.pool)
    async with staged(wired, ground.plan, outbound=vendor.client()) as api:
        answer = await connect_fields(api, "ada", "github", {"accessToken": "ghp_wrong"}, verify=True)
        assert refusal(answer) == (400, 1)
        assert "ghp_wrong" not in answer.text
    assert await stored(wired.pool) == before


async def test_verify_says_when_the_app_could_not_be_asked(api: Api, wired: Causeway) -> None:
    before = await stored(wired.pool)
    answer = await connect_fields(api, "ada", "github", {"accessToken": "ghp_good"}, verify=True)
    assert answer.status == 502
    assert "ghp_good" not in answer.text
    assert await stored(wired.pool) == before


async def test_without_verify_no_app_is_asked(wired: Causeway, ground: Ground, vendor: StandIn) -> None:
    async with staged(wired, ground.plan, outbound=vendor.client()) as api:
        assert (await connect_fields(api, "ada", "github", {"accessToken": "x"}, verify=False)).status == 200
    assert vendor.seen == []


async def test_a_repeated_request_is_answered_as_it_was_without_asking_the_app_again(
    wired: Causeway, ground: Ground, vendor: StandIn
) -> None:
    body = {"connectionFields": {"accessToken": "ghp_good"}, "verify": True}
    async with staged(wired, ground.plan, outbound=vendor.client()) as api:
        path, headers = f"{api.project}/users/ada/connections/github", {"Idempotency-Key": "once"}
        first = await api.monkedo("POST", path, body, headers=headers)
        vendor.status = 401
        again = await api.monkedo("POST", path, body, headers=headers)
    assert (first.status, first.text) == (again.status, again.text) == (200, "null")
    assert len(vendor.seen) == 1
