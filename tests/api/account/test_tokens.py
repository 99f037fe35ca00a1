"""A project's API tokens."""

import asyncio
import hashlib
from datetime import datetime
from uuid import uuid4

from app import Causeway
from tests.api.staging import stored
from tests.api_client import Api

ONCE = {"Idempotency-Key": "once"}


async def test_a_token_is_shown_once_and_only_its_hash_is_kept(api: Api, wired: Causeway) -> None:
    created = await api.manage("POST", f"{api.managed_project}/Token", {"name": "ci"})
    assert created.status == 201
    assert set(created.json) == {"id", "name", "token", "created_at", "last_used_at"}
    token = created.json["token"]
    listed = await api.manage("GET", f"{api.managed_project}/Tokens")
    assert [entry["name"] for entry in listed.json] == ["Quickstart", "ci"]
    assert token not in listed.text
    assert listed.json[1] == {name: value for name, value in created.json.items() if name != "token"}
    digest = await wired.pool.fetchval(
        "select digest from read_project_tokens_1 where token_id::text = $1", created.json["id"]
    )
    assert digest == hashlib.sha256(token.encode()).digest()


async def test_the_last_use_appears(api: Api, wired: Causeway) -> None:
    created = (await api.manage("POST", f"{api.managed_project}/Token", {"name": "ci"})).json
    assert created["last_used_at"] is None
    await api.monkedo("GET", "/apps/github/credential-info", token=created["token"])
    await wired.marks.flush()
    listed = (await api.manage("GET", f"{api.managed_project}/Tokens")).json
    used = {entry["name"]: entry["last_used_at"] for entry in listed}
    assert used["Quickstart"] is None
    assert datetime.fromisoformat(used["ci"]) >= datetime.fromisoformat(created["created_at"])


async def test_a_revoked_token_fails_at_once_and_is_listed_no_more(api: Api) -> None:
    created = (await api.manage("POST", f"{api.managed_project}/Token", {"name": "ci"})).json
    path = f"{api.managed_project}/Token/{created['id']}"
    assert (await api.monkedo("GET", "/apps/github/credential-info", token=created["token"])).status == 200
    deleted = await api.manage("DELETE", path)
    assert (deleted.status, deleted.text) == (200, "")
    assert (await api.monkedo("GET", "/apps/github/credential-info", token=created["token"])).status == 401
    assert [entry["name"] for entry in (await api.manage("GET", f"{api.managed_project}/Tokens")).json] == [
        "Quickstart"
    ]
    again = await api.manage("DELETE", path)
    assert (again.status, again.text) == (404, "No token with that id in this project.")


async def test_what_is_no_token_of_the_project_is_404(api: Api) -> None:
    for token_id in (uuid4(), "nonsense", api.plan.project_id, api.plan.company_id):
        assert (await api.manage("DELETE", f"{api.managed_project}/Token/{token_id}")).status == 404


async def test_a_repeated_creation_gives_the_same_token(api: Api, wired: Causeway) -> None:
    path = f"{api.managed_project}/Token"
    first = await api.manage("POST", path, {"name": "ci"}, headers=ONCE)
    before = await stored(wired.pool)
    again = await api.manage("POST", path, {"name": "ci"}, headers=ONCE)
    assert (again.status, again.json) == (201, first.json)
    assert (await api.monkedo("GET", "/apps/github/credential-info", token=again.json["token"])).status == 200
    assert await stored(wired.pool) == before


async def test_twenty_at_once_with_one_key_are_one_token(api: Api) -> None:
    path = f"{api.managed_project}/Token"
    answers = await asyncio.gather(*(api.manage("POST", path, {"name": "ci"}, headers=ONCE) for _ in range(20)))
    assert len({answer.text for answer in answers}) == 1
    assert len((await api.manage("GET", f"{api.managed_project}/Tokens")).json) == 2


async def test_the_same_key_with_another_request_is_400(api: Api) -> None:
    path = f"{api.managed_project}/Token"
    await api.manage("POST", path, {"name": "ci"}, headers=ONCE)
    said = "This Idempotency-Key was sent before with another request."
    other = await api.manage("POST", path, {"name": "cd"}, headers=ONCE)
    assert (other.status, other.text) == (400, said)
    elsewhere = await api.manage("POST", f"{api.managed_project}/Integration", {"app_key": "notion"}, headers=ONCE)
    assert (elsewhere.status, elsewhere.text) == (400, said)


async def test_a_person_and_a_key_may_use_the_same_idempotency_key(api: Api, session: str) -> None:
    path = f"{api.managed_project}/Token"
    by_key = await api.manage("POST", path, {"name": "ci"}, headers=ONCE)
    by_person = await api.manage("POST", path, {"name": "ci"}, headers=ONCE, token=session)
    assert by_key.json["id"] != by_person.json["id"]
