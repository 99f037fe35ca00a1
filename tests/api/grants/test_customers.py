"""Customers: made, found, described and erased."""

from __future__ import annotations

import asyncio

from adapters.postgres.pool import Pool
from app import Causeway
from tests.api.every_route import UNKNOWN_ID
from tests.api.grants.speaking import Grants, detail, problems
from tests.projections.histories import findings

ADA = {
    "email": "ada@example.com",
    "company_name": "Analytical Engines",
    "country_code": "GB",
    "currency": "GBP",
    "industry": "machines",
    "locale": "en-GB",
    "timezone": "Europe/London",
}


async def test_a_customer_is_answered_as_they_were_described(grants: Grants) -> None:
    made = await grants.created("/v1/customers", {**ADA, "external_id": "user-7"})
    assert {name: made[name] for name in ADA} == ADA
    assert made["external_id"] == "user-7"
    found = await grants.call("GET", f"/v1/customers/{made['id']}")
    assert (found.status, found.json) == (200, made)


async def test_without_an_external_id_the_address_is_it_and_without_that_the_new_id(grants: Grants) -> None:
    assert (await grants.created("/v1/customers", ADA))["external_id"] == "ada@example.com"
    made = await grants.created("/v1/customers", {})
    assert made["external_id"] == made["id"]
    assert {made[name] for name in ADA} == {None}


async def test_a_customer_is_the_end_user_that_the_other_apis_know(grants: Grants) -> None:
    made = await grants.created("/v1/customers", ADA)
    assert (await grants.api.connect("bob")).status == 200
    listed = (await grants.api.manage("GET", f"{grants.api.managed_project}/EndUsers")).json
    assert [(one["id"] == made["id"], one["user_id"]) for one in listed] == [(True, "ada@example.com"), (False, "bob")]
    bob = await grants.call("GET", f"/v1/customers/{listed[1]['id']}")
    assert (bob.json["external_id"], bob.json["email"]) == ("bob", None)


async def test_an_id_or_address_that_is_known_is_a_conflict(grants: Grants) -> None:
    await grants.api.connect("bob")
    await grants.created("/v1/customers", {**ADA, "external_id": "user-7"})
    for body in ({"external_id": "user-7"}, {"external_id": "bob"}, {"email": "ADA@example.com"}):
        status, said = detail(await grants.call("POST", "/v1/customers", body))
        assert (status, said) == (409, "The project has an end user with this id or e-mail address already.")


