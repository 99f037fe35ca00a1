"""What oidc-provider has of its own: its issuer, its discovery document, and clients that authenticate in one way only."""

import aiohttp
import pytest
from yarl import URL

from scripts.providers.oidc import OidcProvider
from tests.providers.conftest import Begin, dance_with

pytestmark = pytest.mark.real


@pytest.fixture
async def oidc(begin: Begin) -> OidcProvider:
    provider = await begin(OidcProvider)
    assert isinstance(provider, OidcProvider)
    return provider


async def test_the_authorization_response_names_the_issuer(oidc: OidcProvider) -> None:
    dance = dance_with(oidc)

    agreed = URL(await oidc.consent(dance.authorize_url(), "alice"))
    refused = URL(await oidc.deny(dance.authorize_url(), "alice"))

    assert agreed.query["iss"] == refused.query["iss"] == oidc.url


async def test_its_discovery_document_leads_through_the_front(oidc: OidcProvider) -> None:
    async with aiohttp.ClientSession() as session, session.get(oidc.discovery_url) as answer:
        found = await answer.json()

    assert found["issuer"] == oidc.url
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["authorization_response_iss_parameter_supported"] is True
    assert [
        found[f"{name}_endpoint"] for name in ("authorization", "token", "revocation", "introspection", "userinfo")
    ] == [
        oidc.authorize_url,
        oidc.token_url,
        oidc.revoke_url,
        oidc.introspect_url,
        oidc.userinfo_url,
    ]


async def test_userinfo_tells_who_the_user_is(oidc: OidcProvider) -> None:
    tokens = await dance_with(oidc, scope="openid email").link("alice")
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}

    async with aiohttp.ClientSession() as session, session.get(oidc.userinfo_url, headers=headers) as answer:
        assert await answer.json() == {"sub": "alice", "email": "alice@example.test"}


async def test_the_client_may_authenticate_in_the_body(oidc: OidcProvider) -> None:
    form = {"grant_type": "client_credentials", "client_id": oidc.client_id, "client_secret": oidc.client_secret}

    async with aiohttp.ClientSession() as session, session.post(oidc.token_url, data=form) as answer:
        assert answer.status == 200


async def test_a_public_client_gets_no_token_of_its_own(oidc: OidcProvider) -> None:
    answer = await dance_with(oidc, oidc.public_client).ask(grant_type="client_credentials")

    assert (answer.status, answer.error) == (400, "invalid_request")
    assert "grant type is not allowed for this client" in answer.body["error_description"]


async def test_a_public_client_needs_no_secret(oidc: OidcProvider) -> None:
    dance = dance_with(oidc, oidc.public_client)
    tokens = await dance.link("alice")

    refreshed = await dance.refresh(tokens["refresh_token"])

    assert await oidc.whose(refreshed.body["access_token"]) == "alice"


async def test_a_plain_code_challenge_is_refused(oidc: OidcProvider) -> None:
    back = URL(await oidc.consent(dance_with(oidc).authorize_url(code_challenge_method="plain"), "alice"))

    assert back.query["error"] == "invalid_request"


async def test_reuse_revokes_one_grant_and_not_another_of_the_same_user(oidc: OidcProvider) -> None:
    one, other = dance_with(oidc), dance_with(oidc)
    first, second = await one.link("alice"), await other.link("alice")
    await one.refresh(first["refresh_token"])

    assert (await one.refresh(first["refresh_token"])).error == "invalid_grant"

    assert await oidc.whose(second["access_token"]) == "alice"
    assert (await other.refresh(second["refresh_token"])).status == 200
