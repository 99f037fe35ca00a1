"""Instances and their proxy keys."""

from __future__ import annotations

import asyncio

from adapters.postgres.pool import Pool
from app import Causeway
from tests.api.every_route import UNKNOWN_ID
from tests.api.grants.speaking import Grants, detail, problems
from tests.projections.histories import findings

NO_INSTANCE = (404, "No such instance.")


async def test_the_proxy_key_is_shown_when_it_is_made_and_nowhere_else(grants: Grants, pool: Pool) -> None:
    made = await grants.created("/v1/instances", {"name": "bot"})
    key = made.pop("proxy_key")
    assert key.startswith("cwi_")
    one = await grants.call("GET", f"/v1/instances/{made['id']}")
    listed = await grants.call("GET", "/v1/instances")
    assert one.json == made
    assert listed.json == {"instances": [made], "total": 1}
    assert (made["name"], made["customer_id"], made["key_rotated_at"], made["last_used_at"]) == (
        "bot",
        None,
        None,
        None,
    )
    secret = key.removeprefix("cwi_")[22:]
    for table in ("events", "commands", "read_instances_1"):
        assert secret not in str(await pool.fetch(f"select * from {table}"))


async def test_a_repeated_creation_shows_the_same_key_again(grants: Grants) -> None:
    once = {"Idempotency-Key": "k1"}
    first, second = [await grants.call("POST", "/v1/instances", {"name": "bot"}, headers=once) for _ in range(2)]
    assert (first.status, first.text) == (201, second.text)
    assert (await grants.call("GET", "/v1/instances")).json["total"] == 1


async def test_a_rotated_key_opens_and_the_one_before_does_not_any_more(grants: Grants) -> None:
    _, runtime = await grants.granted()
    for path in (f"/v1/instances/{runtime.id}/rotate-key", f"/v1/instances/admin/{runtime.id}/rotate-key"):
        assert (await runtime.fetch()).status == 200
        rotated = await grants.call("POST", path)
        assert (rotated.status, rotated.json["id"]) == (200, runtime.id)
        assert (await runtime.fetch()).status == 401
        runtime.key = rotated.json["proxy_key"]
    assert (await runtime.fetch()).status == 200
    one = (await grants.call("GET", f"/v1/instances/{runtime.id}")).json
    assert one["key_rotated_at"] == rotated.json["key_rotated_at"]


async def test_a_repeated_rotation_rotates_once(grants: Grants) -> None:
    runtime = await grants.made_instance()
    path, once = f"/v1/instances/{runtime.id}/rotate-key", {"Idempotency-Key": "k1"}
    first, second = [await grants.call("POST", path, headers=once) for _ in range(2)]
    assert (first.status, first.text) == (200, second.text)


async def test_of_many_rotations_at_once_the_last_key_alone_opens(grants: Grants) -> None:
    _, runtime = await grants.granted()
    path = f"/v1/instances/{runtime.id}/rotate-key"
    answers = await asyncio.gather(*(grants.call("POST", path) for _ in range(5)))
    opened = []
    for answer in answers:
        runtime.key = answer.json["proxy_key"]
        opened.append((await runtime.fetch()).status)
    assert sorted(opened) == [200, 401, 401, 401, 401]


async def test_a_deleted_instance_is_gone_with_its_key_and_grants(grants: Grants, wired: Causeway) -> None:
    connection, runtime = await grants.granted()
    assert (await grants.call("DELETE", f"/v1/instances/{runtime.id}")).status == 204
    assert (await runtime.fetch()).status == 401
    assert (await grants.connections(connection["customer_id"]))[0]["grants"] == []
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate-key")):
        assert detail(await grants.call(method, f"/v1/instances/{runtime.id}{path}")) == NO_INSTANCE
    assert detail(await grants.grant(connection, runtime.id)) == NO_INSTANCE
    assert await findings(wired) == []


async def test_an_instance_may_belong_to_a_customer(grants: Grants) -> None:
    customer = await grants.made_customer()
    made = await grants.created("/v1/instances", {"name": "hers", "customer_id": customer})
    one = (await grants.call("GET", f"/v1/instances/{made['id']}")).json
    assert (one["name"], one["customer_id"]) == ("hers", customer)
    unknown = await grants.call("POST", "/v1/instances", {"name": "x", "customer_id": UNKNOWN_ID})
    assert detail(unknown) == (404, "No record found for the user.")
    theirs = await grants.made_connection(await grants.made_customer())
    assert detail(await grants.grant(theirs, made["id"])) == (409, "The instance belongs to another customer.")


async def test_when_an_instance_was_last_used_shows(grants: Grants, wired: Causeway) -> None:
    _, runtime = await grants.granted()
    await runtime.fetch()
    await wired.marks.flush()
    assert (await grants.call("GET", f"/v1/instances/{runtime.id}")).json["last_used_at"] is not None


async def test_an_instance_that_does_not_fit_is_refused(grants: Grants) -> None:
    for body, expected in (
        ({}, [(["body", "name"], "missing")]),
        ({"name": ""}, [(["body", "name"], "string_too_short")]),
        ({"name": "x", "customer_id": "x"}, [(["body", "customer_id"], "uuid_parsing")]),
        ({"name": 1, "customer_id": 1}, [(["body", "name"], "string_type"), (["body", "customer_id"], "uuid_type")]),
    ):
        assert problems(await grants.call("POST", "/v1/instances", body)) == expected
