"""What happens in the middle of a refresh: people erased, projects deleted, processes that stand still, answers nobody foresaw."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from domain.connections.connection import ConnectionNotFound, Status
from domain.connections.events import RefreshFailed, RefreshStarted, TokenRefreshed
from domain.connections.refreshing import RefreshTrouble
from domain.ports import Append, Appended
from scripts.providers import faults
from scripts.providers.quick import QuickProvider
from tests.conftest import Ground
from tests.connections.conftest import CALLER, LEASE, Linked, Node, link
from tests.connections.test_refresh import token


@pytest.fixture
def due(node: Node, other: Node) -> None:
    node.ahead = other.ahead = timedelta(hours=2)


async def test_an_end_user_who_is_erased_in_the_middle_of_a_refresh_leaves_nothing_behind(
    node: Node, linked: Linked, provider: QuickProvider, due: None
) -> None:
    hold = provider.faults.hold(processed=True)
    waiting = asyncio.create_task(token(node, linked))
    await hold.reached()
    await node.wired.services.end_users.erase(linked.project_id, CALLER, "ada")
    hold.release()
    with pytest.raises(ConnectionNotFound):
        await waiting
    await asyncio.wait_for(node.use_cases.drain(), 10)
    assert node.complaints == []
    assert (
        await node.wired.pool.fetchval(
            "select count(*) from credentials where connection_id = $1", linked.connection_id
        )
        == 0
    )


async def test_a_project_that_is_deleted_in_the_middle_of_a_refresh_leaves_nothing_behind(
    ground: Ground, node: Node, linked: Linked, provider: QuickProvider, due: None
) -> None:
    hold = provider.faults.hold(processed=True)
    waiting = asyncio.create_task(token(node, linked))
    await hold.reached()
    await node.wired.services.projects.delete(ground.plan.company_id, linked.project_id, CALLER)
    hold.release()
    with pytest.raises(ConnectionNotFound):
        await waiting
    await asyncio.wait_for(node.use_cases.drain(), 10)
    assert node.complaints == []


async def test_trouble_after_the_end_of_the_project_troubles_nobody(
    ground: Ground, node: Node, linked: Linked, provider: QuickProvider, due: None
) -> None:
    hold = provider.faults.hold()
    waiting = asyncio.create_task(token(node, linked))
    await hold.reached()
    await node.wired.services.projects.delete(ground.plan.company_id, linked.project_id, CALLER)
    hold.end()
    with pytest.raises(ConnectionNotFound):
        await waiting
    assert node.complaints == []


class Slow:
    """A process that stands still after it has stored that it begins, for as long as somebody else takes over."""

    def __init__(self, node: Node) -> None:
        self._store = node.wired.store
        self.begun = asyncio.Event()
        self.goes_on = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, append: Append) -> Appended:
        appended = await self._store.append(append)
        if any(isinstance(event, RefreshStarted) for stream in append.streams for event in stream.events):
            self.begun.set()
            await self.goes_on.wait()
        return appended


async def test_a_process_that_stood_still_beyond_its_time_does_not_ask_any_more(
    node: Node, other: Node, linked: Linked, provider: QuickProvider, due: None
) -> None:
    slow = Slow(node)
    node.refresher._desk.store = slow  # type: ignore[assignment]
    waiting = asyncio.create_task(token(node, linked))
    await slow.begun.wait()
    fresh = await token(other, linked)  # after the lease
    slow.goes_on.set()
    assert await waiting == fresh
    assert provider.traffic.refreshes == 1
    assert (await linked.state()).status(node.clock()) is Status.ACTIVE


async def test_a_process_that_stood_still_while_another_asks_waits_for_that_one(
    node: Node, other: Node, linked: Linked, provider: QuickProvider, due: None
) -> None:
    slow, hold = Slow(node), provider.faults.hold()
    node.refresher._desk.store = slow  # type: ignore[assignment]
    waiting = [asyncio.create_task(token(node, linked))]
    await slow.begun.wait()
    waiting.append(asyncio.create_task(token(other, linked)))
    await hold.reached()
    slow.goes_on.set()
    await asyncio.sleep(0.1)
    hold.release()
    first, second = await asyncio.gather(*waiting)
    assert first == second
    assert provider.traffic.most_at_once_per_grant == provider.traffic.refreshes == 1


async def test_whoever_began_too_late_to_ask_says_so_and_is_tried_again(
    node: Node, linked: Linked, provider: QuickProvider
) -> None:
    node.ahead = timedelta(hours=2)
    refresh = await node.refresher._begin(linked.project_id, linked.connection_id, 1)
    assert refresh is not None
    found = await node.refresher._load(linked.project_id, linked.connection_id)
    state, secret = found.connection, found.secret
    target = await node.refresher._targets.target(linked.project_id, state.app_key, state.auth_type, {}, {})
    node.ahead += LEASE / 3
    await node.refresher._ask(linked.project_id, linked.connection_id, refresh, target, secret, ())
    failed = (await linked.events())[-1]
    assert isinstance(failed, RefreshFailed)
    assert not failed.may_have_arrived
    assert provider.traffic.refreshes == 0


async def test_a_token_that_is_refused_as_soon_as_it_is_stored_is_renewed_once_more(
    node: Node, linked: Linked, provider: QuickProvider
) -> None:
    follow, held = node.wired.follower.follow, asyncio.Event()

    async def slow(*arguments: Any) -> None:
        if any(isinstance(event, TokenRefreshed) for event in await linked.events()):
            await held.wait()  # the first refresh is stored, and its flight has not landed
        await follow(*arguments)

    node.wired.follower.follow = slow  # type: ignore[method-assign]
    use = node.refresher.usable
    first = asyncio.create_task(use(linked.project_id, linked.connection_id, rejected=1))
    while (await linked.state()).credential_version < 2:
        await asyncio.sleep(0.01)
    second = asyncio.create_task(use(linked.project_id, linked.connection_id, rejected=2))
    await asyncio.sleep(0.1)
    held.set()
    assert (await second).version == 3
    await first
    assert provider.traffic.refreshes == 2


async def test_an_answer_that_nobody_foresaw_is_recorded_and_tried_again_with_pauses(
    node: Node, linked: Linked, provider: QuickProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.ahead = timedelta(hours=2)

    async def broken(*arguments: Any, **named: Any) -> None:
        raise KeyError("secret-of-the-answer")

    monkeypatch.setattr(node.refresher._oauth, "refresh", broken)
    with pytest.raises(RefreshTrouble) as told:
        await token(node, linked)
    failed = (await linked.events())[-1]
    assert isinstance(failed, RefreshFailed)
    assert failed.may_have_arrived
    assert "secret-of-the-answer" not in f"{failed} {told.value} {node.complaints}"
    assert node.complaints == [{"name": "refresh_broke", "error": "KeyError"}]


async def test_a_process_that_ends_waits_for_its_own_refreshes_and_not_for_others(
    node: Node, other: Node, linked: Linked, provider: QuickProvider, due: None
) -> None:
    assert await other.refresher._begin(linked.project_id, linked.connection_id, 1) is not None
    waiting = asyncio.create_task(token(node, linked))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(LEASE.total_seconds() / 2):
        await node.use_cases.drain()
    with pytest.raises(RefreshTrouble):
        await waiting
    assert provider.traffic.refreshes == 0


async def test_an_answer_outlives_a_database_that_is_away_when_it_comes(
    node: Node, other: Node, linked: Linked, provider: QuickProvider, due: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, away = node.wired.store.append, [ConnectionError(), OSError()]

    async def sometimes(one: Append) -> Appended:
        if away and any(isinstance(event, TokenRefreshed) for stream in one.streams for event in stream.events):
            raise away.pop()
        return await append(one)

    monkeypatch.setattr(node.wired.store, "append", sometimes)
    fresh = await token(node, linked)
    assert [one["name"] for one in node.complaints] == ["refresh_not_stored_yet"] * 2
    assert await token(other, linked) == fresh
    assert provider.traffic.refreshes == 1


async def test_while_the_provider_rests_a_good_token_is_handed_out_without_a_new_attempt(
    ground: Ground, node: Node, provider: QuickProvider
) -> None:
    linked = await link(ground, node, provider, seconds=30)
    provider.faults.plan(faults.status(500))
    await token(node, linked)
    await node.use_cases.drain()
    assert await token(node, linked) == linked.tokens["access_token"]
    assert node.refresher._flights == {}
    assert await linked.refreshes_begun() == 1
