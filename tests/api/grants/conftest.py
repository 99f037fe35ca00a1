"""Fixtures of the connections and grants API's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.connectors.outbound import OutboundClient
from app import Causeway
from domain.apps.catalogue import Catalogue
from scripts.providers.manifests import as_app
from scripts.providers.quick import QuickProvider
from tests.api.grants.speaking import Grants
from tests.api.staging import SetClock, register, staged
from tests.api_client import Api
from tests.conftest import Ground


@pytest.fixture
def grants(api: Api) -> Grants:
    return Grants(api)


@pytest.fixture
async def provider() -> AsyncIterator[QuickProvider]:
    async with await QuickProvider.start() as provider:
        yield provider


@pytest.fixture
async def with_provider(
    ground: Ground, wired: Causeway, clock: SetClock, provider: QuickProvider
) -> AsyncIterator[Grants]:
    """The API with one app in its catalogue, "local", which is the provider; the project has an OAuth client there."""
    catalogue = Catalogue({"local": as_app(provider)})
    outbound = OutboundClient(allow_private_networks=True, keep_connections=False)
    async with staged(wired, ground.plan, clock=clock, outbound=outbound, catalogue=catalogue) as api:
        await register(api, "local", client_id=provider.client_id, client_secret=provider.client_secret)
        yield Grants(api)
