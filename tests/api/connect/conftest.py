"""A provider in this process, apps that lead to it or take a key, and a person who connects them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.connectors.outbound import OutboundClient
from app import Causeway
from domain.apps.app import ApiKeyScheme, App, CustomScheme, Field, OAuth2Scheme, Option, ShowWhen
from domain.apps.catalogue import Catalogue
from domain.connections.oauth import Client
from scripts.providers.manifests import as_app
from scripts.providers.quick import QuickProvider
from tests.api.connect.person import Person
from tests.api.staging import PUBLIC_URL, SetClock, register, staged
from tests.api_client import Api
from tests.conftest import Ground

SHOP = "https://shop.example"
REGION = Field(
    "region",
    "Region",
    "Where your account lives.",
    type="select",
    options=(Option("eu", "Europe"), Option("us", "United States"), Option("own", "A server of my own")),
)
FORM = CustomScheme(
    token_field="token",
    fields=(
        REGION,
        Field("host", "Server", "Its address.", type="url", show_when=ShowWhen("region", "own")),
        Field("email", "E-mail", "With which you log in.", type="email"),
        Field("token", "Token", "From your profile.", type="password", secret=True),
        Field("key", "Private key", "PEM, in several lines.", type="textarea", secret=True, optional=True),
        Field("note", "Note", "", optional=True),
        Field("internal", "Internal", "", show=False),
    ),
)


def app_of(key: str, *schemes: Any) -> App:
    docs = ("https://www.rfc-editor.org/rfc/rfc6749",)
    return App(key, key.title(), "", ("testing",), ("127.0.0.1",), schemes, docs)


def apps(provider: QuickProvider) -> Catalogue:
    """``local`` is OAuth 2; ``keyed`` takes a key, or OAuth 2; ``form`` asks for much; ``machine`` needs nobody's consent."""
    both = as_app(provider, "keyed").auth[0]
    key = ApiKeyScheme(token_field="key", fields=(Field("key", "Key", "Your key.", type="password", secret=True),))
    machine = OAuth2Scheme(grant="client_credentials", token_url=provider.token_url)
    account = [{"name": "account", "label": "Account", "desc": "Its name."}]
    address = provider.authorize_url.replace("127.0.0.1", "{account}.0.0.1")
    hosted = as_app(provider, "hosted", fields=account, authorize_url=address)
    found = [as_app(provider), hosted, app_of("keyed", key, both), app_of("form", FORM), app_of("machine", machine)]
    return Catalogue({app.key: app for app in found})


@pytest.fixture
async def provider() -> AsyncIterator[QuickProvider]:
    async with await QuickProvider.start() as provider:
        yield provider


@pytest.fixture
async def api(ground: Ground, wired: Causeway, clock: SetClock, provider: QuickProvider) -> AsyncIterator[Api]:
    """The quickstart project with all of these apps, and with a shop's site allowed."""
    client = OutboundClient(allow_private_networks=True, keep_connections=False)
    own = {"client_id": provider.client_id, "client_secret": provider.client_secret}
    async with staged(
        wired,
        ground.plan,
        clock=clock,
        catalogue=apps(provider),
        outbound=client,
        installation={"keyed": Client(provider.client_id, provider.client_secret)},
    ) as api:
        settings = {"name": "Shop", "webhook_url": SHOP, "allowed_origins": [SHOP]}
        assert (await api.manage("PUT", api.managed_project, settings)).status == 200
        await register(api, "local", scopes=["read"], **own)
        await register(api, "machine", **own)
        await register(api, "form")
        await provider.register_redirect(f"{PUBLIC_URL}/platform/{ground.plan.project_id}/oauth")
        await provider.register_redirect(f"{PUBLIC_URL}/platform/installation/oauth")
        yield api


@pytest.fixture
async def person(api: Api) -> AsyncIterator[Person]:
    async with Person(api) as person:
        yield person


async def link(api: Api, user: str = "ada", app: str = "local", **wishes: Any) -> str:
    """Asks for a link, in the newer generation."""
    answer = await api.monkedo("POST", f"{api.project}/users/{user}/connections/{app}", wishes)
    assert answer.status == 200, answer.text
    assert answer.json.startswith(f"{PUBLIC_URL}/connect/cwl_")
    return str(answer.json)
