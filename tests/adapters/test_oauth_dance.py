"""The whole OAuth 2 dance with a strict provider: consent, exchange, refresh, revocation, and its refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from yarl import URL

from adapters.connectors.outbound import OutboundClient
from domain.apps.app import RevokeHow, Userinfo
from domain.apps.auth_scheme import Request
from domain.connections.oauth import Client, Identity, OAuthClient, Obtained, ProviderRefused, ProviderTrouble, Target
from scripts.providers.django_toolkit import DjangoToolkit
from scripts.providers.installing import NotInstallable
from scripts.providers.oidc import OidcProvider
from scripts.providers.provider import OAuth2Provider
from scripts.providers.quick import QuickProvider
from tests.adapters.oauth_targets import NOW, SECONDS, VERIFIER, asking, at_provider

BACK = "http://127.0.0.1:9/callback"


KINDS = [
    QuickProvider,
    pytest.param(OidcProvider, marks=pytest.mark.real),
    pytest.param(DjangoToolkit, marks=pytest.mark.real),
]


@pytest.fixture(params=KINDS, ids=["quick", "oidc-provider", "django-oauth-toolkit"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[OAuth2Provider]:
    try:
        started = await request.param.start()
    except NotInstallable as reason:
        pytest.skip(str(reason))
    async with started:
        await started.register_redirect(BACK)
        yield started


@pytest.fixture
async def client() -> AsyncIterator[OAuthClient]:
    async with OutboundClient(allow_private_networks=True) as outbound:
        yield asking(outbound)


async def code_for(provider: OAuth2Provider, client: OAuthClient, target: Target, user: str = "alice") -> str:
    url = client.authorize_url(target, redirect_uri=BACK, state="st4te", verifier=VERIFIER, scopes=("read",))
    back = URL(await provider.consent(url, user))
    assert back.query["state"] == "st4te"
    return back.query["code"]


async def linked(provider: OAuth2Provider, client: OAuthClient, target: Target) -> Obtained:
    code = await code_for(provider, client, target)
    return await client.exchange(target, code=code, redirect_uri=BACK, verifier=VERIFIER, seconds=SECONDS)


async def refreshed(client: OAuthClient, target: Target, token: str | None) -> Obtained:
    return await client.refresh(target, refresh_token=token, scopes=("read",), seconds=SECONDS)


@pytest.mark.parametrize("token_auth", ["client_secret_basic", "client_secret_post"])
async def test_a_consent_becomes_tokens_that_are_renewed_and_ended(
    provider: OAuth2Provider, client: OAuthClient, token_auth: str
) -> None:
    userinfo = Userinfo("/owner", "/owner", request=Request("GET", f"{provider.url}/resource"))
    target = at_provider(provider, token_auth=token_auth, userinfo=userinfo)
    first = await linked(provider, client, target)
    assert first.identity == Identity("alice", "alice") and first.scopes == ("read",)
    assert first.expires_at is not None and (first.expires_at - NOW).total_seconds() == 3600

    second = await refreshed(client, target, first.refresh_token)
    assert second.refresh_token not in (None, first.refresh_token)
    assert await provider.whose(second.access_token) == "alice"

    assert await client.revoke(
        target, access_token=second.access_token, refresh_token=second.refresh_token, seconds=SECONDS
    )
    assert await provider.whose(second.access_token) is None


async def test_a_code_that_was_used_is_refused(provider: OAuth2Provider, client: OAuthClient) -> None:
    target = at_provider(provider)
    code = await code_for(provider, client, target)
    await client.exchange(target, code=code, redirect_uri=BACK, verifier=VERIFIER, seconds=SECONDS)
    with pytest.raises(ProviderRefused) as refused:
        await client.exchange(target, code=code, redirect_uri=BACK, verifier=VERIFIER, seconds=SECONDS)
    assert refused.value.code == "invalid_grant" and code not in refused.value.message


async def test_a_code_with_another_verifier_is_refused(provider: OAuth2Provider, client: OAuthClient) -> None:
    target = at_provider(provider)
    code = await code_for(provider, client, target)
    with pytest.raises(ProviderRefused, match="invalid_grant"):
        await client.exchange(target, code=code, redirect_uri=BACK, verifier="x" * 50, seconds=SECONDS)


async def test_a_grant_that_the_user_withdrew_is_refused_definitely(
    provider: OAuth2Provider, client: OAuthClient
) -> None:
    target = at_provider(provider)
    first = await linked(provider, client, target)
    await provider.withdraw("alice")
    with pytest.raises(ProviderRefused) as refused:
        await refreshed(client, target, first.refresh_token)
    assert refused.value.code == "invalid_grant"


async def test_a_wrong_client_secret_refuses_a_link_and_ends_no_connection(
    provider: OAuth2Provider, client: OAuthClient
) -> None:
    right = at_provider(provider)
    wrong = at_provider(provider, Client(provider.client_id, "wr0ng-secret"))
    first = await linked(provider, client, right)

    code = await code_for(provider, client, wrong)
    with pytest.raises(ProviderRefused) as refused:
        await client.exchange(wrong, code=code, redirect_uri=BACK, verifier=VERIFIER, seconds=SECONDS)
    assert refused.value.code == "invalid_client" and "correct them" in refused.value.message

    with pytest.raises(ProviderTrouble, match="correct them in the integration") as trouble:
        await refreshed(client, wrong, first.refresh_token)
    assert not trouble.value.may_have_arrived
    assert await refreshed(client, right, first.refresh_token)


async def test_a_client_gets_a_token_for_itself_and_another_when_that_ends(
    provider: OAuth2Provider, client: OAuthClient
) -> None:
    machine = Client(provider.machine.id, provider.machine.secret)
    target = at_provider(provider, machine, grant="client_credentials", default_scopes=("read",))
    first = await client.obtain(target, scopes=(), seconds=SECONDS)
    second = await refreshed(client, target, None)
    assert first.access_token != second.access_token and first.scopes == second.scopes == ("read",)
    assert await provider.whose(second.access_token) == f"client:{provider.machine.id}"


async def test_a_link_without_a_refresh_token_cannot_be_renewed(provider: OAuth2Provider, client: OAuthClient) -> None:
    with pytest.raises(ProviderRefused, match="connect again"):
        await refreshed(client, at_provider(provider), None)
    assert provider.traffic.asked.total() == 0


async def test_a_token_is_ended_as_the_app_declares(provider: OAuth2Provider, client: OAuthClient) -> None:
    how = RevokeHow(token="access_token", form={"token": "{token}", "client": "{client_id}"})
    target = at_provider(provider, revoke_how=how)
    first = await linked(provider, client, target)
    assert await client.revoke(target, access_token=first.access_token, refresh_token=None, seconds=SECONDS)
    assert await provider.whose(first.access_token) is None


async def test_a_chain_of_refreshes_goes_over_kept_and_over_new_connections(
    provider: OAuth2Provider, client: OAuthClient
) -> None:
    target = at_provider(provider)
    token = (await linked(provider, client, target)).refresh_token
    for keeps in (True, False):
        async with OutboundClient(allow_private_networks=True, keep_connections=keeps) as outbound:
            for _ in range(3):
                token = (await refreshed(asking(outbound), target, token)).refresh_token
    assert token and provider.traffic.refreshes_of_grant(token) == 6
