"""Grants: made, listed, taken back."""

from __future__ import annotations

import asyncio

from app import Causeway
from tests.api.every_route import UNKNOWN_ID
from tests.api.grants.speaking import Grants, detail, problems
from tests.projections.histories import findings


async def test_a_grant_lives_from_its_making_to_its_taking_back(grants: Grants, wired: Causeway) -> None:
    connection = await grants.made_connection(await grants.made_customer())
    runtime = await grants.made_instance()
    assert detail(await runtime.fetch()) == (404, "This instance has no grant of such a connection.")
    made = await grants.made_grant(connection, runtime.id, "send_mail", "read_mail", "send_mail")
    assert made["capabilities"] == ["send_mail", "read_mail"]
    assert (made["connection_id"], made["instance_id"]) == (connection["id"], runtime.id)
    assert (await runtime.fetch()).json["capabilities"] == ["send_mail", "read_mail"]
    assert (await grants.connections(connection["customer_id"]))[0]["grants"] == [made]
    assert (await grants.delete(connection, f"/grants/{made['id']}")).status == 204
    assert (await runtime.fetch()).status == 404
    assert detail(await grants.delete(connection, f"/grants/{made['id']}")) == (
        404,
        "No such grant of this connection.",
    )
    assert (await grants.connections(connection["customer_id"]))[0]["grants"] == []
    assert (await grants.made_grant(connection, runtime.id))["id"] != made["id"]
    assert await findings(wired) == []


async def test_an_instance_has_one_grant_of_a_connection(grants: Grants) -> None:
    connection, runtime = await grants.granted()
    again = (409, "This instance has a grant of the connection already.")
    assert detail(await grants.grant(connection, runtime.id, "more")) == again
    other = await grants.made_instance()
    answers = await asyncio.gather(*(grants.grant(connection, other.id) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]


async def test_a_deleted_connection_takes_its_grants_along(grants: Grants) -> None:
    connection, runtime = await grants.granted()
    assert (await grants.delete(connection)).status == 204
    assert (await runtime.fetch()).status == 404
    await grants.made_connection(connection["customer_id"])
    assert (await runtime.fetch()).status == 404


async def test_a_grant_made_while_its_instance_is_deleted_is_refused_or_goes_with_it(
    grants: Grants, wired: Causeway
) -> None:
    for _ in range(5):
        connection = await grants.made_connection(await grants.made_customer())
        runtime = await grants.made_instance()
        made, deleted = await asyncio.gather(
            grants.grant(connection, runtime.id), grants.call("DELETE", f"/v1/instances/{runtime.id}")
        )
        assert (made.status in (201, 404), deleted.status) == (True, 204)
        assert (await grants.connections(connection["customer_id"]))[0]["grants"] == []
    assert await findings(wired) == []


async def test_a_repeated_grant_is_answered_as_before(grants: Grants) -> None:
    connection = await grants.made_connection(await grants.made_customer())
    path = f"/v1/customers/{connection['customer_id']}/connections/{connection['id']}/grants"
    body = {"instance_id": (await grants.made_instance()).id, "capabilities": ["a"]}
    first, second = [await grants.call("POST", path, body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert (first.status, first.text) == (201, second.text)


async def test_what_is_not_there_is_404_and_what_does_not_fit_is_422(grants: Grants) -> None:
    connection = await grants.made_connection(await grants.made_customer())
    runtime = await grants.made_instance()
    assert detail(await grants.grant(connection, UNKNOWN_ID)) == (404, "No such instance.")
    assert (await grants.grant({**connection, "id": UNKNOWN_ID}, runtime.id)).status == 404
    assert (await grants.grant({**connection, "customer_id": UNKNOWN_ID}, runtime.id)).status == 404
    assert problems(await grants.grant(connection, "x", "")) == [
        (["body", "instance_id"], "uuid_parsing"),
        (["body", "capabilities", 0], "string_too_short"),
    ]
    path = f"/v1/customers/{connection['customer_id']}/connections/{connection['id']}/grants"
    assert problems(await grants.call("POST", path, {"capabilities": "all"})) == [
        (["body", "instance_id"], "missing"),
        (["body", "capabilities"], "list_type"),
    ]
    assert problems(await grants.delete(connection, "/grants/x")) == [(["path", "grant_id"], "uuid_parsing")]
