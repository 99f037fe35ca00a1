"""Which apps an end user is connected to."""

from datetime import timedelta

from tests.api.staging import SetClock, import_token, refusal, register
from tests.api_client import Api


async def test_the_published_example_has_a_word_for_every_app_that_was_asked_for(api: Api) -> None:
    await api.connect("ada")
    assert await api.status("ada", "github", "cubicl") == {"github": "connected", "cubicl": "not-connected"}


async def test_both_generations_answer_alike(api: Api) -> None:
    await api.connect("ada")
    newer = await api.monkedo("GET", f"{api.project}/users/ada/connections/status?appKeys=github,telegram-bot")
    older = await api.monkedo("GET", "/users/ada/connections/status?appKeys=github,telegram-bot")
    assert newer.json == older.json == {"github": "connected", "telegram-bot": "not-connected"}


async def test_an_unknown_user_is_connected_to_nothing_and_is_not_added(api: Api) -> None:
    assert await api.status("nobody", "github", "github") == {"github": "not-connected"}
    assert (await api.manage("GET", f"{api.managed_project}/EndUsers")).json == []


async def test_an_app_that_was_removed_reads_as_not_connected_until_it_is_added_again(api: Api) -> None:
    await api.connect("ada")
    assert (await api.manage("DELETE", f"{api.managed_project}/Integration/github")).status == 200
    assert await api.status("ada", "github") == {"github": "not-connected"}
    assert refusal(await api.monkedo("GET", "/users/ada/connections/github")) == (404, 600)
    await api.manage("POST", f"{api.managed_project}/Integration", {"app_key": "github"})
    assert await api.status("ada", "github") == {"github": "connected"}


async def test_a_token_that_cannot_be_renewed_is_invalid_after_its_time(api: Api, clock: SetClock) -> None:
    expires_at = round(clock().timestamp() * 1000) + 60_000
    await register(api, "gitlab", client_id="ours", client_secret="planted-client-secret")
    await import_token(api, "ada", "gitlab", expiresAt=expires_at)
    await import_token(api, "eve", "gitlab", expiresAt=expires_at, refreshToken="renews")
    await import_token(api, "bob", "github", expiresAt=expires_at, refreshToken="of a key, so nobody's")
    assert await api.status("ada", "gitlab") == {"gitlab": "connected"}
    clock.ahead = timedelta(seconds=61)
    assert await api.status("ada", "gitlab") == {"gitlab": "invalid"}
    assert await api.status("eve", "gitlab") == {"gitlab": "connected"}
    assert await api.status("bob", "github") == {"github": "invalid"}


async def test_no_app_keys_are_code_1(api: Api) -> None:
    for query in ("", "?appKeys=", "?appKeys=,%20,", "?appkeys=github", "?appKeys=" + ",".join("a" * 201)):
        for path in (f"{api.project}/users/ada/connections/status", "/users/ada/connections/status"):
            assert refusal(await api.monkedo("GET", path + query)) == (400, 1)


async def test_spaces_around_app_keys_do_not_matter(api: Api) -> None:
    await api.connect("ada")
    answer = await api.monkedo("GET", f"{api.project}/users/ada/connections/status?appKeys=%20github%20,+notion")
    assert answer.json == {"github": "connected", "notion": "not-connected"}


async def test_status_and_import_are_no_apps(api: Api) -> None:
    assert refusal(await api.monkedo("POST", f"{api.project}/users/ada/connections/status", {})) == (404, 600)
    assert refusal(await api.monkedo("POST", f"{api.project}/users/ada/connections/import", {})) == (404, 600)
    assert refusal(await api.monkedo("GET", "/users/ada/connections/import")) == (404, 600)
    assert refusal(await api.monkedo("DELETE", "/users/ada/connections/status")) == (404, 600)
