"""Ending an authorisation at the provider: as RFC 7009 says, and as providers want it instead."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domain.apps.app import RevokeHow, Scheme
from domain.apps.auth_scheme import Request
from domain.connections.oauth import OAuthClient, ProviderRefused, ProviderTrouble
from tests.adapters.oauth_targets import CLIENT, HOST, answers, asking, form_of, oauth1, oauth2, target, two_step
from tests.vendor_stand_in import StandIn, stand_in_for

URL = f"https://{HOST}/revoke"
BASIC = "Basic " + base64.b64encode(b"client%2Bid:s3cret%2Fof%3Dthe%2Bclient").decode()


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with stand_in_for([HOST], tmp_path) as running:
        running.body = b""
        yield running


@pytest.fixture
async def client(vendor: StandIn) -> AsyncIterator[OAuthClient]:
    async with vendor.client() as outbound:
        yield asking(outbound)


async def ended(client: OAuthClient, scheme: Scheme, refresh_token: str | None = "r3fresh") -> bool:
    return await client.revoke(target(scheme), access_token="4ccess", refresh_token=refresh_token, seconds=5)


@pytest.mark.parametrize(("refresh_token", "sent"), [("r3fresh", "r3fresh"), (None, "4ccess")])
async def test_by_the_book_the_refresh_token_is_ended_where_there_is_one(
    vendor: StandIn, client: OAuthClient, refresh_token: str | None, sent: str
) -> None:
    assert await ended(client, oauth2(revoke_url=URL), refresh_token)
    assert (vendor.seen[0].method, form_of(vendor)) == ("POST", {"token": sent})
    assert vendor.seen[0].headers["authorization"] == BASIC


@pytest.mark.parametrize(
    "scheme",
    [
        oauth2(),
        oauth1(),
        two_step(token_request=Request("POST", f"https://{HOST}/token")),
    ],
    ids=lambda scheme: scheme.type,
)
async def test_where_there_is_no_endpoint_nothing_is_asked(
    vendor: StandIn, client: OAuthClient, scheme: Scheme
) -> None:
    assert not await ended(client, scheme)
    assert vendor.seen == []


@pytest.mark.parametrize(
    ("how", "token_auth", "form", "authorization"),
    [
        (RevokeHow(), "none", {"token": "r3fresh", "client_id": CLIENT.client_id}, None),
        (RevokeHow(auth="none"), "client_secret_basic", {"token": "r3fresh"}, None),
        (RevokeHow(auth="none", form={"s": "{client_secret}"}), "client_secret_basic", {"s": CLIENT.secret}, None),
        (
            RevokeHow(auth="client_secret_post"),
            "client_secret_basic",
            {"token": "r3fresh", "client_id": CLIENT.client_id, "client_secret": CLIENT.secret},
            None,
        ),
        (RevokeHow(auth="bearer", form={}), "client_secret_basic", {}, "Bearer r3fresh"),
        (
            RevokeHow(token="access_token", auth="bearer", form={"x": "{client_id}"}),
            "none",
            {"x": CLIENT.client_id},
            "Bearer 4ccess",
        ),
    ],
)
async def test_the_client_proves_itself_as_declared(
    vendor: StandIn,
    client: OAuthClient,
    how: RevokeHow,
    token_auth: str,
    form: dict[str, str],
    authorization: str | None,
) -> None:
    assert await ended(client, oauth2(revoke_url=URL, revoke_how=how, token_auth=token_auth))
    assert form_of(vendor) == form and vendor.seen[0].headers.get("authorization") == authorization


async def test_a_grant_is_deleted_with_json_and_headers(vendor: StandIn, client: OAuthClient) -> None:
    how = RevokeHow(method="DELETE", token="access_token", headers={"X-Version": "1"}, json={"access_token": "{token}"})
    vendor.status = 204
    assert await ended(client, oauth2(revoke_url=f"https://{HOST}/applications/{{client_id}}/grant", revoke_how=how))
    (seen,) = vendor.seen
    assert (seen.method, seen.target) == ("DELETE", "/applications/client%2Bid/grant")
    assert (seen.headers["x-version"], seen.headers["authorization"]) == ("1", BASIC)
    assert json.loads(seen.body) == {"access_token": "4ccess"}


async def test_a_token_in_the_query_of_a_get(vendor: StandIn, client: OAuthClient) -> None:
    how = RevokeHow(method="GET", query={"token": "{token}"}, form={})
    assert await ended(client, oauth2(revoke_url=URL, revoke_how=how, token_auth="client_secret_post"))
    assert (vendor.seen[0].target, vendor.seen[0].body) == ("/revoke?token=r3fresh", b"")


@pytest.mark.parametrize(
    ("status", "body", "members"),
    [
        (400, {"error": "unsupported_token_type"}, {}),
        (401, {"error": "invalid_client"}, {}),
        (404, b"", {}),
        (200, {"ok": False, "error": "token_revoked"}, {"ok_pointer": "/ok"}),
    ],
)
async def test_a_definite_no_is_told(
    vendor: StandIn, client: OAuthClient, status: int, body: object, members: dict[str, Any]
) -> None:
    answers(vendor, body, status)
    with pytest.raises(ProviderRefused) as refused:
        await ended(client, oauth2(revoke_url=URL, **members))
    assert "r3fresh" not in refused.value.message


async def test_a_success_without_the_declared_word_is_a_success(vendor: StandIn, client: OAuthClient) -> None:
    assert await ended(client, oauth2(revoke_url=URL, ok_pointer="/ok"))


@pytest.mark.parametrize("status", [302, 429, 500, 503])
async def test_what_may_work_later_is_trouble(vendor: StandIn, client: OAuthClient, status: int) -> None:
    answers(vendor, b"", status, Retry_After="3")
    with pytest.raises(ProviderTrouble) as trouble:
        await ended(client, oauth2(revoke_url=URL))
    assert trouble.value.retry_after == 3
