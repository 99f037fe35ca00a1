"""The first road, as a developer walks it: connect an end user, see the status, delete, erase."""

from tests.api_client import Api


async def test_a_connected_end_user_shows_as_connected(api: Api) -> None:
    assert await api.status("ada", "github", "telegram-bot") == {
        "github": "not-connected",
        "telegram-bot": "not-connected",
    }
    connected = await api.connect("ada")
    assert (connected.status, connected.text) == (200, "null")
    assert await api.status("ada", "github", "telegram-bot") == {"github": "connected", "telegram-bot": "not-connected"}


async def test_a_second_connect_is_refused_by_the_newer_generation_and_replaces_in_the_older(api: Api) -> None:
    await api.connect("ada")
    again = await api.connect("ada")
    assert (again.status, again.json["code"]) == (409, 222)
    older = await api.monkedo("POST", "/users/ada/connections/github", {"connectionFields": {"accessToken": "new"}})
    assert older.status == 200


async def test_an_erased_end_user_is_gone_and_may_come_back(api: Api) -> None:
    await api.connect("ada")
    erased = await api.manage("DELETE", f"{api.managed_project}/EndUser/ada")
    assert (erased.status, erased.text) == (200, "")
    assert await api.status("ada", "github") == {"github": "not-connected"}
    assert (await api.connect("ada")).status == 200
    assert await api.status("ada", "github") == {"github": "connected"}


async def test_a_deleted_project_takes_everything_along(api: Api) -> None:
    await api.connect("ada")
    assert (await api.manage("DELETE", api.managed_project)).status == 200
    assert (await api.manage("GET", api.managed_project)).status == 404
    refused = await api.monkedo("GET", "/users/ada/connections/github")
    assert (refused.status, refused.json["code"]) == (401, 900)
