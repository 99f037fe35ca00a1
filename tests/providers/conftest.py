"""Providers for tests: each test starts its own, and it is stopped at the end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

import pytest

from scripts.providers.installing import NotInstallable
from scripts.providers.oauth1 import OAuth1Provider
from scripts.providers.provider import Client, OAuth2Provider, Provider
from scripts.providers.quick import QuickProvider
from tests.providers.dance import CALLBACK, Dance

P = TypeVar("P", bound=Provider)
Begin = Callable[..., Awaitable[Provider]]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    """Starts a provider of a kind, with its own settings, and registers our callback; skips what cannot run here."""
    async with AsyncExitStack() as stack:

        async def started(kind: type[P], **settings: object) -> P:
            try:
                provider = await kind.start(**settings)  # type: ignore[attr-defined]
            except NotInstallable as reason:
                pytest.skip(str(reason))
            await stack.enter_async_context(provider)
            await provider.register_redirect(CALLBACK)
            return provider  # type: ignore[no-any-return]

        yield started


@pytest.fixture
async def quick(begin: Begin) -> QuickProvider:
    provider = await begin(QuickProvider)
    assert isinstance(provider, QuickProvider)
    return provider


@pytest.fixture
async def oauth1(begin: Begin) -> OAuth1Provider:
    provider = await begin(OAuth1Provider)
    assert isinstance(provider, OAuth1Provider)
    return provider


def dance_with(provider: OAuth2Provider, client: Client | None = None, scope: str = "read") -> Dance:
    return Dance(provider, client or provider.client, scope)
