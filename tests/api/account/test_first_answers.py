"""An Idempotency-Key gives the first answer again, whole, whatever has happened since."""

from __future__ import annotations

import asyncio
from typing import Any

from app import Causeway
from domain.deciding import Caller
from tests.api.staging import stored
from tests.api_client import Answer, Api

PROJECT = "/subscriptions/v2/Project"
SHOP = {"name": "Shop", "webhook_url": "https://shop.example/hooks", "allowed_origins": ["https://a.example"]}
STORE = {"name": "Store", "webhook_url": "https://store.example/hooks"}
ONCE = {"Idempotency-Key": "once"}
REUSED = "This Idempotency-Key was sent before with another request."


def said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.text


async def once(api: Api, method: str, path: str, body: Any = None) -> Answer:
    return await api.manage(method, path, body, headers=ONCE)


async def test_a_project_s_creation_is_answered_as_before_although_it_was_changed_and_deleted(api: Api) -> None:
    first = await once(api, "POST", PROJECT, SHOP)
    path = f"{PROJECT}/{first.json['id']}"
    shown = {name: value for name, value in first.json.items() if name != "webhook_secret"}
    assert (await api.manage("GET", path)).json == shown
    assert (await api.manage("PUT", path, STORE)).status == 200
    assert said(await once(api, "POST", PROJECT, SHOP)) == said(first)
    assert (await api.manage("DELETE", path)).status == 200
    assert said(await once(api, "POST", PROJECT, SHOP)) == said(first)
    assert (await api.manage("GET", path)).status == 404


async def test_a_replacement_is_answered_as_before_and_not_done_again(api: Api) -> None:
    first = await once(api, "PUT", api.managed_project, SHOP)
    assert (await api.manage("GET", api.managed_project)).json == first.json
    later = await api.manage("PUT", api.managed_project, STORE)
    assert said(await once(api, "PUT", api.managed_project, SHOP)) == said(first)
    assert (await api.manage("GET", api.managed_project)).json == later.json


async def test_a_replacement_that_changed_nothing_is_not_done_later(api: Api) -> None:
    await api.manage("PUT", api.managed_project, SHOP)
    first = await once(api, "PUT", api.managed_project, SHOP)
    later = await api.manage("PUT", api.managed_project, STORE)
    assert said(await once(api, "PUT", api.managed_project, SHOP)) == said(first)
    assert (await api.manage("GET", api.managed_project)).json == later.json
    assert said(await once(api, "PUT", api.managed_project, STORE)) == (400, REUSED)


async def test_a_token_is_answered_as_before_although_it_was_revoked(api: Api) -> None:
    path = f"{api.managed_project}/Token"
    first = await once(api, "POST", path, {"name": "ci"})
    assert (await api.manage("DELETE", f"{path}/{first.json['id']}")).status == 200
    assert said(await once(api, "POST", path, {"name": "ci"})) == said(first)


async def test_an_integration_is_answered_as_before_although_another_took_its_place(api: Api) -> None:
    path = f"{api.managed_project}/Integration"
    body = {"app_key": "notion", "client_id": "first", "scopes": ["read", "write"]}
    first = await once(api, "POST", path, body)
    assert first.json in (await api.manage("GET", f"{api.managed_project}/Integrations")).json
    assert (await api.manage("DELETE", f"{path}/notion")).status == 200
    assert said(await once(api, "POST", path, body)) == said(first)
    assert (await api.manage("POST", path, {"app_key": "notion", "client_id": "second"})).status == 201
    assert said(await once(api, "POST", path, body)) == said(first)


async def test_an_own_connection_is_answered_as_before_although_it_was_deleted(api: Api) -> None:
    path = f"{api.managed_project}/Connections"
    body = {"app_key": "github", "name": "mine", "connection_fields": {"accessToken": "x"}}
    first = await once(api, "POST", path, body)
    assert (await api.manage("GET", path)).json == [first.json]
    assert (await api.manage("DELETE", f"{path}/{first.json['id']}")).status == 200
    assert said(await once(api, "POST", path, body)) == said(first)
    assert (await api.manage("GET", path)).json == []


async def test_a_project_s_deletion_is_answered_as_before(api: Api, wired: Causeway) -> None:
    assert said(await once(api, "DELETE", api.managed_project)) == (200, "")
    before = await stored(wired.pool)
    assert said(await once(api, "DELETE", api.managed_project)) == (200, "")
    assert (await api.manage("DELETE", api.managed_project)).status == 404
    assert await stored(wired.pool) == before


async def test_twenty_deletions_at_once_with_one_key_are_one(api: Api) -> None:
    answers = await asyncio.gather(*(once(api, "DELETE", api.managed_project) for _ in range(20)))
    assert {said(answer) for answer in answers} == {(200, "")}


async def test_a_key_that_deleted_one_project_deletes_no_other(api: Api) -> None:
    other = (await api.manage("POST", PROJECT, SHOP)).json["id"]
    assert (await once(api, "DELETE", f"{PROJECT}/{other}")).status == 200
    assert said(await once(api, "DELETE", api.managed_project)) == (400, REUSED)
    assert said(await once(api, "POST", PROJECT, SHOP)) == (400, REUSED)
    assert (await api.manage("GET", api.managed_project)).status == 200


async def test_a_key_that_did_something_in_a_project_does_not_delete_it(api: Api) -> None:
    assert (await once(api, "POST", f"{api.managed_project}/Token", {"name": "ci"})).status == 201
    assert said(await once(api, "DELETE", api.managed_project)) == (400, REUSED)
    assert (await api.manage("GET", api.managed_project)).status == 200


async def test_a_deletion_that_broke_off_half_way_is_finished_by_the_next(api: Api, wired: Causeway) -> None:
    await wired.services.projects._close(api.plan.project_id, Caller("test:"))
    assert [one["id"] for one in (await api.manage("GET", "/subscriptions/v2/Projects")).json] == []
    assert await wired.services.company_queries.lists(api.plan.company_id, api.plan.project_id)
    for _ in range(2):
        assert said(await once(api, "DELETE", api.managed_project)) == (200, "")
    assert not await wired.services.company_queries.lists(api.plan.company_id, api.plan.project_id)


async def test_another_company_cannot_delete_it(api: Api, wired: Causeway) -> None:
    before = await stored(wired.pool)
    for other in (api.plan.company_id, api.plan.token_id):
        assert (await once(api, "DELETE", f"{PROJECT}/{other}")).status == 404
    assert await stored(wired.pool) == before