async def test_of_two_who_make_the_same_customer_at_once_one_is_told_of_the_other(grants: Grants) -> None:
    answers = await asyncio.gather(*(grants.call("POST", "/v1/customers", ADA) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409]


async def test_a_repeated_creation_is_answered_as_before(grants: Grants) -> None:
    once = {"Idempotency-Key": "k1"}
    first, second = [await grants.call("POST", "/v1/customers", ADA, headers=once) for _ in range(2)]
    assert (first.status, first.text) == (second.status, second.text)


async def test_customers_come_in_pages_by_any_order(grants: Grants) -> None:
    names = ["delta", "alpha", "charlie", "bravo"]
    for name in names:
        await grants.made_customer(email=f"{name}@example.com", company_name=name.upper())
    await grants.made_customer(external_id="zulu")

    async def listed(query: str) -> list[str]:
        answer = await grants.call("GET", f"/v1/customers?{query}")
        assert answer.status == 200
        assert answer.json["total"] == 5
        return [one["external_id"].partition("@")[0] for one in answer.json["customers"]]

    assert await listed("") == ["zulu", *reversed(names)]
    assert await listed("sort_dir=asc") == [*names, "zulu"]
    assert await listed("sort_by=email&sort_dir=asc") == [*sorted(names), "zulu"]
    assert await listed("sort_by=company_name") == [*sorted(names, reverse=True), "zulu"]
    assert await listed("sort_by=external_id&sort_dir=asc&per_page=2&page=2") == ["charlie", "delta"]
    assert await listed("sort_by=external_id&sort_dir=asc&per_page=2&page=4") == []


async def test_customers_are_found_by_a_part_of_what_is_told_of_them(grants: Grants) -> None:
    for name in ("ada", "bob"):
        await grants.made_customer(
            external_id=f"user_{name}%", email=f"{name}@Example.com", company_name=f"{name} & Co"
        )
    for search, expected in {
        "ADA%20%26": 1,
        "example.COM": 2,
        "_ada%25": 1,
        "r_": 2,
        "a_a": 0,
        "%25": 2,
        "": 2,
    }.items():
        answer = (await grants.call("GET", f"/v1/customers?search={search}&per_page=1")).json
        assert (answer["total"], answer["page"], answer["per_page"]) == (expected, 1, 1), search


async def test_a_list_that_is_asked_for_wrongly_says_what_is_wrong(grants: Grants) -> None:
    answer = await grants.call("GET", "/v1/customers?page=0&per_page=101&sort_by=secret&sort_dir=up")
    assert problems(answer) == [
        (["query", "page"], "greater_than_equal"),
        (["query", "per_page"], "less_than_equal"),
        (["query", "sort_by"], "literal_error"),
        (["query", "sort_dir"], "literal_error"),
    ]
    assert "secret" not in answer.text
    assert problems(await grants.call("GET", "/v1/customers?page=two")) == [(["query", "page"], "int_parsing")]


async def test_a_customer_that_does_not_fit_is_refused(grants: Grants) -> None:
    for member, value, kind in (
        ("email", "nobody", "string_pattern_mismatch"),
        ("company_name", "x" * 256, "string_too_long"),
        ("currency", 7, "string_type"),
        ("external_id", "", "string_too_short"),
        ("external_id", " ", "value_error"),
    ):
        assert problems(await grants.call("POST", "/v1/customers", {member: value})) == [(["body", member], kind)]


async def test_an_erased_customer_is_gone_with_all_that_was_told_of_them(
    grants: Grants, wired: Causeway, pool: Pool
) -> None:
    customer = await grants.made_customer(**ADA)
    connection = await grants.made_connection(customer, name="ada@example.com")
    runtime = await grants.made_instance("of ada", customer_id=customer)
    shared = await grants.made_instance("shared")
    for one in (runtime, shared):
        await grants.made_grant(connection, one.id)
        assert (await one.fetch()).status == 200

    assert (await grants.call("DELETE", f"/v1/customers/{customer}")).status == 204
    assert (await runtime.fetch()).status == 401
    assert (await shared.fetch()).status == 404
    gone = (404, "No record found for the user.")
    assert detail(await grants.call("GET", f"/v1/customers/{customer}")) == gone
    assert detail(await grants.call("GET", f"/v1/customers/{customer}/connections")) == gone
    assert detail(await grants.delete(connection)) == gone
    assert detail(await grants.grant(connection, shared.id)) == gone
    assert detail(await grants.call("DELETE", f"/v1/customers/{customer}")) == gone
    rotated = await grants.call("POST", f"/v1/instances/{runtime.id}/rotate-key")
    assert detail(rotated) == (404, "No such instance.")
    for table in ("read_profiles_1", "read_grants_1", "credentials where connection_id = $1"):
        arguments = [connection["id"]] if "$1" in table else []
        assert await pool.fetchval(f"select count(*) from {table}", *arguments) == 0, table
    assert await findings(wired) == []
    assert (await grants.call("POST", "/v1/customers", ADA)).status == 201


async def test_unknown_and_malformed_customers(grants: Grants) -> None:
    assert detail(await grants.call("GET", f"/v1/customers/{UNKNOWN_ID}")) == (404, "No record found for the user.")
    assert problems(await grants.call("GET", "/v1/customers/nonsense")) == [(["path", "customer_id"], "uuid_parsing")]
