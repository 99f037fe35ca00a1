"""OAuth 1.0a: every step is signed so that an independent reading of RFC 5849 finds the same signature."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from yarl import URL

from adapters.connectors.outbound import OutboundClient
from adapters.oauth.provider_client import ProviderClient
from domain.apps.app import OAuth1Scheme, Userinfo
from domain.apps.auth_scheme import Request
from domain.connections.oauth import (
    Client,
    Identity,
    OAuthClient,
    Obtained,
    ProviderRefused,
    ProviderTrouble,
    RequestToken,
    Target,
)
from scripts.providers.installing import NotInstallable
from scripts.providers.oauth1 import OAuth1Provider
from tests.adapters.oauth_targets import CALLBACK, HOST, NOW, app_with, asking, oauth1, target
from tests.oauth_stand_in import Script, script_for
from tests.providers.signing import METHODS, Signer
from tests.vendor_stand_in import Seen

TEMPORARY = RequestToken("t/emp+orary", "temp s3cret&")
FORM = b"oauth_token=t%2Femp%2Borary&oauth_token_secret=temp+s3cret%26&oauth_callback_confirmed=true"
TOKENS = b"oauth_token=4ccess&oauth_token_secret=t0ken-s3cret&user_id=42&screen_name=ada"
STANDARD = {"oauth_consumer_key", "oauth_signature_method", "oauth_timestamp", "oauth_nonce", "oauth_version"}


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


RSA_KEY = pem(rsa.generate_private_key(65537, 2048))
SIGNER = Signer("consumer key", "c0nsumer/s3cret", RSA_KEY)


def client_for(method: str) -> Client:
    return Client(SIGNER.client_id, RSA_KEY if method == "RSA-SHA1" else SIGNER.client_secret)


@pytest.fixture
async def vendor(tmp_path: Path) -> AsyncIterator[Script]:
    async with script_for([HOST], tmp_path) as running:
        running.say("/initiate", FORM)
        running.say("/token", TOKENS)
        yield running


@pytest.fixture
async def client(vendor: Script) -> AsyncIterator[OAuthClient]:
    async with vendor.client() as outbound:
        yield asking(outbound)


def signed_fields(seen: Seen, token: RequestToken | None = None) -> dict[str, str]:
    """What the Authorization header says, after its signature was found by our own reading of the RFC."""
    scheme, _, rest = seen.headers["authorization"].partition(" ")
    assert scheme == "OAuth"
    fields = {name: unquote(value) for name, value in re.findall(r'([a-z_]+)="([^"]*)"', rest)}
    protocol = {name: fields[name] for name in fields if name not in {"oauth_signature", "realm"}}
    header = SIGNER.header(
        fields["oauth_signature_method"],
        seen.method,
        f"https://{HOST}{seen.target}",
        (token.token, token.secret) if token else None,
        protocol,
    )
    expected = re.search(r'oauth_signature="([^"]*)"', header)
    assert expected is not None and fields["oauth_signature"] == unquote(expected[1])
    assert fields["oauth_timestamp"] == str(int(NOW.timestamp())) and fields.keys() > STANDARD
    return fields


async def asked_for_a_request_token(client: OAuthClient, at: Target) -> RequestToken:
    return await client.request_token(at, callback=CALLBACK, seconds=5)


async def verified(client: OAuthClient, at: Target) -> Obtained:
    return await client.exchange_verifier(at, TEMPORARY, verifier="v3r+ifier", seconds=5)


def at_vendor(method: str = "HMAC-SHA1", **members: object) -> Target:
    return target(oauth1(signature_method=method, **members), client_for(method))


@pytest.mark.parametrize("method", METHODS)
async def test_a_request_token_is_asked_for(vendor: Script, client: OAuthClient, method: str) -> None:
    assert await asked_for_a_request_token(client, at_vendor(method)) == TEMPORARY
    (seen,) = vendor.seen
    fields = signed_fields(seen)
    assert (seen.method, seen.target, seen.body) == ("POST", "/initiate", b"")
    assert (fields["oauth_callback"], fields["oauth_signature_method"]) == (CALLBACK, method)
    assert "oauth_token" not in fields and "realm" not in fields


@pytest.mark.parametrize("method", METHODS)
async def test_the_verifier_buys_the_token(vendor: Script, client: OAuthClient, method: str) -> None:
    found = await verified(client, at_vendor(method))
    assert found == Obtained(access_token="4ccess", token_type="OAuth", token_secret="t0ken-s3cret")
    fields = signed_fields(vendor.seen[0], TEMPORARY)
    assert (fields["oauth_verifier"], fields["oauth_token"]) == ("v3r+ifier", TEMPORARY.token)


@pytest.mark.parametrize("method", METHODS)
async def test_the_account_is_asked_for_with_a_signature_over_the_query(
    vendor: Script, client: OAuthClient, method: str
) -> None:
    vendor.say("/me", {"user": {"id": 42, "name": "Ada"}})
    request = Request("GET", f"https://{HOST}/me", query={"b": "2 =&", "a": "ü+~"})
    at = at_vendor(method, userinfo=Userinfo("/user/id", "/user/name", request=request))
    assert (await verified(client, at)).identity == Identity("42", "Ada")
    signed_fields(vendor.seen[1], RequestToken("4ccess", "t0ken-s3cret"))


async def test_the_token_s_own_answer_may_say_whose_it_is(vendor: Script, client: OAuthClient) -> None:
    userinfo = Userinfo("/user_id", "/screen_name", source="token_response")
    assert (await verified(client, at_vendor(userinfo=userinfo))).identity == Identity("42", "ada")


async def test_a_realm_is_named_and_not_signed(vendor: Script, client: OAuthClient) -> None:
    await asked_for_a_request_token(client, at_vendor(realm="https://vendor.example/api"))
    assert signed_fields(vendor.seen[0])["realm"] == "https://vendor.example/api"


async def test_two_requests_never_share_a_nonce(vendor: Script, client: OAuthClient) -> None:
    for _ in range(2):
        await asked_for_a_request_token(client, at_vendor())
    assert len({signed_fields(seen)["oauth_nonce"] for seen in vendor.seen}) == 2


def test_the_way_to_the_consent() -> None:
    client = ProviderClient(OutboundClient(), lambda: NOW)
    client.check_issuer(at_vendor(), "")
    url = URL(client.authorize_url_for(at_vendor(authorize_params={"perms": "write"}), TEMPORARY))
    assert str(url.with_query(None)) == f"https://{HOST}/authorize"
    assert dict(url.query) == {"perms": "write", "oauth_token": TEMPORARY.token}


async def test_a_provider_that_does_not_confirm_the_callback_is_refused(vendor: Script, client: OAuthClient) -> None:
    vendor.say("/initiate", FORM.replace(b"&oauth_callback_confirmed=true", b""))
    with pytest.raises(ProviderRefused, match="older OAuth"):
        await asked_for_a_request_token(client, at_vendor())


@pytest.mark.parametrize(
    "body", [b"Failed to validate oauth signature and token", b"oauth_problem=token_rejected", b"{}"]
)
@pytest.mark.parametrize("status", [400, 401])
async def test_what_the_protocol_refuses_is_definite(
    vendor: Script, client: OAuthClient, status: int, body: bytes
) -> None:
    vendor.say("/initiate", body, status)
    vendor.say("/token", body, status)
    with pytest.raises(ProviderRefused, match="callback address"):
        await asked_for_a_request_token(client, at_vendor())
    with pytest.raises(ProviderRefused, match="start again"):
        await verified(client, at_vendor())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, TOKENS),
        (429, TOKENS),
        (302, TOKENS),
        (403, b"<html>"),
        (200, b"<html>"),
        (200, b"oauth_token=4ccess"),
        (200, b""),
    ],
)
async def test_anything_else_is_trouble(vendor: Script, client: OAuthClient, status: int, body: bytes) -> None:
    vendor.say("/token", body, status)
    with pytest.raises(ProviderTrouble) as trouble:
        await verified(client, at_vendor())
    assert trouble.value.may_have_arrived is (status != 429) and "4ccess" not in trouble.value.message


@pytest.mark.parametrize("key", ["", "no key", pem(ec.generate_private_key(ec.SECP256R1())), RSA_KEY[:400]])
async def test_a_private_key_that_cannot_sign_is_named_and_not_shown(
    vendor: Script, client: OAuthClient, key: str
) -> None:
    at = target(oauth1(signature_method="RSA-SHA1"), Client("c", key))
    with pytest.raises(ProviderRefused, match="private key") as refused:
        await asked_for_a_request_token(client, at)
    assert vendor.seen == [] and not (key and key in refused.value.message)


async def test_there_is_nothing_to_renew_or_to_end(vendor: Script, client: OAuthClient) -> None:
    with pytest.raises(ProviderRefused):
        await client.refresh(at_vendor(), refresh_token=None, scopes=(), seconds=5)
    assert not await client.revoke(at_vendor(), access_token="4ccess", refresh_token=None, seconds=5)
    assert vendor.seen == []


async def test_the_library_writes_nothing_of_it_into_the_logs(
    vendor: Script, client: OAuthClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await verified(client, at_vendor())
    assert not [record for record in caplog.records if record.name.startswith("oauthlib")]


@pytest.mark.real
@pytest.mark.parametrize("method", METHODS)
async def test_a_whole_dance_with_a_real_provider(method: str) -> None:
    try:
        provider = await OAuth1Provider.start()
    except NotInstallable as reason:
        pytest.skip(str(reason))
    back = "http://127.0.0.1:9/callback"
    async with provider, OutboundClient(allow_private_networks=True) as outbound:
        await provider.register_redirect(back)
        scheme = OAuth1Scheme(
            request_token_url=provider.request_token_url,
            authorize_url=provider.authorize_url,
            access_token_url=provider.token_url,
            signature_method=method,
            userinfo=Userinfo("/owner", request=Request("GET", provider.userinfo_url, query={"a b": "c+d"})),
        )
        secret = provider.rsa_private_key if method == "RSA-SHA1" else provider.client_secret
        at = Target(app_with(scheme, "127.0.0.1"), scheme, Client(provider.client_id, secret))
        client = ProviderClient(outbound, _now)
        temporary = await client.request_token(at, callback=back, seconds=10)
        came_back = URL(await provider.consent(client.authorize_url_for(at, temporary), "alice"))
        found = await client.exchange_verifier(at, temporary, verifier=came_back.query["oauth_verifier"], seconds=10)
        assert found.identity == Identity("alice") and found.token_secret
        assert await provider.whose(found.access_token, found.token_secret) == "alice"


def _now() -> datetime:
    return datetime.now(UTC)
