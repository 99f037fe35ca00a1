"""What providers are asked: by the book, and as their manifests deviate from it."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.connectors.outbound import OutboundClient
from domain.connections.oauth import Client, OAuthClient, Obtained, ProviderRefused, Target
from tests.adapters.oauth_targets import CALLBACK, CLIENT, HOST, VERIFIER, answers, asking, form_of, oauth2, target
from tests.vendor_stand_in import StandIn, stand_in_for

TOKENS = {"access_token": "4ccess"}


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with stand_in_for([HOST, "acme.vendor.example"], tmp_path) as running:
        yield running


@pytest.fixture
async def client(vendor: StandIn) -> AsyncIterator[OAuthClient]:
    async with vendor.client() as outbound:
        yield asking(outbound)


async def exchanged(client: OAuthClient, at: Target) -> Obtained:
    return await client.exchange(at, code="c0de", redirect_uri=CALLBACK, verifier=VERIFIER, seconds=5)


async def refreshed(client: OAuthClient, at: Target) -> Obtained:
    return await client.refresh(at, refresh_token="old-r3fresh", scopes=("a",), seconds=5)


async def test_the_code_is_exchanged_by_the_book(vendor: StandIn, client: OAuthClient) -> None:
    answers(vendor, TOKENS)
    await exchanged(client, target(oauth2(token_params={"audience": "{site}"}), site="acme"))
    (seen,) = vendor.seen
    assert (seen.method, seen.target, seen.headers["accept"]) == ("POST", "/token", "application/json")
    assert form_of(vendor) == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        "audience": "acme",
    }
    pair = base64.b64decode(seen.headers["authorization"].removeprefix("Basic ")).decode()
    assert pair == "client%2Bid:s3cret%2Fof%3Dthe%2Bclient"


async def test_a_refresh_names_no_scope_and_goes_where_the_manifest_says(vendor: StandIn, client: OAuthClient) -> None:
    answers(vendor, TOKENS)
    scheme = oauth2(
        refresh_url="https://{site}.vendor.example/renew/{site}",
        token_auth="client_secret_post",
        refresh_params={"x": "y"},
        token_params={"not": "here"},
        token_headers={"Accept": "application/vnd.x+json", "X-Version": "2"},
    )
    await refreshed(client, target(scheme, site="acme"))
    (seen,) = vendor.seen
    assert (seen.host.partition(":")[0], seen.target) == ("acme.vendor.example", "/renew/acme")
    assert (seen.headers["accept"], seen.headers["x-version"]) == ("application/vnd.x+json", "2")
    assert "authorization" not in seen.headers
    assert form_of(vendor) == {
        "grant_type": "refresh_token",
        "refresh_token": "old-r3fresh",
        "x": "y",
        "client_id": CLIENT.client_id,
        "client_secret": CLIENT.secret,
    }


async def test_a_public_client_says_who_it_is_and_nothing_more(vendor: StandIn, client: OAuthClient) -> None:
    answers(vendor, TOKENS)
    await exchanged(client, target(oauth2(token_auth="none", pkce="none"), Client("public")))
    assert form_of(vendor) == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": CALLBACK,
        "client_id": "public",
    }
    assert "authorization" not in vendor.seen[0].headers


async def test_a_body_in_json(vendor: StandIn, client: OAuthClient) -> None:
    answers(vendor, TOKENS)
    await exchanged(client, target(oauth2(token_body="json", token_auth="client_secret_post", pkce="none")))
    assert vendor.seen[0].headers["content-type"] == "application/json"
    assert json.loads(vendor.seen[0].body) == {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": CALLBACK,
        "client_id": CLIENT.client_id,
        "client_secret": CLIENT.secret,
    }


async def test_a_client_s_own_token_is_asked_for_with_the_scopes_as_the_provider_writes_them(
    vendor: StandIn, client: OAuthClient
) -> None:
    answers(vendor, TOKENS)
    scheme = oauth2(grant="client_credentials", scope_param="scopes", scope_separator=",", default_scopes=("d",))
    await client.obtain(target(scheme), scopes=("a", "b"), seconds=5)
    assert form_of(vendor) == {"grant_type": "client_credentials", "scopes": "a,b"}
    await client.refresh(target(scheme), refresh_token=None, scopes=(), seconds=5)
    assert form_of(vendor) == {"grant_type": "client_credentials", "scopes": "d"}


async def test_what_the_project_says_of_its_client_s_host_wins_over_what_a_person_says(
    vendor: StandIn, client: OAuthClient
) -> None:
    answers(vendor, TOKENS)
    own = Client("c", "s", {"site": "acme"})
    await exchanged(client, target(oauth2(token_url="https://{site}.vendor.example/token"), own, site="evil"))
    assert vendor.seen[0].host.startswith("acme.")


def authorized(client: OAuthClient, at: Target, *scopes: str) -> tuple[str, dict[str, list[str]]]:
    url = client.authorize_url(at, redirect_uri=CALLBACK, state="st4te", verifier=VERIFIER, scopes=scopes)
    address, _, query = url.partition("?")
    return address, parse_qs(query, strict_parsing=True)


async def test_the_way_to_the_consent_by_the_book(client: OAuthClient) -> None:
    address, query = authorized(client, target(oauth2()), "a", "b c")
    assert address == f"https://{HOST}/authorize"
    assert len(query.pop("code_challenge")[0]) == 43 and VERIFIER not in str(query)
    assert query == {
        "response_type": ["code"],
        "client_id": [CLIENT.client_id],
        "redirect_uri": [CALLBACK],
        "scope": ["a b c"],
        "state": ["st4te"],
        "code_challenge_method": ["S256"],
    }


async def test_the_way_to_the_consent_as_a_provider_wants_it(client: OAuthClient) -> None:
    scheme = oauth2(
        authorize_url="https://{site}.vendor.example/o/{site}?owner=user",
        pkce="none",
        scope_param="user_scope",
        scope_separator=",",
        default_scopes=("x", "y"),
        authorize_params={"access_type": "offline", "hint": "{site}", "state": "not-this-one"},
    )
    address, query = authorized(client, target(scheme, site="acme"))
    assert address == "https://acme.vendor.example/o/acme"
    assert query == {
        "owner": ["user"],
        "response_type": ["code"],
        "client_id": [CLIENT.client_id],
        "redirect_uri": [CALLBACK],
        "user_scope": ["x,y"],
        "state": ["st4te"],
        "access_type": ["offline"],
        "hint": ["acme"],
    }


@pytest.mark.parametrize("site", ["evil.example/", "a@b", "a.b", "..", ""])
async def test_what_a_person_fills_in_never_leads_to_another_host(client: OAuthClient, site: str) -> None:
    at = target(oauth2(authorize_url="https://{site}.vendor.example/authorize"), site=site)
    with pytest.raises(ProviderRefused, match="site"):
        authorized(client, at)
    url = client.authorize_url(
        target(oauth2(authorize_url=f"https://{HOST}/{{site}}x"), site=site + "/../?#"),
        redirect_uri=CALLBACK,
        state="s",
        verifier=VERIFIER,
        scopes=(),
    )
    assert urlsplit(url).hostname == HOST and urlsplit(url).path.count("/") == 1 and not urlsplit(url).fragment


ISSUER = {"issuer": "https://{site}.vendor.example", "sends_iss": True}
NEVER_SENT = {**ISSUER, "sends_iss": False}


@pytest.mark.parametrize(
    ("members", "said", "passes"),
    [
        (ISSUER, "https://acme.vendor.example", True),
        (ISSUER, "", False),
        (ISSUER, "https://acme.vendor.example/", False),
        (ISSUER, "https://other.vendor.example", False),
        (NEVER_SENT, "", True),
        (NEVER_SENT, "https://acme.vendor.example", True),
        (NEVER_SENT, "https://other.vendor.example", False),
        ({}, "", True),
        ({}, "https://whoever.example", True),
    ],
)
def test_an_answer_of_another_provider_is_refused(members: dict[str, Any], said: str, passes: bool) -> None:
    client, at = asking(OutboundClient()), target(oauth2(**members), site="acme")
    if passes:
        client.check_issuer(at, said)
    else:
        with pytest.raises(ProviderRefused, match="does not come from Vendor"):
            client.check_issuer(at, said)


async def test_an_app_that_is_connected_in_another_way_is_refused(client: OAuthClient) -> None:
    with pytest.raises(ProviderRefused, match="another way"):
        await client.request_token(target(oauth2()), callback=CALLBACK, seconds=5)
    with pytest.raises(ProviderRefused, match="another way"):
        await client.obtain(target(oauth2()), scopes=(), seconds=5)
    with pytest.raises(ProviderRefused, match="nobody"):
        authorized(client, target(oauth2(authorize_url=None)))
