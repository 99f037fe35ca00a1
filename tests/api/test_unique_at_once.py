"""Facts that must be unique, sent twenty times at once: exactly one is stored."""

from __future__ import annotations

import asyncio
from collections import Counter

from app import Causeway
from tests.api.staging import connect_fields, import_token
from tests.api_client import Answer, Api

AT_ONCE = 20


async def events(wired: Causeway, topics: str) -> int:
    return int(await wired.pool.fetchval("select count(*) from events where topic like $1", topics))


def statuses(answers: list[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


async def test_one_of_twenty_connects_wins(api: Api, wired: Causeway) -> None:
    answers = await asyncio.gather(
        *(connect_fields(api, "ada", "github", {"accessToken": str(n)}) for n in range(AT_ONCE))
    )
    assert statuses(answers) == {200: 1, 409: AT_ONCE - 1}
    assert await events(wired, "connection.%") == 1
    assert await events(wired, "end_user.added") == 1
    theirs = "select count(*) from credentials where tenant_id = $1 and subject_id <> tenant_id"
    assert await wired.pool.fetchval(theirs, api.plan.project_id) == 1


async def test_one_of_twenty_imports_wins(api: Api, wired: Causeway) -> None:
    answers = await asyncio.gather(*(import_token(api, "ada", accessToken=str(n)) for n in range(AT_ONCE)))
    assert statuses(answers) == {200: 1, 409: AT_ONCE - 1}
    assert await events(wired, "connection.%") == 1
    assert await events(wired, "end_user.added") == 1


async def test_twenty_imports_of_the_older_generation_replace_one_another_in_one_connection(
    api: Api, wired: Causeway
) -> None:
    body = {"userId": "ada", "appKey": "github", "scopes": []}
    answers = await asyncio.gather(
        *(api.monkedo("POST", "/users/connections/import", {**body, "accessToken": str(n)}) for n in range(AT_ONCE))
    )
    assert statuses(answers) == {200: AT_ONCE}
    assert await wired.pool.fetchval("select count(*) from read_connections_1") == 1
    assert (
        await wired.pool.fetchval("select count(distinct stream_id) from events where topic like 'connection.%'") == 1
    )
    assert await events(wired, "end_user.added") == 1


async def test_a_user_who_comes_over_two_apps_at_once_is_one_user(api: Api, wired: Causeway) -> None:
    apps = ["github", "telegram-bot"] * (AT_ONCE // 2)
    answers = await asyncio.gather(*(import_token(api, "ada", app) for app in apps))
    assert statuses(answers) == {200: 2, 409: AT_ONCE - 2}
    assert await events(wired, "end_user.added") == 1
    listed = (await api.manage("GET", f"{api.managed_project}/EndUsers")).json
    assert [(one["user_id"], one["connections"]) for one in listed] == [("ada", 2)]


async def test_one_of_twenty_integrations_wins(api: Api, wired: Causeway) -> None:
    before = await events(wired, "integration.added")
    path, body = f"{api.managed_project}/Integration", {"app_key": "notion", "client_secret": "s"}
    answers = await asyncio.gather(*(api.manage("POST", path, body) for _ in range(AT_ONCE)))
    assert statuses(answers) == {201: 1, 400: AT_ONCE - 1}
    assert await events(wired, "integration.added") == before + 1


async def test_one_of_twenty_connections_of_one_name_wins(api: Api, wired: Causeway) -> None:
    body = {"app_key": "github", "name": "mine", "connection_fields": {"accessToken": "x"}}
    path = f"{api.managed_project}/Connections"
    answers = await asyncio.gather(*(api.manage("POST", path, body) for _ in range(AT_ONCE)))
    assert statuses(answers) == {201: 1, 400: AT_ONCE - 1}
    assert await events(wired, "connection.%") == 1


async def test_one_of_twenty_deletions_wins(api: Api, wired: Causeway) -> None:
    await api.connect("ada")
    path = "/users/ada/connections/github"
    answers = await asyncio.gather(*(api.monkedo("DELETE", path) for _ in range(AT_ONCE)))
    assert statuses(answers) == {200: 1, 404: AT_ONCE - 1}
    assert await events(wired, "connection.deleted") == 1


async def test_one_of_twenty_erasures_wins(api: Api, wired: Causeway) -> None:
    await api.connect("ada")
    path = f"{api.managed_project}/EndUser/ada"
    answers = await asyncio.gather(*(api.manage("DELETE", path) for _ in range(AT_ONCE)))
    assert statuses(answers) == {200: 1, 404: AT_ONCE - 1}
    assert await events(wired, "end_user.erased") == 1


async def test_one_of_twenty_deletions_of_a_project_wins(api: Api, wired: Causeway) -> None:
    answers = await asyncio.gather(*(api.manage("DELETE", api.managed_project) for _ in range(AT_ONCE)))
    assert set(statuses(answers)) <= {200, 404}
    assert statuses(answers)[200] >= 1
    assert await events(wired, "project.deleted") == 1
    assert await events(wired, "company.project_unlisted") == 1
