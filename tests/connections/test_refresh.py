"""Token refresh: one at a time for each connection, whatever crashes, and no answer is lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from domain.connections.connection import Status
from domain.connections.events import ConnectionInvalidated, RefreshFailed, RefreshStarted, TokenRefreshed
from domain.connections.oauth import Obtained
from domain.connections.refreshing import ConnectionUnusable, RefreshTrouble
from scripts.providers import faults
from scripts.providers.quick import QuickProvider
from tests.conftest import Ground
from tests.connections.conftest import CALLER, LEASE, Linked, Node, link


async def token(node: Node, linked: Linked) -> str:
    usable = await node.refresher.usable(linked.project_id, linked.connection_id)
    assert usable.secret.access_token is not None
    return usable.secret.access_token


async def test_a_token_that_is_not_due_is_handed_out_without_asking_anybody(
    node: Node, linked: Linked, provider: QuickProvider
) -> None:
    assert await token(node, linked) == linked.tokens["access_token"]
    assert provider.traffic.refreshes == 0


async def test_an_expired_token_is_renewed_before_it_is_handed_out(
    node: Node, linked: Linked, provider: QuickProvider
) -> None:
    node.ahead = timedelta(hours=2)
    fresh = await token(node, linked)
    assert fresh != linked.tokens["access_token"]
    assert await provider.whose(fresh) == "ada"
    started, refreshed = (await linked.events())[-2:]
    assert isinstance(started, RefreshStarted)
    assert isinstance(refreshed, TokenRefreshed)
    assert refreshed.fence == started.fence


async def test_the_rotated_refresh_token_is_the_one_that_is_used_next(
    node: Node, linked: Linked, provider: QuickProvider
) -> None:
    for hours in (2, 4, 6):
        node.ahead = timedelta(hours=hours)
        assert await provider.whose(await token(node, linked)) == "ada"
    assert provider.traffic.refreshes == 3
    assert (await linked.state()).status(node.clock()) is Status.ACTIVE


async def test_a_provider_that_keeps_its_refresh_token_is_refreshed_with_the_same_one(
    ground: Ground, node: Node
) -> None:
    async with await QuickProvider.start(rotates=False) as keeping:
        other = Node(node.wired, keeping)
        linked = await link(ground, other, keeping)
        for hours in (2, 4):
            other.ahead = timedelta(hours=hours)
            assert await keeping.whose(await token(other, linked)) == "ada"
        assert keeping.traffic.refreshes_of(linked.tokens["refresh_token"]) == 2
        await other.close()


async def test_many_users_at_the_moment_of_expiry_cause_one_refresh(
    node: Node, other: Node, linked: Linked, provider: QuickProvider
) -> None:
    node.ahead = other.ahead = timedelta(hours=2)
    tokens = await asyncio.gather(*(token(which, linked) for which in (node, other) for _ in range(50)))
    assert len(set(tokens)) == 1
    assert await provider.whose(tokens[0]) == "ada"
    assert provider.traffic.refreshes == 1


async def test_a_token_in_its_last_minute_is_handed_out_while_it_is_renewed_behind_it(
    ground: Ground, node: Node, provider: QuickProvider
) -> None:
    linked = await link(ground, node, provider, seconds=30)
    hold = provider.faults.hold()
    assert await token(node, linked) == linked.tokens["access_token"]
    await hold.reached()
    hold.release()
    await node.use_cases.drain()
    assert await token(node, linked) != linked.tokens["access_token"]


TROUBLES = [
    faults.status(500),
    faults.status(503, retry_after=7),
    faults.status(429, retry_after=7),
    faults.html(),
    faults.empty(),
    faults.truncated(),
    faults.cut_json(),
    faults.dropped(),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: f"{trouble.name}, processed: {trouble.processed}")
async def test_trouble_kills_nothing_and_is_recorded_and_tried_again_later(
    node: Node, linked: Linked, provider: QuickProvider, trouble: faults.Trouble
) -> None:
    node.ahead = timedelta(hours=2)
    provider.faults.plan(trouble)
    with pytest.raises(RefreshTrouble) as told:
        await token(node, linked)
    failed = (await linked.events())[-1]
    assert isinstance(failed, RefreshFailed)
    assert told.value.retry_at == failed.retry_at > node.clock()
    assert (await linked.state()).status(node.clock()) is Status.ACTIVE
    with pytest.raises(RefreshTrouble):
        await token(node, linked)
    assert provider.traffic.refreshes == 1, "while it pauses nobody is asked"
    node.ahead += timedelta(minutes=10)
    if trouble.processed:  # the provider has rotated, and nobody can know to what
        with pytest.raises(ConnectionUnusable):
            await token(node, linked)
        ended = (await linked.events())[-1]
        assert isinstance(ended, ConnectionInvalidated)
        assert ended.status == "error"
    else:
        assert await provider.whose(await token(node, linked)) == "ada"
        assert (await linked.state()).failures == 0


async def test_retry_after_is_obeyed(node: Node, linked: Linked, provider: QuickProvider) -> None:
    node.ahead = timedelta(hours=2)
    provider.faults.plan(faults.status(429, retry_after=900))
    with pytest.raises(RefreshTrouble):
        await token(node, linked)
    node.ahead += timedelta(seconds=890)
    with pytest.raises(RefreshTrouble):
        await token(node, linked)
    assert provider.traffic.refreshes == 1
    node.ahead += timedelta(seconds=60)
    assert await provider.whose(await token(node, linked)) == "ada"


async def test_pauses_grow_with_every_failure(node: Node, linked: Linked, provider: QuickProvider) -> None:
    node.ahead = timedelta(hours=2)
    provider.faults.plan(faults.status(500), times=None)
    pauses = []
    for _ in range(4):
        with pytest.raises(RefreshTrouble) as told:
            await token(node, linked)
        assert told.value.retry_at is not None
        pauses.append(told.value.retry_at - node.clock())
        node.ahead += pauses[-1] + timedelta(seconds=1)
    assert all(later > 1.5 * earlier for earlier, later in pairwise(pauses))


async def test_a_definite_refusal_ends_the_connection_and_connecting_again_heals_it(
    ground: Ground, node: Node, linked: Linked, provider: QuickProvider
) -> None:
    await provider.withdraw("ada")
    node.ahead = timedelta(hours=2)
    with pytest.raises(ConnectionUnusable):
        await token(node, linked)
    state = await linked.state()
    assert state.status(node.clock()) is Status.REVOKED
    with pytest.raises(ConnectionUnusable):
        await token(node, linked)
    assert provider.traffic.refreshes == 1, "an ended connection is not asked about again"
    again = await link(ground, node, provider)
    assert again.connection_id == linked.connection_id
    assert (await again.state()).status(node.clock()) is Status.ACTIVE


async def test_a_token_without_a_refresh_token_expires_and_the_history_says_so(
    ground: Ground, node: Node, provider: QuickProvider
) -> None:
    linked = await link(ground, node, provider, refresh_token=None)
    node.ahead = timedelta(hours=2)
    assert (await linked.state()).status(node.clock()) is Status.EXPIRED
    with pytest.raises(ConnectionUnusable):
        await token(node, linked)
    ended = (await linked.events())[-1]
    assert isinstance(ended, ConnectionInvalidated)
    assert ended.status == "expired"
    assert provider.traffic.refreshes == 0


async def test_a_refresh_that_was_lost_before_the_provider_was_asked_is_done_again_after_its_lease(
    node: Node, other: Node, linked: Linked, provider: QuickProvider
) -> None:
    node.ahead = other.ahead = timedelta(hours=2)
    assert await node.refresher._begin(linked.project_id, linked.connection_id, 1) is not None
    assert await provider.whose(await token(other, linked)) == "ada"
    first, second = (event for event in await linked.events() if isinstance(event, RefreshStarted))
    assert second.until - first.until >= LEASE - timedelta(milliseconds=100)
    assert provider.traffic.refreshes == 1


async def test_a_refresh_whose_answer_was_lost_in_a_crash_says_reconnect(
    node: Node, other: Node, linked: Linked, provider: QuickProvider
) -> None:
    node.ahead = other.ahead = timedelta(hours=2)
    assert await node.refresher._begin(linked.project_id, linked.connection_id, 1) is not None
    provider.ledger.refresh(provider.client_id, linked.tokens["refresh_token"])  # asked, rotated, and then killed
    with pytest.raises(ConnectionUnusable):
        await token(other, linked)
    ended = (await linked.events())[-1]
    assert isinstance(ended, ConnectionInvalidated)
    assert ended.status == "error"
    assert "connect again" in ended.message


async def test_an_answer_that_comes_after_the_lease_is_stored_all_the_same(
    node: Node, other: Node, linked: Linked, provider: QuickProvider
) -> None:
    node.ahead = other.ahead = timedelta(hours=2)
    refresh = await node.refresher._begin(linked.project_id, linked.connection_id, 1)
    assert refresh is not None
    secret = (await node.refresher._load(linked.project_id, linked.connection_id)).secret
    answer = provider.ledger.refresh(provider.client_id, linked.tokens["refresh_token"])
    with pytest.raises(ConnectionUnusable):
        await token(other, linked)  # waits for the lease, tries the old token once, which is no good any more
    assert (await linked.state()).status(node.clock()) is Status.ERROR
    obtained = Obtained(
        access_token=answer["access_token"],
        refresh_token=answer["refresh_token"],
        expires_at=node.clock() + timedelta(hours=1),
    )
    late = secret.renewed(obtained, node.clock())
    await node.refresher._keep(linked.project_id, linked.connection_id, refresh, late)
    assert (await linked.state()).status(node.clock()) is Status.ACTIVE
    assert await token(other, linked) == answer["access_token"]
    kinds = await node.wired.pool.fetch(
        "select kind from outbox where stream_id = $1 order by version", linked.connection_id
    )
    assert [row["kind"] for row in kinds] == ["connection.created", "connection.invalid", "connection.updated"]


async def test_a_deleted_connection_takes_no_late_answer(node: Node, linked: Linked, provider: QuickProvider) -> None:
    node.ahead = timedelta(hours=2)
    hold = provider.faults.hold(processed=True)
    waiting = asyncio.create_task(token(node, linked))
    await hold.reached()
    await node.use_cases.commands.delete(linked.project_id, CALLER, "ada", "local")
    hold.release()
    with pytest.raises(Exception, match="No connection record"):
        await waiting
    assert not (await linked.state()).present
    assert await node.wired.vault.credential(linked.project_id, linked.connection_id) is None


async def test_what_was_connected_meanwhile_is_not_overwritten_by_a_late_answer(
    ground: Ground, node: Node, linked: Linked, provider: QuickProvider
) -> None:
    node.ahead = timedelta(hours=2)
    hold = provider.faults.hold(processed=True)
    waiting = asyncio.create_task(token(node, linked))
    await hold.reached()
    again = await link(ground, node, provider)
    hold.release()
    assert await waiting == again.tokens["access_token"]


async def test_a_hanging_provider_is_left_after_half_the_lease(
    node: Node, linked: Linked, provider: QuickProvider
) -> None:
    node.ahead = timedelta(hours=2)
    provider.faults.hold()
    with pytest.raises(RefreshTrouble):
        await token(node, linked)
    failed = (await linked.events())[-1]
    assert isinstance(failed, RefreshFailed)
    assert failed.may_have_arrived


async def test_one_connection_s_hanging_provider_slows_no_other(
    ground: Ground, node: Node, linked: Linked, provider: QuickProvider
) -> None:
    bob = await link(ground, node, provider, "bob")
    node.ahead = timedelta(hours=2)
    provider.faults.hold()
    waiting = asyncio.create_task(token(node, linked))
    await provider.traffic.until(lambda traffic: traffic.refreshes == 1)
    assert await provider.whose(await token(node, bob)) == "bob"
    assert not waiting.done()
    with pytest.raises(RefreshTrouble):
        await waiting


async def test_an_app_that_refuses_a_token_before_its_time_gets_a_new_one(
    node: Node, linked: Linked, provider: QuickProvider
) -> None:
    first = await node.refresher.usable(linked.project_id, linked.connection_id)
    again = await asyncio.gather(
        *(node.refresher.usable(linked.project_id, linked.connection_id, rejected=first.version) for _ in range(10))
    )
    assert {one.version for one in again} == {first.version + 1}
    assert provider.traffic.refreshes == 1


async def test_every_use_says_when_the_worker_should_look(node: Node, linked: Linked) -> None:
    await token(node, linked)
    due = node.uses[linked.connection_id]
    state = await linked.state()
    assert state.expires_at is not None
    assert due == state.expires_at - timedelta(minutes=5)


async def test_no_secret_is_in_any_event(node: Node, linked: Linked) -> None:
    node.ahead = timedelta(hours=2)
    fresh = await token(node, linked)
    rows = await node.wired.pool.fetch("select state from events where stream_id = $1", linked.connection_id)
    stored = b"".join(bytes(row["state"]) for row in rows)
    for secret in (*map(str, linked.tokens.values()), fresh):
        if len(secret) > 8:
            assert secret.encode() not in stored


async def test_only_the_newest_versions_of_a_secret_are_kept(
    node: Node, linked: Linked, provider: QuickProvider
) -> None:
    for hours in range(2, 22, 2):
        node.ahead = timedelta(hours=hours)
        assert await provider.whose(await token(node, linked)) == "ada"
    rows = await node.wired.pool.fetch(
        "select version from credentials where connection_id = $1 order by version", linked.connection_id
    )
    assert [row["version"] for row in rows] == list(range(4, 12))


async def test_an_imported_token_s_end_is_looked_after_before_it_is_ever_used(
    ground: Ground, node: Node, provider: QuickProvider
) -> None:
    linked = await link(ground, node, provider)
    due = node.uses[linked.connection_id]
    state = await linked.state()
    assert due is not None and state.expires_at is not None
    assert due < state.expires_at
