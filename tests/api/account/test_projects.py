"""Projects: created, read, replaced, deleted."""

import asyncio
from typing import Any
from uuid import uuid4

from app import Causeway
from tests.api.staging import stored
from tests.api_client import Api

PROJECT = "/subscriptions/v2/Project"
FULL = {
    "name": "Shop",
    "webhook_url": "https://shop.example/hooks",
    "logo_url": "https://shop.example/logo.png",
    "allowed_origins": ["https://app.shop.example", "HTTPS://Shop.example:8443/"],
}


async def test_a_created_project_answers_its_full_entry(api: Api) -> None:
    created = await api.manage("POST", PROJECT, FULL)
    assert created.status == 201
    entry = created.json
    assert set(entry) == {
        *{"id", "name", "webhook_url", "logo_url", "allowed_origins", "created_at"},
        *{"webhook_status", "webhook_disabled_at", "webhook_message", "webhook_secret"},
    }
    assert {name: entry[name] for name in FULL} == {
        **FULL,
        "allowed_origins": ["https://app.shop.example", "https://shop.example:8443"],
    }
    assert entry.pop("webhook_secret").startswith("whsec_")
    assert (await api.manage("GET", f"{PROJECT}/{entry['id']}")).json == entry
    listed = (await api.manage("GET", "/subscriptions/v2/Projects")).json
    assert [project["name"] for project in listed] == ["Quickstart", "Shop"]


async def test_put_replaces_so_that_absent_members_become_null(api: Api) -> None:
    entry = (await api.manage("POST", PROJECT, FULL)).json
    del entry["webhook_secret"]
    bare = {"name": "Store", "webhook_url": "https://store.example/hooks"}
    put = await api.manage("PUT", f"{PROJECT}/{entry['id']}", bare)
    assert put.status == 200
    assert put.json == {**entry, **bare, "logo_url": None, "allowed_origins": []}
    assert (await api.manage("GET", f"{PROJECT}/{entry['id']}")).json == put.json


async def test_putting_what_is_there_already_stores_nothing(api: Api, wired: Causeway) -> None:
    entry = (await api.manage("POST", PROJECT, FULL)).json
    del entry["webhook_secret"]
    before = await stored(wired.pool)
    again = await api.manage("PUT", f"{PROJECT}/{entry['id']}", FULL)
    assert (again.status, again.json) == (200, entry)
    assert await stored(wired.pool) == before


WRONG: list[dict[str, Any]] = [
    {"name": ""},
    {"name": "   "},
    {"name": None},
    {"name": "x" * 201},
    {"name": 5},
    {"webhook_url": None},
    {"webhook_url": "shop.example"},
    {"webhook_url": "ftp://shop.example"},
    {"webhook_url": "https://"},
    {"webhook_url": "https://user:password@shop.example"},
    {"webhook_url": "https://shop.example/a b"},
    {"webhook_url": "https://[::1"},
    {"webhook_url": "https://shop.example:99999"},
    {"webhook_url": "https://" + "x" * 2000},
    {"logo_url": "javascript:alert(1)"},
    {"allowed_origins": ["https://shop.example/path"]},
    {"allowed_origins": ["*"]},
    {"allowed_origins": "https://shop.example"},
    {"allowed_origins": ["https://shop.example"] * 101},
]


async def test_wrong_settings_are_400_in_plain_text_and_store_nothing(api: Api, wired: Causeway) -> None:
    before = await stored(wired.pool)
    for wrong in WRONG:
        for method, path in (("POST", PROJECT), ("PUT", api.managed_project)):
            answer = await api.manage(method, path, {**FULL, **wrong})
            assert answer.status == 400, wrong
            assert answer.headers["Content-Type"].startswith("text/plain")
    for name in ("name", "webhook_url"):
        rest = {key: value for key, value in FULL.items() if key != name}
        assert (await api.manage("POST", PROJECT, rest)).status == 400
        assert (await api.manage("PUT", api.managed_project, rest)).status == 400
    assert await stored(wired.pool) == before


async def test_an_unknown_project_is_404_on_every_route(api: Api) -> None:
    for project in (uuid4(), "nonsense", "1"):
        for method, path in [
            ("GET", ""),
            ("PUT", ""),
            ("DELETE", ""),
            ("GET", "/Tokens"),
            ("POST", "/Token"),
            ("DELETE", f"/Token/{uuid4()}"),
            ("GET", "/Integrations"),
            ("POST", "/Integration"),
            ("DELETE", "/Integration/github"),
            ("GET", "/EndUsers"),
            ("DELETE", "/EndUser/ada"),
            ("GET", "/Connections"),
            ("POST", "/Connections"),
        ]:
            answer = await api.manage(method, f"{PROJECT}/{project}{path}", {})
            assert (answer.status, answer.text) == (404, "No project record found."), (method, path)


async def test_deleting_a_project_answers_nothing_and_takes_its_secrets_along(api: Api, wired: Causeway) -> None:
    await api.connect("ada")
    deleted = await api.manage("DELETE", api.managed_project)
    assert (deleted.status, deleted.text) == (200, "")
    assert (await api.manage("DELETE", api.managed_project)).status == 404
    assert (await api.manage("GET", "/subscriptions/v2/Projects")).json == []
    project = api.plan.project_id
    for table in ("credentials", "uniques", "commands"):
        assert await wired.pool.fetchval(f"select count(*) from {table} where tenant_id = $1", project) == 0
    keys = await wired.pool.fetch("select wrapped_key from data_keys where tenant_id = $1", project)
    assert [row["wrapped_key"] for row in keys] == [None, None]
    assert await wired.pool.fetchval("select count(*) from all_events where tenant_id = $1", project) > 0


async def test_a_repeated_creation_is_one_project(api: Api) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await api.manage("POST", PROJECT, FULL, headers=headers)
    again = await api.manage("POST", PROJECT, FULL, headers=headers)
    assert (again.status, again.json) == (201, first.json)
    other = await api.manage("POST", PROJECT, {**FULL, "name": "Other"}, headers=headers)
    assert other.status == 400
    assert len((await api.manage("GET", "/subscriptions/v2/Projects")).json) == 2


async def test_projects_created_at_once_are_all_listed(api: Api) -> None:
    bodies = [{**FULL, "name": f"Shop {number}"} for number in range(20)]
    created = await asyncio.gather(*(api.manage("POST", PROJECT, body) for body in bodies))
    assert {answer.status for answer in created} == {201}
    listed = (await api.manage("GET", "/subscriptions/v2/Projects")).json
    assert {project["id"] for project in listed} >= {answer.json["id"] for answer in created}
    assert len(listed) == 21
