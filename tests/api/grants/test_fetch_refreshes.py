"""A fetch renews a token that is due, once for everybody, and says plainly when it cannot."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from adapters.connectors.outbound import OutboundClient
from app import Causeway
from domain.apps.catalogue import Catalogue
from scripts.providers import faults
from scripts.providers.manifests import as_app
from scripts.providers.quick import QuickProvider
from tests.api.grants.speaking import Grants, Json, Runtime, detail
from tests.api.staging import SetClock, register, staged
from tests.api_client import Answer
from tests.conftest import Ground


async def linked(
    grants: Grants, clock: SetClock, provider: QuickProvider, seconds: float, user: str = "ada", **members: Any
) -> tuple[Json, Runtime]:
    """A connection to the provider whose access token ends in so many seconds, and an instance with a grant of it."""
    tokens = provider.tokens_for(user)
    credentials = {
        "access_token": tokens["access_token"],
        "refresh_token": tokens["refresh_token"],
        "expires_at": (clock() + timedelta(seconds=seconds)).isoformat(),
    }
    return await grants.granted("read", **{"provider": "local", "credentials": credentials, **members})


async def fetched(runtime: Runtime) -> Json:
    answer = await runtime.fetch("local")
    assert answer.status == 200, answer.text
    credentials: Json = answer.json["credentials"]
    assert credentials.keys() == {"access_token", "token_type", "expires_at", "scope"}
    return credentials


def refreshes(provider: QuickProvider) -> int:
    return provider.traffic.refreshes


async def test_a_token_that_is_not_due_is_given_as_it_is(
    with_provider: Grants, clock: SetClock, provider: QuickProvider
) -> None:
    _, runtime = await linked(with_provider, clock, provider, 3600)
    first = await fetched(runtime)
    assert await provider.whose(first["access_token"]) == "ada"
    assert await fetched(runtime) == first
    assert refreshes(provider) == 0


async def test_a_token_that_is_due_is_renewed_first(
    with_provider: Grants, clock: SetClock, provider: QuickProvider
) -> None:
    connection, runtime = await linked(with_provider, clock, provider, 0)
    first = await fetched(runtime)
    assert await provider.whose(first["access_token"]) == "ada"
    assert await fetched(runtime) == first
    assert refreshes(provider) == 1
    (found,) = await with_provider.connections(connection["customer_id"])
    assert (found["status"], found["expires_at"]) == ("active", first["expires_at"])
    clock.ahead += timedelta(hours=2)
    again = await fetched(runtime)
    assert again["access_token"] != first["access_token"]
    assert await provider.whose(again["access_token"]) == "ada"


async def test_twenty_who_fetch_at_the_moment_of_expiry_share_one_refresh(
    with_provider: Grants, clock: SetClock, provider: QuickProvider
) -> None:
    _, runtime = await linked(with_provider, clock, provider, 0)
    tokens = {one["access_token"] for one in await asyncio.gather(*(fetched(runtime) for _ in range(20)))}
    assert len(tokens) == 1
    assert refreshes(provider) == 1


async def test_a_provider_in_trouble_costs_nobody_a_token_that_still_works(
    with_provider: Grants, clock: SetClock, provider: QuickProvider
) -> None:
    connection, runtime = await linked(with_provider, clock, provider, 40)
    provider.faults.plan(faults.status(500), meets=faults.at("/token"), times=100)
    first = await fetched(runtime)
    for _ in range(200):
        (found,) = await with_provider.connections(connection["customer_id"])
        if found["error_message"]:
            break
        await asyncio.sleep(0.02)
    assert (found["status"], bool(found["error_message"])) == ("active", True)
    assert await fetched(runtime) == first


async def test_a_provider_in_trouble_with_a_token_that_has_ended_is_503_and_says_when_to_come_again(
    with_provider: Grants, clock: SetClock, provider: QuickProvider
) -> None:
    _, runtime = await linked(with_provider, clock, provider, -1)
    provider.faults.plan(faults.status(429, retry_after=90), meets=faults.at("/token"))
    for _ in range(2):
        answer = await runtime.fetch("local")
        assert detail(answer)[0] == 503
        assert 60 <= int(answer.headers["Retry-After"]) <= 150
    assert refreshes(provider) == 1
    clock.ahead += timedelta(minutes=10)
    assert await provider.whose((await fetched(runtime))["access_token"]) == "ada"


async def test_an_authorisation_that_has_ended_is_409_and_shows_on_the_connection(
    with_provider: Grants, clock: SetClock, provider: QuickProvider
) -> None:
    connection, runtime = await linked(with_provider, clock, provider, 0)
    await provider.withdraw("ada")
    ended = (409, "The application says that this authorisation has ended; connect again.")
    assert [detail(await runtime.fetch("local")) for _ in range(2)] == [ended, ended]
    (found,) = await with_provider.connections(connection["customer_id"])
    assert (found["status"], found["error_message"]) == ("revoked", ended[1])


async def test_a_token_that_nothing_can_renew_is_given_until_its_end_and_then_409(
    with_provider: Grants, clock: SetClock, provider: QuickProvider, wired: Causeway
) -> None:
    """Without a refresh token, or without an integration that knows as whom to present it."""
    tokens = provider.tokens_for("ada")
    ends = (clock() + timedelta(seconds=30)).isoformat()
    without = {"access_token": tokens["access_token"], "expires_at": ends}
    for provider_name, credentials in (("local", without), ("elsewhere", {**without, "refresh_token": "rt"})):
        connection, runtime = await with_provider.granted(provider=provider_name, credentials=credentials)
        clock.ahead = timedelta()
        assert (await runtime.fetch(provider_name)).json["credentials"]["access_token"] == tokens["access_token"]
        clock.ahead = timedelta(seconds=31)
        assert detail(await runtime.fetch(provider_name))[0] == 409
        (found,) = await with_provider.connections(connection["customer_id"])
        assert (found["status"], "expired" in found["error_message"]) == ("expired", True)
        clock.ahead = timedelta()
    assert refreshes(provider) == 0


async def test_a_due_token_whose_integration_was_removed_is_409_until_it_is_back(
    with_provider: Grants, clock: SetClock, provider: QuickProvider
) -> None:
    api = with_provider.api
    _, runtime = await linked(with_provider, clock, provider, 0)
    assert (await api.manage("DELETE", f"{api.managed_project}/Integration/local")).status == 200
    assert detail(await runtime.fetch("local"))[0] == 409
    body = {"app_key": "local", "client_id": provider.client_id, "client_secret": provider.client_secret}
    assert (await api.manage("POST", f"{api.managed_project}/Integration", body)).status == 201
    assert await provider.whose((await fetched(runtime))["access_token"]) == "ada"


async def test_a_deleted_connection_s_token_is_ended_at_the_provider(
    with_provider: Grants, clock: SetClock, provider: QuickProvider
) -> None:
    connection, runtime = await linked(with_provider, clock, provider, 3600)
    token = (await fetched(runtime))["access_token"]
    assert (await with_provider.delete(connection)).status == 204
    for _ in range(200):
        if await provider.whose(token) is None:
            break
        await asyncio.sleep(0.02)
    assert await provider.whose(token) is None


async def test_the_connection_that_the_integration_provider_api_imported_is_renewed_here_too(
    with_provider: Grants, clock: SetClock, provider: QuickProvider
) -> None:
    tokens = provider.tokens_for("ada")
    body = {
        "appKey": "local",
        "scopes": ["read"],
        "accessToken": tokens["access_token"],
        "refreshToken": tokens["refresh_token"],
        "expiresAt": round(clock().timestamp() * 1000),
    }
    imported: Answer = await with_provider.api.monkedo("POST", "/users/ada/connections/import", body)
    assert imported.status == 200
    customer = (await with_provider.call("GET", "/v1/customers")).json["customers"][0]["id"]
    runtime = await with_provider.made_instance()
    await with_provider.made_grant((await with_provider.connections(customer))[0], runtime.id)
    credentials = await fetched(runtime)
    assert credentials["scope"] == "read"
    assert await provider.whose(credentials["access_token"]) == "ada"


async def test_what_the_providers_address_needs_is_taken_from_the_credentials(
    ground: Ground, wired: Causeway, clock: SetClock, provider: QuickProvider
) -> None:
    """A shop's name, for example. Where it is missing nobody can renew the token, which then has an end."""
    account = [{"name": "account", "label": "Account", "desc": "Its name."}]
    address = provider.token_url.replace("127.0.0.1", "{account}.0.0.1")
    catalogue = Catalogue({"local": as_app(provider, fields=account, token_url=address)})
    outbound = OutboundClient(allow_private_networks=True, keep_connections=False)
    async with staged(wired, ground.plan, clock=clock, outbound=outbound, catalogue=catalogue) as api:
        await register(api, "local", client_id=provider.client_id, client_secret=provider.client_secret)
        grants, tokens = Grants(api), provider.tokens_for("ada")
        due = {**tokens, "expires_at": clock().isoformat()}
        _, runtime = await grants.granted(provider="local", credentials={**due, "account": "127"})
        assert await provider.whose((await fetched(runtime))["access_token"]) == "ada"
        assert refreshes(provider) == 1
        for number, wrong in enumerate(({}, {"account": 7}, {"account": ""})):
            made, runtime = await grants.granted(provider="local", credentials={**due, **wrong}, name=f"wrong {number}")
            assert made["status"] == "expired"
            assert "expired" in detail(await runtime.fetch("local"))[1]
        assert refreshes(provider) == 1
