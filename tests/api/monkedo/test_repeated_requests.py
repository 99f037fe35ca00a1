"""Idempotency-Key: the same request again is answered as before; the key with another request is refused."""

import asyncio

import pytest

from app import Causeway
from tests.api.staging import refusal, stored
from tests.api_client import Answer, Api

IMPORTED = {"appKey": "github", "scopes": [], "accessToken": "x"}
ONCE = {"Idempotency-Key": "once"}


async def connect(api: Api, secret: str = "x", user: str = "ada") -> Answer:
    path = f"{api.project}/users/{user}/connections/github"
    return await api.monkedo("POST", path, {"connectionFields": {"accessToken": secret}}, headers=ONCE)


async def imported(api: Api, secret: str = "x", user: str = "ada") -> Answer:
    body = {**IMPORTED, "accessToken": secret}
    return await api.monkedo("POST", f"/users/{user}/connections/import", body, headers=ONCE)


@pytest.mark.parametrize("command", [connect, imported])
async def test_a_repeated_command_is_answered_as_before_and_stored_once(
    api: Api, wired: Causeway, command: type
) -> None:
    first = await command(api)
    before = await stored(wired.pool)
    again = await command(api)
    assert (again.status, again.text) == (first.status, first.text)
    assert first.status == 200
    assert await stored(wired.pool) == before


@pytest.mark.parametrize("command", [connect, imported])
async def test_the_same_key_with_another_request_is_refused(api: Api, wired: Causeway, command: type) -> None:
    await command(api)
    before = await stored(wired.pool)
    for other in (await command(api, "another"), await command(api, user="eve")):
        assert (other.status, other.json["name"]) == (409, "IDEMPOTENCY KEY REUSED")
    assert await stored(wired.pool) == before


@pytest.mark.parametrize("command", [connect, imported])
async def test_twenty_at_once_are_one(api: Api, wired: Causeway, command: type) -> None:
    answers = await asyncio.gather(*(command(api) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert await wired.pool.fetchval("select count(*) from events where topic like 'connection.%'") == 1


async def test_a_repeated_deletion_is_answered_as_before(api: Api) -> None:
    await api.connect("ada")
    path = "/users/ada/connections/github"
    first = await api.monkedo("DELETE", path, headers=ONCE)
    again = await api.monkedo("DELETE", path, headers=ONCE)
    assert (first.status, first.text) == (again.status, again.text) == (200, "")
    await api.connect("ada")
    assert (await api.monkedo("DELETE", path, headers=ONCE)).status == 200
    assert await api.status("ada", "github") == {"github": "connected"}


async def test_a_refused_command_does_not_spend_its_key(api: Api) -> None:
    path = f"{api.project}/users/ada/connections/github"
    refused = await api.monkedo("POST", path, {"connectionFields": {}}, headers=ONCE)
    assert refusal(refused) == (400, 1)
    assert (await connect(api)).status == 200


async def test_keys_belong_to_their_token(api: Api) -> None:
    other = (await api.manage("POST", f"{api.managed_project}/Token", {"name": "second"})).json["token"]
    assert (await connect(api)).status == 200
    path = f"{api.project}/users/eve/connections/github"
    body = {"connectionFields": {"accessToken": "y"}}
    assert (await api.monkedo("POST", path, body, headers=ONCE, token=other)).status == 200


async def test_a_key_that_cannot_be_one_is_code_1(api: Api) -> None:
    for key in ("", " ", "two words", "ü", "x" * 256, "tab\there"):
        headers = {"Idempotency-Key": key}
        answer = await api.monkedo("POST", "/users/ada/connections/import", IMPORTED, headers=headers)
        assert refusal(answer) == (400, 1), key
    assert await api.status("ada", "github") == {"github": "not-connected"}


async def test_an_answer_is_kept_when_what_it_was_about_has_gone(api: Api) -> None:
    first = await connect(api)
    await api.manage("DELETE", f"{api.managed_project}/Integration/github")
    again = await connect(api)
    assert (first.status, again.status) == (200, 200)
