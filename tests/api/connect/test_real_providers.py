"""The whole life of a link with real providers: consent, callback, use, expiry, renewal, revocation, withdrawal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.connectors.outbound import OutboundClient
from app import Causeway
from domain.apps.app import OAuth1Scheme, Request, Userinfo
from domain.apps.catalogue import Catalogue
from domain.connections.events import RevocationAttempted
from domain.connections.refreshing import ConnectionUnusable
from scripts.providers.django_toolkit import DjangoToolkit
from scripts.providers.installing import NotInstallable
from scripts.providers.manifests import as_app
from scripts.providers.oauth1 import OAuth1Provider
from scripts.providers.oidc import OidcProvider
from scripts.providers.provider import OAuth2Provider, Provider
from tests.api.connect.conftest import app_of, link
from tests.api.connect.person import Person
from tests.api.staging import PUBLIC_URL, SetClock, register, staged
from tests.api_client import Api
from tests.conftest import Ground

pytestmark = pytest.mark.real
Stage = Callable[..., Awaitable[Api]]


@pytest.fixture
async def stage(ground: Ground, wired: Causeway, clock: SetClock) -> AsyncIterator[Stage]:
    """The quickstart project with this provider as its app "real"."""
    async with AsyncExitStack() as stack:

        async def staged_with(provider: Provider, app: Any, **members: Any) -> Api:
            client = OutboundClient(allow_private_networks=True, keep_connections=False)
            catalogue = Catalogue({"real": app})
            api = await stack.enter_async_context(
                staged(wired, ground.plan, clock=clock, catalogue=catalogue, outbound=client)
            )
            given = {"client_id": provider.client_id, "client_secret": provider.client_secret, **members}
            await register(api, "real", **given)
            await provider.register_redirect(f"{PUBLIC_URL}/platform/{ground.plan.project_id}/oauth")
            return api

        yield staged_with


@pytest.fixture(params=["oidc", "django"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[OAuth2Provider]:
    kind: type[OidcProvider | DjangoToolkit] = {"oidc": OidcProvider, "django": DjangoToolkit}[request.param]
    try:
        provider = await kind.start()
    except NotInstallable as reason:
        pytest.skip(str(reason))
    async with provider:
        yield provider


def of_oauth2(provider: OAuth2Provider) -> Any:
    sends_iss = isinstance(provider, OidcProvider)
    scopes = ["openid", "offline_access", "read"] if sends_iss else ["read"]
    return as_app(provider, "real", sends_iss=sends_iss, issuer=provider.url, default_scopes=scopes)


async def connection_id(api: Api, wired: Causeway, user: str = "ada") -> UUID:
    end_user_id = await wired.services.end_user_queries.end_user_id(api.plan.project_id, user)
    assert end_user_id is not None
    row = await wired.services.connection_queries.connection(api.plan.project_id, end_user_id, "real")
    assert row is not None
    assert row.account_name == user
    return row.connection_id


async def test_an_oauth2_link_lives_as_long_as_its_grant(
    stage: Stage, wired: Causeway, clock: SetClock, provider: OAuth2Provider
) -> None:
    api = await stage(provider, of_oauth2(provider))
    usable = api.services.refresher.usable
    async with Person(api) as person:
        done = await person.connect(provider, await link(api, app="real"))
    assert done.status == 200, done.words
    found = await connection_id(api, wired)

    first = await usable(api.plan.project_id, found)
    assert await provider.whose(first.secret.access_token) == "ada"
    clock.ahead = timedelta(hours=2)
    second = await usable(api.plan.project_id, found)
    assert second.secret.access_token != first.secret.access_token
    assert await provider.whose(second.secret.access_token) == "ada"
    assert provider.traffic.refreshes == 1

    deleted = await api.monkedo("DELETE", "/users/ada/connections/real")
    assert deleted.status == 200
    await api.services.connections._revoker.drain()  # what the process does before it ends
    assert await provider.whose(second.secret.access_token) is None
    events = await wired.store.events_of(api.plan.project_id, found)
    assert events[-1] == RevocationAttempted(outcome="revoked")


async def test_a_grant_that_is_withdrawn_at_the_provider_ends_the_connection(
    stage: Stage, wired: Causeway, clock: SetClock, provider: OAuth2Provider
) -> None:
    api = await stage(provider, of_oauth2(provider))
    async with Person(api) as person:
        assert (await person.connect(provider, await link(api, app="real"))).status == 200
        found = await connection_id(api, wired)
        await provider.withdraw("ada")
        clock.ahead = timedelta(hours=2)
        with pytest.raises(ConnectionUnusable):
            await api.services.refresher.usable(api.plan.project_id, found)
        assert await api.status("ada", "real") == {"real": "invalid"}
        again = await person.connect(provider, await link(api, app="real"))
    assert again.status == 200, again.words
    assert await api.status("ada", "real") == {"real": "connected"}
    assert await connection_id(api, wired) == found


async def test_who_says_no_at_a_real_provider_is_told_so(stage: Stage, provider: OAuth2Provider) -> None:
    api = await stage(provider, of_oauth2(provider))
    async with Person(api) as person:
        page = await person.fill_in(await link(api, app="real"))
        refused = await person.get(await provider.deny(page.goes_on_to, "ada"))
        assert (refused.status, "was not allowed to share the account" in refused.words) == (502, True)
        assert "Try again" in refused.words


@pytest.mark.parametrize("method", ["HMAC-SHA1", "RSA-SHA1", "PLAINTEXT"])
async def test_an_oauth1_link_is_signed_confirmed_and_used(stage: Stage, wired: Causeway, method: Any) -> None:
    async with await OAuth1Provider.start() as provider:
        scheme = OAuth1Scheme(
            request_token_url=provider.request_token_url,
            authorize_url=provider.authorize_url,
            access_token_url=provider.token_url,
            signature_method=method,
            userinfo=Userinfo("/owner", "/owner", request=Request("GET", provider.userinfo_url)),
        )
        secret = provider.rsa_private_key if method == "RSA-SHA1" else provider.client_secret
        api = await stage(provider, app_of("real", scheme), client_secret=secret)
        async with Person(api) as person, Person(api) as other:
            address = await link(api, app="real")
            denied = await person.get(await provider.deny((await person.fill_in(address)).goes_on_to, "ada"))
            assert (denied.status, "was not allowed" in denied.words) == (502, True)
            back = await person.agree_at(provider, address)
            assert (await other.get(back)).status == 403
            stranger = await person.agree_at(provider, await link(api, "bob", "real"))
            mixed = back.partition("oauth_token=")[0] + stranger[stranger.index("oauth_token=") :]
            assert (await person.get(mixed)).status == 502
            assert await api.status("ada", "real") == {"real": "not-connected"}
            back = await person.agree_at(provider, address)
            done = await person.get(back)
        assert done.status == 200, done.words
        usable = await api.services.refresher.usable(api.plan.project_id, await connection_id(api, wired))
        assert await provider.whose(usable.secret.access_token, usable.secret.token_secret) == "ada"
        await provider.withdraw("ada")
        assert await provider.whose(usable.secret.access_token, usable.secret.token_secret) is None
