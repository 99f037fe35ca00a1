"""Deleting a connection: its token is ended at the provider too, and what came of that is recorded."""

from __future__ import annotations

import pytest

from adapters.oauth.provider_client import ProviderClient
from domain.connections.events import ConnectionDeleted, RevocationAttempted
from scripts.providers import faults
from scripts.providers.quick import QuickProvider
from tests.conftest import Ground
from tests.connections.conftest import CALLER, Linked, Node, link


async def deleted(node: Node, linked: Linked) -> RevocationAttempted:
    await node.use_cases.commands.delete(linked.project_id, CALLER, "ada", "local")
    await node.use_cases.drain()
    said, attempted = (await linked.events())[-2:]
    assert isinstance(said, ConnectionDeleted)
    assert isinstance(attempted, RevocationAttempted)
    return attempted


async def test_a_deleted_connection_s_token_is_dead_at_the_provider(
    node: Node, linked: Linked, provider: QuickProvider
) -> None:
    assert await provider.whose(linked.tokens["access_token"]) == "ada"
    assert (await deleted(node, linked)).outcome == "revoked"
    assert await provider.whose(linked.tokens["access_token"]) is None


async def test_a_provider_in_trouble_does_not_keep_the_connection_alive(
    node: Node, linked: Linked, provider: QuickProvider
) -> None:
    provider.faults.plan(faults.status(500), meets=faults.at("/revoke"))
    attempted = await deleted(node, linked)
    assert (attempted.outcome, bool(attempted.message)) == ("failed", True)
    assert await node.wired.vault.credential(linked.project_id, linked.connection_id) is None


async def test_an_answer_that_nobody_foresaw_is_recorded_too(
    node: Node, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*args: object, **more: object) -> bool:
        raise ValueError("planted")

    monkeypatch.setattr(ProviderClient, "revoke", breaks)
    attempted = await deleted(node, linked)
    assert (attempted.outcome, "could not be read" in attempted.message) == ("failed", True)
    assert "planted" not in attempted.message


async def test_an_app_without_a_revocation_endpoint_is_recorded_as_such(
    ground: Ground, node: Node, provider: QuickProvider
) -> None:
    other = Node(node.wired, provider, revoke_url=None)
    linked = await link(ground, other, provider)
    assert (await deleted(other, linked)).outcome == "unsupported"
    assert await provider.whose(linked.tokens["access_token"]) == "ada"
    await other.close()
