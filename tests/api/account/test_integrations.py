"""The apps that a project registers, and the catalogue they come from."""

from typing import Any

from app import Causeway
from tests.api.staging import register, stored
from tests.api_client import Api


async def test_a_registered_app_answers_its_full_entry_without_its_client_secret(api: Api) -> None:
    given = {"client_id": "client", "client_secret": "planted-secret", "scopes": ["read", "write"]}
    created = await register(api, "notion", auth_type="api_key", **given)
    entry = created.json
    assert entry.pop("created_at")
    told = {"app_key": "notion", "auth_type": "api_key", "client_id": "client", "scopes": ["read", "write"]}
    assert entry == {**told, "redirect_uri": None}
    listed = await api.manage("GET", f"{api.managed_project}/Integrations")
    assert [one["app_key"] for one in listed.json] == ["github", "telegram-bot", "notion"]
    assert "planted-secret" not in created.text + listed.text
    assert "client_secret" not in created.text + listed.text


async def test_a_duplicate_is_400_and_stores_nothing(api: Api, wired: Causeway) -> None:
    before = await stored(wired.pool)
    again = await api.manage("POST", f"{api.managed_project}/Integration", {"app_key": "github"})
    assert (again.status, again.text) == (400, "The project has an integration of this app already.")
    assert await stored(wired.pool) == before


WRONG: list[dict[str, Any]] = [
    {},
    {"app_key": ""},
    {"app_key": None},
    {"app_key": "x" * 201},
    {"app_key": "notion", "auth_type": "oauth1"},
    {"app_key": "notion", "scopes": "read"},
    {"app_key": "notion", "client_secret": 5},
]


async def test_what_cannot_be_registered_is_refused_and_stores_nothing(api: Api, wired: Causeway) -> None:
    before = await stored(wired.pool)
    for wrong in WRONG:
        assert (await api.manage("POST", f"{api.managed_project}/Integration", wrong)).status == 400, wrong
    for unknown in ("nonsense", "status", "import", "../github"):
        answer = await api.manage("POST", f"{api.managed_project}/Integration", {"app_key": unknown})
        assert answer.status == 404
    assert await stored(wired.pool) == before


async def test_a_removed_app_is_gone_with_its_secret_and_may_come_again(api: Api, wired: Causeway) -> None:
    await register(api, "notion", client_secret="planted-secret")
    deleted = await api.manage("DELETE", f"{api.managed_project}/Integration/notion")
    assert (deleted.status, deleted.text) == (200, "")
    left = "select count(*) from credentials where tenant_id = $1"
    assert await wired.pool.fetchval(left, api.plan.project_id) == 1  # the webhook's secret
    assert (await api.manage("DELETE", f"{api.managed_project}/Integration/notion")).status == 404
    await register(api, "notion")


async def test_a_repeated_registration_and_removal_are_answered_as_before(api: Api) -> None:
    path, once = f"{api.managed_project}/Integration", {"Idempotency-Key": "once"}
    first = await api.manage("POST", path, {"app_key": "notion"}, headers=once)
    again = await api.manage("POST", path, {"app_key": "notion"}, headers=once)
    assert (again.status, again.text) == (first.status, first.text) == (201, first.text)
    gone = {"Idempotency-Key": "gone"}
    removals = [await api.manage("DELETE", f"{path}/notion", headers=gone) for _ in range(2)]
    assert [(one.status, one.text) for one in removals] == [(200, "")] * 2


async def test_the_catalogue_tells_every_app_with_what_it_asks_for(api: Api) -> None:
    apps = (await api.manage("GET", "/subscriptions/v2/Apps")).json
    assert len(apps) >= 12
    assert [app["app_key"] for app in apps] == sorted(app["app_key"] for app in apps)
    for app in apps:
        assert set(app) == {
            "app_key",
            "name",
            "description",
            "categories",
            "auth_types",
            "credential_info",
            "docs",
        }
        assert set(app["credential_info"]) == set(app["auth_types"])
        typed_in = {"api_key", "basic", "custom"} & set(app["auth_types"])
        assert all(app["credential_info"][auth_type]["fields"] for auth_type in typed_in)


async def test_no_app_is_named_like_a_route(api: Api) -> None:
    apps = (await api.manage("GET", "/subscriptions/v2/Apps")).json
    assert {"status", "import"}.isdisjoint(app["app_key"] for app in apps)
