"""What every OAuth 2 provider here does by itself, by plain HTTP; the quick one in the fast tier, the real ones beside it."""

import asyncio

import pytest
from yarl import URL

from scripts.providers.browser import Stuck
from scripts.providers.django_toolkit import DjangoToolkit
from scripts.providers.oidc import OidcProvider
from scripts.providers.provider import OAuth2Provider
from scripts.providers.quick import QuickProvider
from tests.providers.conftest import Begin, dance_with

KINDS = [
    QuickProvider,
    pytest.param(OidcProvider, marks=pytest.mark.real),
    pytest.param(DjangoToolkit, marks=pytest.mark.real),
]


@pytest.fixture(params=KINDS, ids=["quick", "oidc-provider", "django-oauth-toolkit"])
def kind(request: pytest.FixtureRequest) -> type[OAuth2Provider]:
    chosen: type[OAuth2Provider] = request.param
    return chosen


@pytest.fixture
async def provider(kind: type[OAuth2Provider], begin: Begin) -> OAuth2Provider:
    started = await begin(kind)
    assert isinstance(started, OAuth2Provider)
    return started


async def test_a_whole_dance_brings_a_token_that_says_whose_it_is(provider: OAuth2Provider) -> None:
    tokens = await dance_with(provider).link("alice")

    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 3600
    assert tokens["refresh_token"]
    assert await provider.whose(tokens["access_token"]) == "alice"
    assert await provider.whose(tokens["refresh_token"]) is None
    assert await provider.whose("made-up") is None


async def test_a_user_who_says_no_is_sent_back_with_access_denied(provider: OAuth2Provider) -> None:
    dance = dance_with(provider)

    back = URL(await provider.deny(dance.authorize_url(), "alice"))

    assert back.query["error"] == "access_denied"
    assert back.query["state"] == dance.state
    assert "code" not in back.query


async def test_a_redirect_uri_that_is_not_registered_is_never_gone_to(provider: OAuth2Provider) -> None:
    with pytest.raises(Stuck):
        await provider.consent(dance_with(provider).authorize_url(redirect_uri="http://127.0.0.1:9/elsewhere"), "alice")


async def test_without_a_code_challenge_there_is_no_code(provider: OAuth2Provider) -> None:
    back = URL(await provider.consent(dance_with(provider).authorize_url(without="code_challenge"), "alice"))

    assert back.query["error"] == "invalid_request"


async def test_a_code_is_worth_nothing_without_its_verifier(provider: OAuth2Provider) -> None:
    dance = dance_with(provider)

    refused = await dance.exchange(
        await dance.code("alice"), verifier="another-verifier-that-is-long-enough-to-be-one-000"
    )

    assert (refused.status, refused.error) == (400, "invalid_grant")


async def test_a_code_is_exchanged_once(provider: OAuth2Provider) -> None:
    dance = dance_with(provider)
    code = await dance.code("alice")
    assert (await dance.exchange(code)).status == 200

    assert (await dance.exchange(code)).error == "invalid_grant"


async def test_a_wrong_client_secret_is_refused(provider: OAuth2Provider) -> None:
    tokens = await dance_with(provider).link("alice")
    impostor = dance_with(provider, provider.client._replace(secret="guessed"))

    refused = await impostor.refresh(tokens["refresh_token"])

    assert (refused.status, refused.error) == (401, "invalid_client")


async def test_an_expired_access_token_is_refused_and_a_refresh_brings_one_that_works(
    kind: type[OAuth2Provider], begin: Begin
) -> None:
    provider = await begin(kind, access_seconds=2)
    assert isinstance(provider, OAuth2Provider)
    dance = dance_with(provider)
    tokens = await dance.link("alice")

    async with asyncio.timeout(30):
        while await provider.whose(tokens["access_token"]) is not None:
            await asyncio.sleep(0.1)
    refreshed = await dance.refresh(tokens["refresh_token"])

    assert refreshed.status == 200
    assert refreshed.body["refresh_token"] != tokens["refresh_token"]
    assert await provider.whose(refreshed.body["access_token"]) == "alice"


async def test_a_refresh_token_that_is_used_again_revokes_the_whole_grant(provider: OAuth2Provider) -> None:
    dance = dance_with(provider)
    tokens = await dance.link("alice")
    refreshed = await dance.refresh(tokens["refresh_token"])

    again = await dance.refresh(tokens["refresh_token"])

    assert (again.status, again.error) == (400, "invalid_grant")
    assert (await dance.refresh(refreshed.body["refresh_token"])).error == "invalid_grant"
    assert await provider.whose(refreshed.body["access_token"]) is None


async def test_without_rotation_a_refresh_token_serves_many_times(kind: type[OAuth2Provider], begin: Begin) -> None:
    provider = await begin(kind, rotates=False)
    assert isinstance(provider, OAuth2Provider)
    dance = dance_with(provider)
    tokens = await dance.link("alice")

    for _ in range(3):
        refreshed = await dance.refresh(tokens["refresh_token"])
        assert refreshed.status == 200
        assert await provider.whose(refreshed.body["access_token"]) == "alice"


async def test_a_revoked_refresh_token_refreshes_no_more(provider: OAuth2Provider) -> None:
    dance = dance_with(provider)
    tokens = await dance.link("alice")

    assert await dance.revoke(tokens["refresh_token"], "refresh_token") == 200

    assert (await dance.refresh(tokens["refresh_token"])).error == "invalid_grant"
    assert await provider.whose(tokens["access_token"]) is None


async def test_a_revoked_access_token_does_not_work(provider: OAuth2Provider) -> None:
    dance = dance_with(provider)
    tokens = await dance.link("alice")

    assert await dance.revoke(tokens["access_token"], "access_token") == 200

    assert await provider.whose(tokens["access_token"]) is None


async def test_what_a_user_withdraws_is_dead_and_what_others_granted_lives(provider: OAuth2Provider) -> None:
    alices, bobs = dance_with(provider), dance_with(provider)
    hers, his = await alices.link("alice"), await bobs.link("bob")

    await provider.withdraw("alice")

    assert await provider.whose(hers["access_token"]) is None
    assert (await alices.refresh(hers["refresh_token"])).error == "invalid_grant"
    assert await provider.whose(his["access_token"]) == "bob"
    assert (await bobs.refresh(his["refresh_token"])).status == 200


async def test_client_credentials_bring_a_token_of_the_client_itself(provider: OAuth2Provider) -> None:
    answer = await dance_with(provider, provider.machine).ask(grant_type="client_credentials", scope="read")

    assert answer.status == 200
    assert "refresh_token" not in answer.body
    assert await provider.whose(answer.body["access_token"]) == f"client:{provider.machine.id}"


async def test_introspection_tells_a_living_token_from_a_dead_one(provider: OAuth2Provider) -> None:
    dance = dance_with(provider)
    tokens = await dance.link("alice")
    assert (await dance.introspect(tokens["access_token"]))["active"] is True

    await dance.revoke(tokens["access_token"], "access_token")

    assert (await dance.introspect(tokens["access_token"]))["active"] is False
