"""The developer's own connections, and the project's end users."""

from urllib.parse import quote
from uuid import uuid4

from app import Causeway
from tests.api.staging import stored
from tests.api_client import Answer, Api

ONCE = {"Idempotency-Key": "once"}


async def connect(api: Api, name: str = "mine", app: str = "github", **members: object) -> Answer:
    body = {"app_key": app, "name": name, "connection_fields": {"accessToken": "planted"}, **members}
    headers = ONCE if name == "once" else None
    return await api.manage("POST", f"{api.managed_project}/Connections", body, headers=headers)


async def test_an_own_connection_answers_its_entry_without_its_fields(api: Api) -> None:
    created = await connect(api)
    assert created.status == 201
    assert "planted" not in created.text
    entry = created.json
    unknown = {"account_name", "expires_at", "refreshed_at", "last_used_at", "error_message", "connect_url"}
    assert {name for name, value in entry.items() if value is None} == unknown
    assert set(entry) - unknown == {"id", "app_key", "name", "auth_type", "status", "created_at", "updated_at"}
    assert (entry["app_key"], entry["name"], entry["auth_type"], entry["status"]) == (
        "github",
        "mine",
        "api_key",
        "active",
    )
    path = f"{api.managed_project}/Connections"
    assert (await api.manage("GET", path)).json == [entry]
    assert (await api.manage("GET", f"{path}/{entry['id']}")).json == entry


async def test_names_tell_connections_to_one_app_apart(api: Api, wired: Causeway) -> None:
    assert (await connect(api, "first")).status == (await connect(api, "second")).status == 201
    before = await stored(wired.pool)
    again = await connect(api, "first")
    assert (again.status, "'first'" in again.text) == (400, True)
    assert await stored(wired.pool) == before


async def test_a_deleted_connection_is_gone_and_its_name_is_free(api: Api) -> None:
    path = f"{api.managed_project}/Connections/{(await connect(api)).json['id']}"
    deleted = await api.manage("DELETE", path)
    assert (deleted.status, deleted.text) == (200, "")
    assert (await api.manage("GET", path)).status == (await api.manage("DELETE", path)).status == 404
    assert (await connect(api)).status == 201


async def test_a_repeated_creation_or_deletion_is_answered_as_before(api: Api) -> None:
    first, again = await connect(api, "once"), await connect(api, "once")
    assert (again.status, again.text) == (first.status, first.text) == (201, first.text)
    path, gone = f"{api.managed_project}/Connections/{first.json['id']}", {"Idempotency-Key": "gone"}
    deletions = [await api.manage("DELETE", path, headers=gone) for _ in range(2)]
    assert [(one.status, one.text) for one in deletions] == [(200, "")] * 2


async def test_an_end_users_connection_is_not_the_developers_own(api: Api, wired: Causeway) -> None:
    await api.connect("ada")
    theirs = await wired.pool.fetchval("select connection_id from read_connections_1 where end_user_id is not null")
    for method in ("GET", "DELETE"):
        assert (await api.manage(method, f"{api.managed_project}/Connections/{theirs}")).status == 404
    assert (await api.manage("GET", f"{api.managed_project}/Connections")).json == []
    assert await api.status("ada", "github") == {"github": "connected"}


async def test_what_is_no_connection_is_404(api: Api) -> None:
    for one in (uuid4(), "nonsense", api.plan.project_id, api.plan.token_id):
        for method in ("GET", "DELETE"):
            assert (await api.manage(method, f"{api.managed_project}/Connections/{one}")).status == 404


async def test_what_does_not_fit_is_refused_and_stores_nothing(api: Api, wired: Causeway) -> None:
    before = await stored(wired.pool)
    for members in ({"name": ""}, {"connection_fields": {}}, {"connection_fields": {"other": "x"}}, {"verify": 1}):
        assert (await connect(api, **members)).status == 400, members  # type: ignore[arg-type]
    assert (await connect(api, app="notion")).status == 404
    assert await stored(wired.pool) == before


async def test_end_users_are_listed_with_the_applications_own_id(api: Api) -> None:
    await api.connect("ada")
    await connect(api)
    listed = (await api.manage("GET", f"{api.managed_project}/EndUsers")).json
    assert len(listed) == 1
    assert set(listed[0]) == {"id", "user_id", "connections", "created_at"}
    assert (listed[0]["user_id"], listed[0]["connections"]) == ("ada", 1)


async def test_erasing_an_end_user_destroys_everything_personal(api: Api, wired: Causeway) -> None:
    user = "ada@example.com/1"
    await api.connect(quote(user, safe=""))
    await connect(api)
    erased = await api.manage("DELETE", f"{api.managed_project}/EndUser/{quote(user, safe='')}")
    assert (erased.status, erased.text) == (200, "")
    assert (await api.manage("GET", f"{api.managed_project}/EndUsers")).json == []
    shredded = await wired.pool.fetch("select wrapped_key from data_keys where shredded_at is not null")
    assert [row["wrapped_key"] for row in shredded] == [None]
    left = "select count(*) from credentials where tenant_id = $1"
    assert await wired.pool.fetchval(left, api.plan.project_id) == 2  # the own connection's, and the webhook's secret
    assert len((await api.manage("GET", f"{api.managed_project}/Connections")).json) == 1


async def test_an_unknown_end_user_cannot_be_erased(api: Api) -> None:
    for user in ("nobody", "%20", str(uuid4())):
        answer = await api.manage("DELETE", f"{api.managed_project}/EndUser/{user}")
        assert (answer.status, answer.text) == (404, "No record found for the user.")


async def test_a_repeated_erasure_is_answered_as_before(api: Api) -> None:
    await api.connect("ada")
    erasures = [await api.manage("DELETE", f"{api.managed_project}/EndUser/ada", headers=ONCE) for _ in range(2)]
    assert [(one.status, one.text) for one in erasures] == [(200, "")] * 2
