"""How answers of token endpoints are read, with all their deviations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.connections.oauth import OAuthClient, Obtained, ProviderRefused, ProviderTrouble, Target
from tests.adapters.oauth_targets import CALLBACK, CLIENT, HOST, NOW, VERIFIER, answers, asking, oauth2, target
from tests.vendor_stand_in import StandIn, stand_in_for

TOKENS = {
    "access_token": "4ccess",
    "token_type": "bearer",
    "expires_in": 3600,
    "refresh_token": "r3fresh",
    "scope": "a b",
}


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


async def test_an_answer_by_the_book(vendor: StandIn, client: OAuthClient) -> None:
    answers(vendor, TOKENS)
    assert await exchanged(client, target(oauth2())) == Obtained(
        access_token="4ccess",
        refresh_token="r3fresh",
        expires_at=NOW + timedelta(hours=1),
        scopes=("a", "b"),
    )


async def test_an_answer_with_a_token_alone(vendor: StandIn, client: OAuthClient) -> None:
    answers(vendor, {"access_token": "4ccess"})
    assert await refreshed(client, target(oauth2())) == Obtained(access_token="4ccess")


@pytest.mark.parametrize(
    "body",
    [
        b"access_token=4ccess&scope=repo%2Cgist&token_type=bearer&expires_in=60",
        b'\xef\xbb\xbf {"access_token": "4ccess", "scope": ["repo", "gist"], "expires_in": "60.0"}\r\n',
        b'{"access_token": "4ccess", "scope": "repo gist", "expires_in": 60.0, "error": null}',
        b'{"access_token": "4ccess", "scope": "repo,gist", "expires_in": 60, "error": ""}',
    ],
)
@pytest.mark.parametrize("content_type", ["text/html", "application/x-www-form-urlencoded", "text/plain; charset=x"])
async def test_a_form_and_untidy_json_are_read_whatever_they_are_called(
    vendor: StandIn, client: OAuthClient, body: bytes, content_type: str
) -> None:
    answers(vendor, body, Content_Type=content_type)
    found = await exchanged(client, target(oauth2()))
    assert found == Obtained(access_token="4ccess", expires_at=NOW + timedelta(minutes=1), scopes=("repo", "gist"))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (3599, 3599),
        ("3599", 3599),
        (3599.5, 3599.5),
        (0, 7),
        (-1, 7),
        ("-1", 7),
        (True, 7),
        (None, 7),
        ("never", 7),
        ("nan", 7),
        ("1e9", 7),
        (1_795_432_800, 7),
        (10**40, 7),
        (1e300, 7),
        ({"in": 5}, 7),
        (10 * 366 * 86_400, 10 * 366 * 86_400),
    ],
)
async def test_a_life_that_cannot_be_meant_counts_as_not_said(
    vendor: StandIn, client: OAuthClient, said: object, seconds: float
) -> None:
    answers(vendor, {**TOKENS, "expires_in": said})
    found = await refreshed(client, target(oauth2(default_expires_in=7)))
    assert found.expires_at == NOW + timedelta(seconds=seconds)


async def test_tokens_are_found_where_the_manifest_points(vendor: StandIn, client: OAuthClient) -> None:
    scheme = oauth2(
        access_token_path="/authed_user/access_token",
        refresh_token_path="/authed_user/refresh~1token",
        expires_in_path="/authed_user/lives/0",
        scope_path="/authed_user/scope",
        token_type_path="/authed_user/kind",
        from_token={
            "team": "/team/id",
            "instance": "/instance_url",
            "number": "/number",
            "gone": "/gone",
            "odd": "/odd",
        },
        ok_pointer="/ok",
    )
    user = {"access_token": "u", "refresh/token": "r", "lives": ["9"], "scope": "x,y", "kind": "MAC"}
    more = {"team": {"id": "T1"}, "instance_url": "https://acme.vendor.example/x", "number": 12, "odd": "a\nb"}
    answers(vendor, {"ok": True, "access_token": "bot", "authed_user": user, **more})
    assert await exchanged(client, target(scheme)) == Obtained(
        access_token="u",
        token_type="MAC",
        refresh_token="r",
        expires_at=NOW + timedelta(seconds=9),
        scopes=("x", "y"),
        names={"team": "T1", "instance": "acme.vendor.example", "number": "12"},
    )


@pytest.mark.parametrize("status", [200, 400, 401, 403])
@pytest.mark.parametrize(
    "body", [b'{"error": "invalid_grant", "error_description": "old-r3fresh"}', b"error=invalid_grant"]
)
async def test_invalid_grant_is_definite(vendor: StandIn, client: OAuthClient, status: int, body: bytes) -> None:
    answers(vendor, body, status)
    with pytest.raises(ProviderRefused) as refused:
        await refreshed(client, target(oauth2()))
    assert refused.value.code == "invalid_grant" and "old-r3fresh" not in refused.value.message


@pytest.mark.parametrize(
    ("members", "body"),
    [
        ({"ok_pointer": "/ok"}, {"ok": False, "error": "token_revoked"}),
        ({"ok_pointer": "/ok"}, {"ok": False, "error": "token_revoked", "access_token": "not-this-one"}),
        ({"error_path": "/status"}, {"status": "token_revoked", "message": "BAD_REFRESH_TOKEN"}),
        ({"error_path": "/status"}, {"status": 400, "error": "invalid_grant"}),
        ({"error_path": "/error/code", "permanent_errors": ("100013",)}, {"error": {"code": 100013}}),
    ],
)
async def test_an_error_that_the_app_declares_as_permanent_is_definite(
    vendor: StandIn, client: OAuthClient, members: dict[str, Any], body: object
) -> None:
    answers(vendor, body)
    at = target(oauth2(**{"permanent_errors": ("token_revoked", "400"), **members}))
    with pytest.raises(ProviderRefused) as refused:
        await refreshed(client, at)
    assert refused.value.code in {"token_revoked", "400", "100013"} and "not-this-one" not in refused.value.message


@pytest.mark.parametrize(
    "body",
    [
        {"ok": False, "error": "ratelimited"},
        {"ok": False},
        {"ok": False, "access_token": "4ccess"},
        {"access_token": "4ccess", "error": "invalid_grant"},
        {"access_token": ""},
        {"access_token": None},
        {"access_token": ["4ccess"]},
        {"access_token": "two\nlines"},
        {"access_token": "schlüssel"},
        {"token": "4ccess"},
        {"error": {"invalid_grant": 1}},
        {"error": True},
        ["invalid_grant"],
        "invalid_grant",
        b"invalid_grant",
        b"<p class=x>access_token=4ccess&error=invalid_grant</p>",
        b'{"error": "invalid_grant"',
        b'"' + b"x" * 100,
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
async def test_what_says_neither_is_trouble_and_is_not_repeated(
    vendor: StandIn, client: OAuthClient, body: object
) -> None:
    answers(vendor, body)
    with pytest.raises(ProviderTrouble) as trouble:
        await refreshed(client, target(oauth2(ok_pointer="/ok")))
    assert trouble.value.may_have_arrived
    assert "4ccess" not in trouble.value.message and "ratelimited" not in trouble.value.message


@pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client", "invalid_scope", "redirect_uri_mismatch"])
async def test_a_wrong_configuration_ends_no_connection_and_says_what_to_do(
    vendor: StandIn, client: OAuthClient, code: str
) -> None:
    answers(vendor, {"error": code, "error_description": "s3cret/of=the+client"}, 400)
    with pytest.raises(ProviderTrouble, match=code) as trouble:
        await refreshed(client, target(oauth2()))
    assert not trouble.value.may_have_arrived and CLIENT.secret not in trouble.value.message
    with pytest.raises(ProviderRefused) as refused:
        await exchanged(client, target(oauth2()))
    assert refused.value.code == code and CLIENT.secret not in refused.value.message


@pytest.mark.parametrize("body", [{"error": "their_own_word"}, {"message": "Bad credentials"}])
async def test_a_person_hears_of_a_refusal_in_other_words(vendor: StandIn, client: OAuthClient, body: object) -> None:
    answers(vendor, body, 400)
    with pytest.raises(ProviderRefused) as refused:
        await exchanged(client, target(oauth2()))
    assert refused.value.code == "refused"
    assert "their_own_word" not in refused.value.message and "Bad" not in refused.value.message
