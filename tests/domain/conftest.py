"""A desk over the memory store, with one open tenant."""

from __future__ import annotations

from uuid import UUID

import pytest

from adapters.memory.event_store import MemoryEventStore
from domain.deciding import Desk
from domain.ids import new_id
from domain.ports import TenantKind, WrappedKey
from tests.counting import Followed
from tests.plain_vault import PlainVault
from tests.sample_events import append


@pytest.fixture
async def store() -> MemoryEventStore:
    return MemoryEventStore()


@pytest.fixture
async def followed() -> Followed:
    return Followed()


@pytest.fixture
async def desk(store: MemoryEventStore, followed: Followed) -> Desk:
    return Desk(store, PlainVault(store), followed)


@pytest.fixture
async def tenant(store: MemoryEventStore) -> UUID:
    tenant = new_id()
    key = WrappedKey(tenant, b"wrapped", "plain")
    await store.append(append(tenant, opens=TenantKind.PROJECT, data_keys=(key,)))
    return tenant
