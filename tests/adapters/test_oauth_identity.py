"""Whose account was linked: learnt where the manifest says, and never at the price of the tokens."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.apps.app import OAuth2Scheme, Place, Userinfo
from domain.apps.auth_scheme import Request
from domain.connections.oauth import Identity, OAuthClient, Obtained
from tests.adapters.oauth_targets import CALLBACK, CLIENT, HOST, VERIFIER, asking, oauth2, target
from tests.oauth_stand_in import Script, script_for


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[Script]:
    async with script_for([HOST, "acme.vendor.example"], tmp_path) as running:
        yield running


@pytest.fixture
async def client(vendor: Script) -> AsyncIterator[OAuthClient]:
    async with vendor.client() as outbound:
        yield asking(outbound)


async def exchanged(client: OAuthClient, scheme: OAuth2Scheme, seconds: float = 5) -> Obtained:
    found = await client.exchange(
        target(scheme), code="c0de", redirect_uri=CALLBACK, verifier=VERIFIER, seconds=seconds
    )
    assert found.access_token == "4ccess"
    return found


def asks(**members: object) -> OAuth2Scheme:
    request = Request("GET", "https://{instance}/me/{token}", {"X-Id": "{client_id}"}, {"f": "id"})
    return oauth2(
        userinfo=Userinfo("/data/id", "/data/name", request=request), from_token={"instance": "/at"}, **members
    )


AT_ACME = {"access_token": "4ccess", "at": "https://acme.vendor.example"}


async def test_the_app_is_asked_with_the_token_at_the_host_that_came_with_it(
    vendor: Script, client: OAuthClient
) -> None:
    vendor.say("/token", AT_ACME)
    vendor.say("/me/4ccess", {"data": {"id": 42, "name": " Ada\u202e\n Lovelace "}})
    assert (await exchanged(client, asks())).identity == Identity("42", "Ada Lovelace")
    asked = vendor.seen[-1]
    assert asked.host.startswith("acme.") and asked.target == "/me/4ccess?f=id"
    assert (asked.headers["authorization"], asked.headers["x-id"]) == ("Bearer 4ccess", CLIENT.client_id)


async def test_the_token_goes_where_the_app_wants_it(vendor: Script, client: OAuthClient) -> None:
    vendor.say("/token", AT_ACME)
    vendor.say("/me/4ccess", {"data": {"id": "7"}})
    place = Place(headers={"X-Token": "{token}"}, query={"t": "{token}"}, basic=("{client_id}", "{token}"))
    assert (await exchanged(client, asks(place=place))).identity == Identity("7")
    asked = vendor.seen[-1]
    assert asked.headers["x-token"] == "4ccess" and "t=4ccess" in asked.target
    assert asked.headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"data": {"id": "1"}}, 401),
        ({"data": {"id": "1"}}, 302),
        ({"data": {"id": "1"}}, 500),
        ({"data": {"id": ""}}, 200),
        ({"data": {"id": None}}, 200),
        ({"data": {"id": True}}, 200),
        ({"data": {"id": ["1"]}}, 200),
        ({"data": {"id": "x" * 501}}, 200),
        ({"data": []}, 200),
        ([1], 200),
        (b"<html>", 200),
    ],
)
async def test_tokens_are_kept_when_it_cannot_be_learnt_whose_they_are(
    vendor: Script, client: OAuthClient, body: object, status: int
) -> None:
    vendor.say("/token", AT_ACME)
    vendor.say("/me/4ccess", body, status)
    assert (await exchanged(client, asks())).identity is None
    assert [seen.target for seen in vendor.seen] == ["/token", "/me/4ccess?f=id"]


@pytest.mark.parametrize("at", ["evil.example/acme.vendor.example", "not a host", "a@b", "", None, 5])
async def test_the_token_is_not_sent_where_no_host_is_named(vendor: Script, client: OAuthClient, at: object) -> None:
    vendor.say("/token", {**AT_ACME, "at": at})
    assert (await exchanged(client, asks())).identity is None
    assert [seen.target for seen in vendor.seen] == ["/token"]


async def test_the_token_is_not_sent_to_a_host_that_the_app_does_not_declare(
    vendor: Script, client: OAuthClient
) -> None:
    vendor.say("/token", AT_ACME)
    request = Request("GET", "https://acme.vendor.example/me")
    assert (await exchanged(client, oauth2(userinfo=Userinfo("/id", request=request)))).identity is None
    assert [seen.target for seen in vendor.seen] == ["/token"]


async def test_tokens_are_back_before_the_time_is_over_when_the_app_does_not_say_whose_they_are(
    vendor: Script, client: OAuthClient
) -> None:
    vendor.say("/token", AT_ACME)
    vendor.hold("/me/4ccess")
    async with asyncio.timeout(0.5):
        assert (await exchanged(client, asks(), seconds=0.5)).identity is None


async def test_the_token_s_own_answer_may_say_it(vendor: Script, client: OAuthClient) -> None:
    vendor.say("/token", {"access_token": "4ccess", "team": {"id": "T1", "name": "n" * 900}})
    userinfo = Userinfo("/team/id", "/team/name", source="token_response")
    found = await exchanged(client, oauth2(userinfo=userinfo))
    assert found.identity == Identity("T1", "n" * 200) and len(vendor.seen) == 1


def id_token(claims: object) -> str:
    parts = (b'{"alg":"RS256"}', claims if isinstance(claims, bytes) else json.dumps(claims).encode(), b"signature")
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


MINE = {"sub": "s-1", "email": "ada@example.com", "aud": CLIENT.client_id}


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (id_token(MINE), Identity("s-1", "ada@example.com")),
        (id_token({**MINE, "aud": ["other", CLIENT.client_id]}), Identity("s-1", "ada@example.com")),
        (id_token({**MINE, "aud": "other"}), None),
        (id_token({"sub": "s-1"}), None),
        (id_token(["s-1"]), None),
        (id_token(b"\xff"), None),
        (id_token(MINE).rpartition(".")[0], None),
        ("a.b.c", None),
        ("a.é.c", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
async def test_an_id_token_says_it_when_it_was_made_for_us(
    vendor: Script, client: OAuthClient, token: object, expected: Identity | None
) -> None:
    vendor.say("/token", {"access_token": "4ccess", "id_token": token})
    found = await exchanged(client, oauth2(userinfo=Userinfo("/sub", "/email", source="id_token")))
    assert found.identity == expected


async def test_a_refresh_does_not_ask_again(vendor: Script, client: OAuthClient) -> None:
    vendor.say("/token", AT_ACME)
    await client.refresh(target(asks()), refresh_token="r3fresh", scopes=(), seconds=5)
    assert len(vendor.seen) == 1
