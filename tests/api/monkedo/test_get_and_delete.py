"""Reading and deleting an end user's connection."""

from app import Causeway
from tests.api.staging import connect_fields, details, refusal, register
from tests.api_client import Api


async def test_a_connection_made_with_fields_is_told_without_them(api: Api) -> None:
    await register(api, "jira")
    fields = {"site": "acme", "email": "ada@example.com", "apiToken": "planted"}
    await connect_fields(api, "ada", "jira", fields)
    answer = await api.monkedo("GET", "/users/ada/connections/jira")
    assert answer.json["type"] == "basic"
    assert answer.json["scopes"] == []
    assert not any(value in answer.text for value in ("acme", "ada@example.com", "planted"))


async def test_deleting_a_connection_answers_nothing_and_destroys_its_secrets(api: Api, wired: Causeway) -> None:
    await api.connect("ada")
    credentials = await wired.pool.fetchval(
        "select count(*) from credentials where tenant_id = $1", api.plan.project_id
    )
    deleted = await api.monkedo("DELETE", "/users/ada/connections/github")
    assert (deleted.status, deleted.text) == (200, "")
    assert await api.status("ada", "github") == {"github": "not-connected"}
    left = await wired.pool.fetchval("select count(*) from credentials where tenant_id = $1", api.plan.project_id)
    assert left == credentials - 1


async def test_a_deleted_connection_is_209_and_may_be_made_again(api: Api) -> None:
    await api.connect("ada")
    await api.monkedo("DELETE", "/users/ada/connections/github")
    assert refusal(await api.monkedo("GET", "/users/ada/connections/github")) == (404, 209)
    assert refusal(await api.monkedo("DELETE", "/users/ada/connections/github")) == (404, 209)
    assert (await api.connect("ada")).status == 200
    assert (await details(api, "ada"))["status"] == "connected"


async def test_an_unknown_user_is_1000(api: Api) -> None:
    for method in ("GET", "DELETE"):
        assert refusal(await api.monkedo(method, "/users/nobody/connections/github")) == (404, 1000)


async def test_an_erased_user_is_1000_like_one_who_never_was(api: Api) -> None:
    await api.connect("ada")
    await api.manage("DELETE", f"{api.managed_project}/EndUser/ada")
    for method in ("GET", "DELETE"):
        assert refusal(await api.monkedo(method, "/users/ada/connections/github")) == (404, 1000)


async def test_an_app_that_is_not_registered_is_600(api: Api) -> None:
    await api.connect("ada")
    for method in ("GET", "DELETE"):
        assert refusal(await api.monkedo(method, "/users/ada/connections/notion")) == (404, 600)


async def test_one_users_connection_is_not_anothers(api: Api) -> None:
    await api.connect("ada")
    await api.connect("eve", "github", "of-eve")
    await api.monkedo("DELETE", "/users/eve/connections/github")
    assert await api.status("ada", "github") == {"github": "connected"}
