"""A customer's connections: made, listed, told apart and deleted."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.postgres.pool import Pool
from app import Causeway
from tests.api.every_route import UNKNOWN_ID
from tests.api.grants.speaking import MAIL, Grants, detail, problems
from tests.projections.histories import findings

TAKEN = (409, "The customer has a connection of this name to this provider already.")
NOT_THERE = (404, "No connection record found for the user.")


async def test_connections_are_told_apart_by_their_names(grants: Grants) -> None:
    customer = await grants.made_customer()
    made = [await grants.made_connection(customer, name=name) for name in ("one", "two", "One")]
    made.append(await grants.made_connection(customer, provider="xero", name="one"))
    made.append(await grants.made_connection(await grants.made_customer(), name="one"))
    assert [(one["provider"], one["name"]) for one in await grants.connections(customer)] == [
        ("gmail", "one"),
        ("gmail", "two"),
        ("gmail", "One"),
        ("xero", "one"),
    ]
    path = f"/v1/customers/{customer}/connections"
    assert detail(await grants.call("POST", path, {**MAIL, "name": "two"})) == TAKEN


async def test_of_two_who_make_the_same_connection_at_once_one_is_told_of_the_other(
    grants: Grants, wired: Causeway
) -> None:
    path = f"/v1/customers/{await grants.made_customer()}/connections"
    answers = await asyncio.gather(*(grants.call("POST", path, MAIL) for _ in range(2)))
    assert sorted(answer.status for answer in answers) == [201, 409]
    many = await asyncio.gather(*(grants.call("POST", path, {**MAIL, "name": f"n{n % 5}"}) for n in range(20)))
    assert sorted(answer.status for answer in many) == [201] * 5 + [409] * 15
    assert await findings(wired) == []


async def test_a_name_is_free_again_when_its_connection_was_deleted(grants: Grants) -> None:
    customer = await grants.made_customer()
    made = await grants.made_connection(customer)
    assert (await grants.delete(made)).status == 204
    assert await grants.connections(customer) == []
    assert detail(await grants.delete(made)) == NOT_THERE
    again = await grants.made_connection(customer)
    assert again["id"] != made["id"]


async def test_a_repeated_creation_is_answered_as_before(grants: Grants) -> None:
    path = f"/v1/customers/{await grants.made_customer()}/connections"
    once = {"Idempotency-Key": "k1"}
    first, second = [await grants.call("POST", path, MAIL, headers=once) for _ in range(2)]
    assert (first.status, first.text) == (201, second.text)


async def test_the_first_connection_is_the_one_that_the_integration_provider_api_sees(grants: Grants) -> None:
    customer = await grants.made_customer(external_id="ada")
    key = {"auth_type": "api_key", "credentials": {"accessToken": "x"}, "provider": "github"}
    first = await grants.made_connection(customer, name="work", **key)
    second = await grants.made_connection(customer, name="home", **key)
    assert await grants.api.status("ada", "github") == {"github": "connected"}
    assert (await grants.api.monkedo("GET", "/users/ada/connections/github")).json["type"] == "apikey"
    assert (await grants.delete(first)).status == 204
    assert await grants.api.status("ada", "github") == {"github": "not-connected"}
    third = await grants.made_connection(customer, name="third", **key)
    assert await grants.api.status("ada", "github") == {"github": "connected"}
    assert (await grants.api.monkedo("DELETE", "/users/ada/connections/github")).status == 200
    assert [one["id"] for one in await grants.connections(customer)] == [second["id"]]
    assert (await grants.made_connection(customer, name="third", **key))["id"] != third["id"]


async def test_a_connection_of_the_integration_provider_api_is_listed_and_can_be_granted(grants: Grants) -> None:
    assert (await grants.api.connect("ada", secret="ghp_1")).status == 200
    customer = (await grants.call("GET", "/v1/customers")).json["customers"][0]["id"]
    (found,) = await grants.connections(customer)
    assert (found["provider"], found["name"], found["auth_type"], found["status"]) == (
        "github",
        "",
        "api_key",
        "active",
    )
    runtime = await grants.made_instance()
    await grants.made_grant(found, runtime.id)
    assert (await runtime.fetch("github")).json["credentials"] == {"accessToken": "ghp_1"}


async def test_a_connection_keeps_its_name_and_grants_when_another_api_connects_it_again(grants: Grants) -> None:
    customer = await grants.made_customer(external_id="ada")
    made = await grants.made_connection(customer, provider="github", name="work", auth_type="api_key")
    runtime = await grants.made_instance()
    await grants.made_grant(made, runtime.id, "read")
    body = {"userId": "ada", "appKey": "github", "scopes": [], "accessToken": "renewed"}
    assert (await grants.api.monkedo("POST", "/users/connections/import", body)).status == 200
    (found,) = await grants.connections(customer)
    assert (found["id"], found["name"], len(found["grants"])) == (made["id"], "work", 1)
    assert (await runtime.fetch("github", name="work")).json["credentials"] == {"accessToken": "renewed"}
    assert (
        detail(
            await grants.call(
                "POST", f"/v1/customers/{customer}/connections", {**MAIL, "provider": "github", "name": "work"}
            )
        )
        == TAKEN
    )
    assert (await grants.delete(found)).status == 204
    assert (await grants.made_connection(customer, provider="github", name="work"))["name"] == "work"


async def test_what_is_kept_of_a_connection_is_sealed_and_told_to_nobody(
    grants: Grants, wired: Causeway, pool: Pool
) -> None:
    customer = await grants.made_customer()
    given = {"access_token": "planted-1", "refresh_token": "planted-2", "realm": {"deep": ["planted-3", 1.5, None]}}
    made = await grants.made_connection(
        customer, name="planted@example.com", credentials=given, metadata_json={"note": "planted-4"}
    )
    listed = await grants.call("GET", f"/v1/customers/{customer}/connections")
    assert "planted-" not in str(made) + listed.text
    for table in ("events", "read_connections_1", "credentials", "uniques"):
        assert "planted-" not in str(await pool.fetch(f"select * from {table}"))
    assert b"planted@" not in b"".join(await pool.fetchval("select array_agg(state) from events"))
    found = await wired.vault.credential(grants.api.plan.project_id, UUID(made["id"]))
    assert found is not None
    kept = msgspec.json.decode(found[1])
    assert (kept["credentials"], kept["metadata"]) == (given, {"note": "planted-4"})


@pytest.mark.parametrize(
    ("expires_at", "expected"),
    [
        ("2033-05-18T03:33:20Z", "2033-05-18T03:33:20Z"),
        ("2033-05-18T05:33:20+02:00", "2033-05-18T03:33:20Z"),
        ("2033-05-18T03:33:20", "2033-05-18T03:33:20Z"),
        (2_000_000_000, "2033-05-18T03:33:20Z"),
        (2_000_000_000.5, "2033-05-18T03:33:20.500000Z"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59Z"),
        (None, None),
    ],
)
async def test_the_end_of_a_token_is_taken_in_iso_8601_and_in_seconds(
    grants: Grants, expires_at: Any, expected: str | None
) -> None:
    customer = await grants.made_customer()
    made = await grants.made_connection(customer, credentials={"access_token": "x", "expires_at": expires_at})
    assert (made["expires_at"], made["status"]) == (expected, "active")
    assert (await grants.connections(customer))[0]["expires_at"] == expected


@pytest.mark.parametrize(
    "expires_at",
    [
        "soon",
        "",
        "2033",
        True,
        [],
        {},
        -1,
        2_000_000_000_000,
        "2033-13-01T00:00:00Z",
        "0001-01-01",
        "1969-12-31T23:59:59Z",
    ],
)
async def test_an_end_that_is_none_is_refused(grants: Grants, expires_at: Any) -> None:
    path = f"/v1/customers/{await grants.made_customer()}/connections"
    answer = await grants.call("POST", path, {**MAIL, "credentials": {"expires_at": expires_at}})
    assert problems(answer) == [(["body", "credentials", "expires_at"], "value_error")]


async def test_tokens_that_are_no_texts_are_refused_and_other_kinds_take_anything(grants: Grants) -> None:
    path = f"/v1/customers/{await grants.made_customer()}/connections"
    for member in ("access_token", "refresh_token", "token_type"):
        answer = await grants.call("POST", path, {**MAIL, "credentials": {member: 7}})
        assert problems(answer) == [(["body", "credentials", member], "value_error")]
    body = {**MAIL, "auth_type": "basic", "credentials": {"access_token": 7, "expires_at": "soon"}}
    assert (await grants.call("POST", path, body)).status == 201


async def test_a_token_that_has_run_out_and_cannot_be_renewed_is_expired(grants: Grants) -> None:
    customer = await grants.made_customer()
    made = await grants.made_connection(customer, credentials={"access_token": "x", "expires_at": 1_000_000_000})
    assert (made["status"], "expired" in made["error_message"]) == ("expired", True)
    (found,) = await grants.connections(customer)
    assert (found["status"], found["error_message"]) == ("expired", made["error_message"])


async def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_repeated(grants: Grants) -> None:
    path = f"/v1/customers/{await grants.made_customer()}/connections"
    wrong = {"provider": "Planted Mail", "credentials": "planted", "auth_type": "planted", "scopes": ["a", 7]}
    answer = await grants.call("POST", path, wrong)
    assert problems(answer) == [
        (["body", "provider"], "string_pattern_mismatch"),
        (["body", "name"], "missing"),
        (["body", "credentials"], "dict_type"),
        (["body", "auth_type"], "literal_error"),
        (["body", "scopes", 1], "string_type"),
    ]
    assert "lanted" not in answer.text
    long = {**MAIL, "provider": "x" * 51, "name": "x" * 256, "metadata_json": []}
    assert problems(await grants.call("POST", path, long)) == [
        (["body", "provider"], "string_too_long"),
        (["body", "name"], "string_too_long"),
        (["body", "metadata_json"], "dict_type"),
    ]
    for provider in ("gmail\n", "\ngmail", "gmail\r\n"):
        assert problems(await grants.call("POST", path, {**MAIL, "provider": provider})) == [
            (["body", "provider"], "string_pattern_mismatch")
        ]
    longest = {**MAIL, "provider": "x" * 50, "name": "ä" * 255}
    assert (await grants.call("POST", path, longest)).status == 201


async def test_a_body_that_is_no_object_is_refused(grants: Grants) -> None:
    path = f"/v1/customers/{await grants.made_customer()}/connections"
    for raw, expected in (
        (b"", (["body"], "missing")),
        (b'{"a" 1}', (["body", 5], "json_invalid")),
        (b"[]", (["body"], "model_attributes_type")),
        (b'{"name":"\\u0000"}', (["body", "provider"], "missing")),
    ):
        assert problems(await grants.call("POST", path, raw=raw))[0] == expected


async def test_what_is_not_there_is_404_and_what_is_no_id_is_422(grants: Grants) -> None:
    made = await grants.made_connection(await grants.made_customer())
    other = await grants.made_customer()
    user_gone = (404, "No record found for the user.")
    assert detail(await grants.call("GET", f"/v1/customers/{UNKNOWN_ID}/connections")) == user_gone
    assert detail(await grants.call("POST", f"/v1/customers/{UNKNOWN_ID}/connections", MAIL)) == user_gone
    assert detail(await grants.delete({**made, "customer_id": other})) == NOT_THERE
    assert detail(await grants.delete({**made, "id": UNKNOWN_ID})) == NOT_THERE
    refused = await grants.delete({**made, "id": "x", "customer_id": "y"})
    assert problems(refused) == [(["path", "customer_id"], "uuid_parsing")]


async def test_of_several_who_are_first_at_once_one_is_the_default(grants: Grants, pool: Pool) -> None:
    path = f"/v1/customers/{await grants.made_customer()}/connections"
    answers = await asyncio.gather(*(grants.call("POST", path, {**MAIL, "name": f"n{n}"}) for n in range(8)))
    assert {answer.status for answer in answers} == {201}
    assert await pool.fetchval("select count(*) from read_connections_1 where is_default") == 1


async def test_what_a_link_was_handed_out_for_is_connected_by_whoever_comes_first(
    with_provider: Grants, pool: Pool
) -> None:
    api = with_provider.api
    link = await api.monkedo("POST", f"{api.project}/users/ada/connections/local", {})
    assert (link.status, "/connect/" in link.json) == (200, True)
    customer = (await with_provider.call("GET", "/v1/customers")).json["customers"][0]["id"]
    assert await with_provider.connections(customer) == []
    first = await with_provider.made_connection(customer, provider="local")
    second = await with_provider.made_connection(customer, provider="local", name="second")
    assert await api.status("ada", "local") == {"local": "connected"}
    assert await pool.fetchval("select connection_id from read_connections_1 where is_default") == UUID(first["id"])
    assert [one["id"] for one in await with_provider.connections(customer)] == [first["id"], second["id"]]
