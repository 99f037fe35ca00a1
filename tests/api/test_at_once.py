"""Many callers at one moment: each gets the true answer, and nobody is turned away for want of patience."""

from __future__ import annotations

import asyncio

from adapters.postgres.pool import Pool
from app import Causeway
from tests.api_client import MANAGEMENT, Api

MORE_THAN_ATTEMPTS = 100


async def test_a_repeated_creation_sent_at_once_is_answered_as_created(api: Api) -> None:
    body = {"name": "n", "webhook_url": "https://x.example"}
    for number in range(5):
        key = {"Idempotency-Key": f"k{number}"}
        posts = [api.manage("POST", f"{MANAGEMENT}/Project", body, headers=key) for _ in range(4)]
        answers = await asyncio.gather(*posts)
        assert [answer.status for answer in answers] == [201] * 4
        assert len({answer.json["id"] for answer in answers}) == 1


async def test_putting_the_same_at_once_answers_what_was_put(api: Api) -> None:
    for number in range(5):
        body = {"name": f"v{number}", "webhook_url": "https://x.example"}
        answers = await asyncio.gather(*(api.manage("PUT", api.managed_project, body) for _ in range(4)))
        assert [answer.json["name"] for answer in answers] == [f"v{number}"] * 4


async def test_many_projects_made_at_once_are_all_made(api: Api) -> None:
    bodies = [{"name": f"p{number}", "webhook_url": "https://x.example"} for number in range(MORE_THAN_ATTEMPTS)]
    answers = await asyncio.gather(*(api.manage("POST", f"{MANAGEMENT}/Project", body) for body in bodies))
    assert {answer.status for answer in answers} == {201}


async def test_many_imports_of_one_user_at_once_are_all_taken(api: Api) -> None:
    body = {"userId": "ada", "appKey": "github", "scopes": [], "accessToken": "ghp_x"}
    imports = [api.monkedo("POST", "/users/connections/import", body) for _ in range(MORE_THAN_ATTEMPTS)]
    assert {answer.status for answer in await asyncio.gather(*imports)} == {200}


async def test_a_refused_conflict_is_seen_by_the_next_read(api: Api) -> None:
    for number in range(10):
        answers = await asyncio.gather(*(api.connect(f"u{number}") for _ in range(4)))
        assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
        assert await api.status(f"u{number}", "github") == {"github": "connected"}


async def test_answers_past_their_time_are_removed(api: Api, wired: Causeway, pool: Pool) -> None:
    await api.manage("POST", f"{api.managed_project}/Token", {"name": "t"}, headers={"Idempotency-Key": "k"})
    assert await wired.store.remove_expired_answers(10) == 0
    await pool.execute("update commands set expires_at = clock_timestamp() - interval '1 second'")
    assert await wired.store.remove_expired_answers(10) == 1
    assert await pool.fetchval("select count(*) from commands") == 0
