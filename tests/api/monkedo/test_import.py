"""Importing tokens that were issued elsewhere."""

from datetime import timedelta
from typing import Any

from app import Causeway
from tests.api.staging import SetClock, details, import_token, refusal, register, sealed_secret
from tests.api_client import Api

OLDER = "/users/connections/import"
FULL = {"appKey": "github", "scopes": ["repo", "user"], "accessToken": "imported-token"}


async def test_an_imported_perpetual_token_connects_and_its_details_hide_the_secrets(api: Api) -> None:
    answer = await import_token(api, "ada", scopes=["repo", "user"])
    assert (answer.status, answer.text) == (200, "")
    found = await details(api, "ada")
    assert found.pop("createdAt") == found.pop("updatedAt")
    assert found == {
        "appKey": "github",
        "appName": "GitHub",
        "userId": "ada",
        "status": "connected",
        "type": "apikey",
        "scopes": ["repo", "user"],
        "expiresAt": None,
        "accountName": None,
        "refreshedAt": None,
        "lastUsedAt": None,
        "errorMessage": None,
    }


async def test_the_older_generation_takes_the_user_from_the_body(api: Api) -> None:
    answer = await api.monkedo("POST", OLDER, {**FULL, "userId": "ada"})
    assert (answer.status, answer.text) == (200, "")
    assert await api.status("ada", "github") == {"github": "connected"}


async def test_expires_at_is_kept_to_the_millisecond(api: Api) -> None:
    for milliseconds in (0, 1, 1_790_000_000_123, 1_790_000_000_123.0, 253_402_300_799_999):
        user = f"until {milliseconds}"
        assert (await import_token(api, user, expiresAt=milliseconds, refreshToken="renews")).status == 200
        assert (await details(api, user))["expiresAt"] == milliseconds


async def test_a_connection_that_became_invalid_may_be_replaced_by_both_generations(api: Api, clock: SetClock) -> None:
    past = round(clock().timestamp() * 1000) - 1000
    assert (await import_token(api, "ada", expiresAt=past)).status == 200
    assert (await details(api, "ada"))["status"] == "invalid"
    assert (await import_token(api, "ada", expiresAt=past + 61_000)).status == 200
    assert (await details(api, "ada"))["status"] == "connected"
    assert refusal(await import_token(api, "ada")) == (409, 222)
    clock.ahead = timedelta(minutes=2)
    assert (await api.connect("ada")).status == 200
    found = await details(api, "ada")
    assert (found["status"], found["expiresAt"]) == ("connected", None)
    assert found["updatedAt"] > found["createdAt"]


async def test_an_existing_connection_is_222_in_the_newer_and_replaced_in_the_older_generation(
    api: Api, wired: Causeway
) -> None:
    await import_token(api, "ada")
    assert refusal(await import_token(api, "ada", accessToken="second")) == (409, 222)
    assert (await sealed_secret(wired, "ada"))["fields"] == {"accessToken": "imported-token"}
    assert (await api.monkedo("POST", OLDER, {**FULL, "userId": "ada", "accessToken": "third"})).status == 200
    assert (await sealed_secret(wired, "ada"))["fields"] == {"accessToken": "third"}


async def test_a_token_of_a_key_app_fills_the_field_that_is_its_secret(api: Api, wired: Causeway) -> None:
    await register(api, "jira")
    assert (await import_token(api, "ada", "jira")).status == 200
    assert (await sealed_secret(wired, "ada", "jira"))["fields"] == {"apiToken": "imported-token"}
    assert (await details(api, "ada", "jira"))["type"] == "basic"


async def test_all_members_of_a_token_set_are_sealed(api: Api, wired: Causeway) -> None:
    members = {"refreshToken": "renews", "oauth1Token": "one", "accessTokenSecret": "two"}
    assert (await import_token(api, "ada", **members)).status == 200
    assert await sealed_secret(wired, "ada") == {
        "fields": {"accessToken": "imported-token"},
        "access_token": "one",
        "refresh_token": "renews",
        "token_secret": "two",
        "scopes": [],
    }


async def test_an_oauth1_secret_may_come_without_its_token(api: Api, wired: Causeway) -> None:
    assert (await import_token(api, "ada", accessTokenSecret="two")).status == 200
    sealed = await sealed_secret(wired, "ada")
    assert (sealed["access_token"], sealed["token_secret"]) == ("imported-token", "two")


async def test_absent_null_and_empty_optional_members_mean_the_same(api: Api, clock: SetClock) -> None:
    soon = round(clock().timestamp() * 1000) + 1000
    await import_token(api, "ada", expiresAt=soon, refreshToken="")
    await import_token(api, "eve", expiresAt=soon, refreshToken=None, oauth1Token=None)
    clock.ahead = timedelta(seconds=2)
    assert [(await details(api, user))["status"] for user in ("ada", "eve")] == ["invalid", "invalid"]


WRONG: list[dict[str, Any]] = [
    {"scopes": None},
    {"scopes": "repo"},
    {"scopes": [1]},
    {"accessToken": ""},
    {"accessToken": "  "},
    {"accessToken": 5},
    {"appKey": None},
    {"refreshToken": 5},
    {"expiresAt": "2026-01-01"},
    {"expiresAt": True},
    {"expiresAt": -1},
    {"expiresAt": 253_402_300_800_000},
    {"expiresAt": 1e300},
    {"oauth1Token": {}},
    {"userId": "somebody-else"},
]


async def test_a_wrong_member_is_code_1(api: Api) -> None:
    for wrong in WRONG:
        assert refusal(await import_token(api, "ada", **wrong)) == (400, 1), wrong
        older = {**FULL, "userId": "ada", **wrong, **_no_user(wrong)}
        assert refusal(await api.monkedo("POST", OLDER, older)) == (400, 1), wrong


def _no_user(wrong: dict[str, Any]) -> dict[str, Any]:
    """The older generation has no path to differ from: there, an empty user is what is wrong."""
    return {"userId": ""} if "userId" in wrong else {}


async def test_a_missing_member_is_code_1(api: Api) -> None:
    for name in FULL:
        rest = {key: value for key, value in FULL.items() if key != name}
        assert refusal(await api.monkedo("POST", "/users/ada/connections/import", rest)) == (400, 1)
        assert refusal(await api.monkedo("POST", OLDER, {**rest, "userId": "ada"})) == (400, 1)
    assert refusal(await api.monkedo("POST", OLDER, FULL)) == (400, 1)


async def test_the_path_and_the_body_may_both_name_the_same_user(api: Api) -> None:
    assert (await import_token(api, "ada", userId="ada")).status == 200


async def test_an_app_that_is_not_registered_is_600(api: Api) -> None:
    assert refusal(await import_token(api, "ada", "notion")) == (404, 600)
    assert refusal(await api.monkedo("POST", OLDER, {**FULL, "userId": "ada", "appKey": ""})) == (404, 600)
    assert (await api.manage("GET", f"{api.managed_project}/EndUsers")).json == []
