"""Runtimes fetch credentials: what they are given, and what they are refused, in which order."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from app import Causeway, causeway
from domain.ports import credential_context
from tests.api.every_route import UNKNOWN_ID
from tests.api.grants.speaking import Grants, Runtime, detail, problems
from tests.api.staging import staged
from tests.conftest import Ground

KEY_INVALID = (401, "The proxy key is invalid, or is not this instance's.")
NO_GRANT = (404, "This instance has no grant of such a connection.")
OAUTH2 = {
    "access_token": "at-1",
    "refresh_token": "never-told",
    "token_type": "bearer",
    "expires_at": 2_000_000_000,
    "scope": "mail.read mail.send",
    "id_token": "withheld",
}


async def test_of_oauth2_a_runtime_gets_what_it_can_send_and_never_what_renews_it(grants: Grants) -> None:
    _, runtime = await grants.granted("send_mail", credentials=OAUTH2)
    answer = await runtime.fetch()
    assert (answer.status, answer.json) == (
        200,
        {
            "credentials": {
                "access_token": "at-1",
                "token_type": "bearer",
                "expires_at": "2033-05-18T03:33:20Z",
                "scope": "mail.read mail.send",
            },
            "capabilities": ["send_mail"],
        },
    )
    assert "never-told" not in str(answer.headers)


async def test_of_oauth2_with_nothing_in_it_the_members_are_null(grants: Grants) -> None:
    _, runtime = await grants.granted(credentials={}, scopes=["a", "b"])
    assert (await runtime.fetch()).json["credentials"] == {
        "access_token": None,
        "token_type": "Bearer",
        "expires_at": None,
        "scope": "a b",
    }


async def test_of_other_kinds_a_runtime_gets_the_object_as_it_was_given(grants: Grants) -> None:
    given: dict[str, Any] = {"username": "ada", "password": "ünïcode", "port": 25, "tls": {"on": True, "ca": None}}
    for auth_type, credentials in (("basic", given), ("api_key", {"api_key": "k"}), ("api_key", {})):
        _, runtime = await grants.granted(auth_type=auth_type, credentials=credentials)
        assert (await runtime.fetch()).json == {"credentials": credentials, "capabilities": []}


async def test_a_name_chooses_and_without_one_the_newest_grant_counts(grants: Grants) -> None:
    customer, runtime = await grants.made_customer(), await grants.made_instance()
    made = {
        name: await grants.made_connection(
            customer, name=name, auth_type="api_key", credentials={"for": name}, provider=provider
        )
        for name, provider in (("first", "gmail"), ("second", "gmail"), ("third", "xero"))
    }
    granted = {name: await grants.made_grant(made[name], runtime.id) for name in ("second", "first", "third")}

    async def fetched(**query: str) -> Any:
        return (await runtime.fetch(**query)).json["credentials"]["for"]

    assert await fetched() == "first"
    assert await fetched(name="second") == "second"
    assert await fetched(name="first") == "first"
    assert await fetched(provider="xero") == "third"
    assert detail(await runtime.fetch(name="third")) == NO_GRANT
    await grants.delete(made["first"], f"/grants/{granted['first']['id']}")
    assert await fetched() == "second"
    await grants.delete(made["second"])
    assert detail(await runtime.fetch()) == NO_GRANT


async def test_a_capability_must_be_in_the_grant(grants: Grants) -> None:
    connection, runtime = await grants.granted("send_mail", "read_mail")
    assert (await runtime.fetch(capability="send_mail")).status == 200
    missing = (403, "The grant does not include this capability.")
    for capability in ("send", "SEND_MAIL", "delete_mail"):
        assert detail(await runtime.fetch(capability=capability)) == missing
    bare = await grants.made_instance()
    await grants.made_grant(connection, bare.id)
    assert (await bare.fetch()).status == 200
    assert detail(await bare.fetch(capability="send_mail")) == missing


async def test_the_key_is_looked_at_first_then_the_grant_then_the_capability(grants: Grants) -> None:
    _, runtime = await grants.granted("a")
    stranger = msgspec.structs.replace(runtime, key=runtime.key[:-4] + "AAAA")
    for asked in ({"capability": "x"}, {"provider": "unknown"}, {"name": ""}, {}):
        assert detail(await stranger.fetch(**asked)) == KEY_INVALID
    assert detail(await runtime.fetch("unknown", capability="x")) == NO_GRANT


async def test_only_the_bearer_of_the_instances_own_key_is_let_in(grants: Grants) -> None:
    api, (_, runtime) = grants.api, await grants.granted()
    other = await grants.made_instance()
    path = f"/internal/v1/instances/{runtime.id}/connections?provider=gmail"
    for token in (other.key, api.plan.project_token, api.plan.api_key, "", None):
        assert detail(await api.call("GET", path, token=token)) == KEY_INVALID
    for headers in (
        {"X-Api-Key": runtime.key},
        {"Authorization": runtime.key},
        {"Authorization": f"Basic {runtime.key}"},
    ):
        assert detail(await api.call("GET", path, headers=headers)) == KEY_INVALID
    assert (await api.call("GET", path, headers={"Authorization": f"bearer {runtime.key}"})).status == 200
    elsewhere = Runtime(api, UNKNOWN_ID, runtime.key)
    assert detail(await elsewhere.fetch()) == KEY_INVALID


async def test_a_fetch_that_does_not_fit_says_so_to_whoever_may_ask(grants: Grants) -> None:
    api, (_, runtime) = grants.api, await grants.granted()
    path = f"/internal/v1/instances/{runtime.id}/connections"
    answer = await api.call("GET", path, token=runtime.key)
    assert problems(answer) == [(["query", "provider"], "missing")]
    answer = await api.call("GET", f"{path}?provider=&name=&capability=", token=runtime.key)
    assert problems(answer) == [(["query", name], "string_too_short") for name in ("provider", "name", "capability")]
    answer = await api.call("GET", f"{path}?provider=a&provider=b", token=runtime.key)
    assert problems(answer) == [(["query"], "value_error")]
    malformed = Runtime(api, "nonsense", runtime.key)
    assert problems(await malformed.fetch()) == [(["path", "instance_id"], "uuid_parsing")]
    for instance in ("nonsense", UNKNOWN_ID):
        stranger = Runtime(api, instance, runtime.key[:-4] + "AAAA")
        assert detail(await stranger.fetch(name="")) == KEY_INVALID
    assert detail(await Runtime(api, UNKNOWN_ID, runtime.key).fetch(name="")) == KEY_INVALID


async def test_when_a_connection_was_last_used_shows(grants: Grants, wired: Causeway) -> None:
    connection, runtime = await grants.granted(credentials=OAUTH2)
    assert (await runtime.fetch(capability="no")).status == 403
    await wired.uses.finish()
    assert (await grants.connections(connection["customer_id"]))[0]["last_used_at"] is None
    await runtime.fetch()
    await wired.uses.finish()
    assert (await grants.connections(connection["customer_id"]))[0]["last_used_at"] is not None


async def test_a_secret_that_was_stored_without_its_event_is_the_one_that_is_given(
    grants: Grants, wired: Causeway
) -> None:
    """As a refresh leaves it whose process died between the two."""
    connection, runtime = await grants.granted(credentials=OAUTH2)
    project, customer = grants.api.plan.project_id, UUID(connection["customer_id"])
    key = await wired.vault.key(project, customer)
    newer = {"access_token": "at-2", "obtained_at": "2026-01-01T00:00:00Z", "expires_at": "2033-01-01T00:00:00Z"}
    box = key.seal(credential_context(UUID(connection["id"]), 2), msgspec.json.encode(newer))
    await wired.pool.execute(
        "insert into credentials (tenant_id, connection_id, version, subject_id, sealed) values ($1, $2, 2, $3, $4)",
        project,
        UUID(connection["id"]),
        customer,
        box,
    )
    credentials = (await runtime.fetch()).json["credentials"]
    assert (credentials["access_token"], credentials["expires_at"]) == ("at-2", "2033-01-01T00:00:00Z")
    assert credentials["scope"] == "mail.read mail.send"


async def test_a_deleted_project_opens_nothing(grants: Grants) -> None:
    _, runtime = await grants.granted()
    assert (await grants.api.manage("DELETE", grants.api.managed_project)).status == 200
    assert detail(await runtime.fetch()) == KEY_INVALID
    assert (await grants.call("GET", "/v1/customers")).status == 401


async def test_what_is_taken_back_in_one_process_is_refused_by_the_next_request_to_another(
    grants: Grants, ground: Ground, dsn: str
) -> None:
    async with causeway(ground.settings(dsn), dsn) as wired, staged(wired, ground.plan) as elsewhere:

        async def after(runtime: Runtime, method: str, path: str) -> int:
            there = Runtime(elsewhere, runtime.id, runtime.key)
            assert (await there.fetch()).status == 200
            taken = await grants.call(method, path)
            assert taken.status in (200, 204), taken.text
            return (await there.fetch()).status

        for expected, method, path in (
            (404, "DELETE", "/v1/customers/{customer_id}/connections/{id}/grants/{grant}"),
            (404, "DELETE", "/v1/customers/{customer_id}/connections/{id}"),
            (404, "DELETE", "/v1/customers/{customer_id}"),
            (401, "POST", "/v1/instances/{runtime}/rotate-key"),
            (401, "DELETE", "/v1/instances/{runtime}"),
        ):
            connection = await grants.made_connection(await grants.made_customer())
            runtime = await grants.made_instance()
            grant = await grants.made_grant(connection, runtime.id)
            path = path.format(**connection, grant=grant["id"], runtime=runtime.id)
            assert await after(runtime, method, path) == expected, path
