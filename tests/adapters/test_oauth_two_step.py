"""Two steps without OAuth: what a person filled in buys a token."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.apps.auth_scheme import Request
from domain.connections.oauth import Client, OAuthClient, Obtained, ProviderRefused, ProviderTrouble, Target
from tests.adapters.oauth_targets import HOST, NOW, answers, asking, form_of, target, two_step
from tests.vendor_stand_in import StandIn, stand_in_for

ASK = Request("POST", f"https://{HOST}/auth/{{user}}", {"X-Key": "{key}"}, json={"user": "{user}", "secret": "{key}"})
FILLED_IN = {"user": "ada", "key": "k3y"}


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with stand_in_for([HOST], tmp_path) as running:
        yield running


@pytest.fixture
async def client(vendor: StandIn) -> AsyncIterator[OAuthClient]:
    async with vendor.client() as outbound:
        yield asking(outbound)


def at(**members: Any) -> Target:
    return target(two_step(**{"token_request": ASK, **members}), Client(""), **FILLED_IN)


async def obtained(client: OAuthClient, at: Target) -> Obtained:
    return await client.obtain(at, scopes=(), seconds=5)


async def renewed(client: OAuthClient, at: Target) -> Obtained:
    return await client.refresh(at, refresh_token=None, scopes=(), seconds=5)


async def test_the_fields_buy_a_token_and_the_next_one(vendor: StandIn, client: OAuthClient) -> None:
    answers(vendor, {"data": {"jwt": "t0ken", "ttl": "60"}})
    scheme = at(access_token_path="/data/jwt", expires_in_path="/data/ttl")
    expected = Obtained(access_token="t0ken", expires_at=NOW + timedelta(minutes=1))
    assert await obtained(client, scheme) == await renewed(client, scheme) == expected
    assert len(vendor.seen) == 2 and vendor.seen[0].target == vendor.seen[1].target == "/auth/ada"
    assert json.loads(vendor.seen[0].body) == {"user": "ada", "secret": "k3y"}
    assert vendor.seen[0].headers["x-key"] == "k3y"


async def test_the_fields_may_go_as_a_form_and_as_a_password(vendor: StandIn, client: OAuthClient) -> None:
    answers(vendor, {"access_token": "t0ken"})
    ask = Request("POST", f"https://{HOST}/auth", basic=("{user}", "{key}"), form={"grant": "x"})
    found = await obtained(client, at(token_request=ask, default_expires_in=30))
    assert found.expires_at == NOW + timedelta(seconds=30) and form_of(vendor) == {"grant": "x"}
    assert vendor.seen[0].headers["authorization"] == "Basic " + base64.b64encode(b"ada:k3y").decode()


@pytest.mark.parametrize(("status", "ok"), [(401, False), (400, False), (403, False), (200, False), (200, True)])
async def test_a_person_hears_that_the_values_are_wrong(
    vendor: StandIn, client: OAuthClient, status: int, ok: bool
) -> None:
    answers(vendor, {"ok": ok, "message": "wrong k3y"}, status)
    with pytest.raises(ProviderRefused, match="does not accept") as refused:
        await obtained(client, at(ok_pointer="/ok"))
    assert "k3y" not in refused.value.message


async def test_only_a_clear_401_ends_a_connection(vendor: StandIn, client: OAuthClient) -> None:
    answers(vendor, {"message": "no"}, 401)
    with pytest.raises(ProviderRefused):
        await renewed(client, at())
    for status, body in ((401, b"<html>"), (400, {}), (403, {}), (200, {}), (500, {}), (429, {})):
        answers(vendor, body, status)
        with pytest.raises(ProviderTrouble):
            await renewed(client, at())


async def test_a_value_that_is_missing_is_named(client: OAuthClient) -> None:
    with pytest.raises(ProviderRefused, match='"key"'):
        await obtained(client, target(two_step(token_request=ASK), Client(""), user="ada"))
