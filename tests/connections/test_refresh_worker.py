"""The worker that renews tokens ahead of their end, and the marks by which it knows which are in use."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from adapters.memory.refresh_queue import MemoryRefreshQueue
from adapters.workers.refreshing import AT_ONCE, IN_USE, OF_ONE_PROJECT, RefreshWorker
from adapters.workers.use_marks import UseMarks
from domain.connections.connection import Connection, Status
from domain.connections.events import ConnectionInvalidated
from domain.connections.refresh_queue import ConnectionKey, Use
from domain.ids import new_id
from scripts.providers import faults
from scripts.providers.quick import QuickProvider
from tests.conftest import Ground
from tests.connections.conftest import CALLER, Linked, Node, link
from tests.connections.test_refresh import token

AGO = timedelta(seconds=1)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def worker(node: Node) -> RefreshWorker:
    return RefreshWorker(node.wired.refresh_queue, node.refresher, node.clock)


async def used(node: Node, linked: Linked, ago: timedelta = AGO) -> None:
    """It was used so long ago, and is due."""
    key = (linked.project_id, linked.connection_id)
    await node.wired.refresh_queue.note({key: Use(node.clock() - ago, now() - AGO)})


async def looked(worker: RefreshWorker) -> int:
    begun = await worker.step()
    await worker.finish()
    return begun


async def due_at(node: Node, linked: Linked) -> datetime | None:
    found: datetime | None = await node.wired.pool.fetchval(
        "select due_at from connection_marks where connection_id = $1", linked.connection_id
    )
    return found


async def test_a_token_in_use_is_renewed_some_minutes_before_its_end(
    ground: Ground, node: Node, provider: QuickProvider, worker: RefreshWorker
) -> None:
    linked = await link(ground, node, provider, seconds=250)
    await used(node, linked)
    assert await looked(worker) == 1
    assert provider.traffic.refreshes == 1
    state, due = await linked.state(), await due_at(node, linked)
    assert state.expires_at is not None and due is not None
    assert abs(due - (state.expires_at - timedelta(minutes=5))) < timedelta(seconds=1)
    assert await looked(worker) == 0


async def test_a_token_that_is_not_due_yet_is_only_looked_at(
    node: Node, linked: Linked, provider: QuickProvider, worker: RefreshWorker
) -> None:
    await used(node, linked)
    assert await looked(worker) == 1
    assert provider.traffic.refreshes == 0
    due = await due_at(node, linked)
    assert due is not None and due > now() + timedelta(minutes=50)


async def test_a_connection_that_nobody_has_used_for_a_day_is_left_alone_until_somebody_does(
    ground: Ground, node: Node, provider: QuickProvider, worker: RefreshWorker
) -> None:
    linked = await link(ground, node, provider, seconds=-1)
    await used(node, linked, ago=IN_USE + AGO)
    assert await looked(worker) == 1
    assert provider.traffic.refreshes == 0
    assert await due_at(node, linked) is None
    assert await provider.whose(await token(node, linked)) == "ada"


async def test_the_end_of_a_token_that_cannot_be_renewed_is_said_whoever_uses_it(
    ground: Ground, node: Node, provider: QuickProvider, worker: RefreshWorker
) -> None:
    linked = await link(ground, node, provider, seconds=-1, refresh_token=None)
    await used(node, linked, ago=2 * IN_USE)
    assert await looked(worker) == 1
    ended = (await linked.events())[-1]
    assert isinstance(ended, ConnectionInvalidated)
    assert ended.status == "expired"
    assert await due_at(node, linked) is None


async def test_after_trouble_it_is_looked_at_again_when_the_pause_is_over(
    ground: Ground, node: Node, provider: QuickProvider, worker: RefreshWorker
) -> None:
    linked = await link(ground, node, provider, seconds=250)
    provider.faults.plan(faults.status(429, retry_after=900))
    await used(node, linked)
    await looked(worker)
    assert await due_at(node, linked) == (await linked.state()).retry_at


async def test_what_a_provider_has_ended_is_not_looked_at_again(
    ground: Ground, node: Node, provider: QuickProvider, worker: RefreshWorker
) -> None:
    linked = await link(ground, node, provider, seconds=250)
    await provider.withdraw("ada")
    await used(node, linked)
    await looked(worker)
    assert (await linked.state()).status(now()) is Status.REVOKED
    assert await due_at(node, linked) is None


async def test_a_connection_that_was_deleted_after_the_claim_troubles_nobody(
    ground: Ground, node: Node, provider: QuickProvider
) -> None:
    linked = await link(ground, node, provider, seconds=250)
    queue = MemoryRefreshQueue()
    await queue.note({(linked.project_id, linked.connection_id): Use(now(), now() - AGO)})
    await node.use_cases.commands.delete(linked.project_id, CALLER, "ada", "local")
    worker = RefreshWorker(queue, node.refresher, node.clock)
    assert await looked(worker) == 1
    assert await looked(worker) == 0


async def test_whoever_uses_it_and_the_worker_ask_once(
    ground: Ground, node: Node, other: Node, provider: QuickProvider, worker: RefreshWorker
) -> None:
    linked = await link(ground, node, provider, seconds=-1)
    await used(node, linked)
    await asyncio.gather(looked(worker), *(token(which, linked) for which in (node, other) for _ in range(10)))
    assert provider.traffic.refreshes == 1


class Providers:
    """A refresher that renews at once, and hangs for the projects that it is told to."""

    def __init__(self, *hanging: UUID) -> None:
        self.hanging = hanging
        self.opened = asyncio.Event()
        self.waiting: Counter[UUID] = Counter()
        self.renewed: Counter[UUID] = Counter()

    async def renew(self, project_id: UUID, connection_id: UUID, *, in_use: bool) -> Connection:
        if project_id in self.hanging:
            self.waiting[project_id] += 1
            await self.opened.wait()
            self.waiting[project_id] -= 1
        self.renewed[project_id] += 1
        return Connection()


async def in_use(queue: MemoryRefreshQueue, project_id: UUID, number: int, ago: timedelta = AGO) -> None:
    await queue.note({(project_id, new_id()): Use(now(), now() - ago) for _ in range(number)})


async def looked_at_all(worker: RefreshWorker) -> None:
    while await worker.step():
        await asyncio.sleep(0.01)


async def test_a_project_whose_provider_hangs_leaves_room_for_others() -> None:
    queue, stuck, lively = MemoryRefreshQueue(), new_id(), new_id()
    await in_use(queue, stuck, 500, ago=timedelta(hours=1))
    await in_use(queue, lively, 300)
    providers = Providers(stuck)
    worker = RefreshWorker(queue, providers, now)  # type: ignore[arg-type]
    await looked_at_all(worker)
    assert providers.renewed == {lively: 300}
    assert 0 < providers.waiting[stuck] <= OF_ONE_PROJECT
    providers.opened.set()
    await worker.finish()
    await looked_at_all(worker)
    await worker.finish()
    assert providers.renewed == {lively: 300, stuck: 500}


async def test_no_more_are_under_way_than_the_process_bears() -> None:
    queue, projects = MemoryRefreshQueue(), [new_id() for _ in range(10)]
    for project in projects:
        await in_use(queue, project, 60)
    providers = Providers(*projects)
    worker = RefreshWorker(queue, providers, now)  # type: ignore[arg-type]
    await looked_at_all(worker)
    assert providers.waiting.total() == AT_ONCE
    providers.opened.set()
    await worker.finish()


class Sometimes(MemoryRefreshQueue):
    """A queue whose database is away now and then."""

    def __init__(self, *fails: str) -> None:
        super().__init__()
        self.fails = list(fails)

    def _may_fail(self, what: str) -> None:
        if what in self.fails:
            self.fails.remove(what)
            raise ConnectionError("away")

    async def claim(self, *arguments: Any) -> Any:
        self._may_fail("claim")
        return await super().claim(*arguments)

    async def settle(self, *arguments: Any) -> None:
        self._may_fail("settle")
        await super().settle(*arguments)

    async def note(self, uses: Mapping[ConnectionKey, Use]) -> None:
        self._may_fail("note")
        await super().note(uses)


async def test_a_database_that_is_away_for_a_moment_ends_nothing() -> None:
    queue, project = Sometimes("claim", "settle"), new_id()
    await in_use(queue, project, 5)
    providers = Providers()
    with capture_logs() as logs:
        running = asyncio.create_task(RefreshWorker(queue, providers, now).run(0.01))  # type: ignore[arg-type]
        async with asyncio.timeout(10):
            while providers.renewed[project] < 5:
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert {one["event"] for one in logs} == {"refresh_claim_failed", "refresh_not_settled"}


async def test_uses_are_gathered_and_the_last_one_counts() -> None:
    queue, key, times = MemoryRefreshQueue(), (new_id(), new_id()), iter([now() - timedelta(hours=1), now()])
    marks = UseMarks(queue, lambda: next(times))
    marks.note(*key, None)
    marks.note(*key, now() - AGO)
    assert await queue.claim(10, ()) == []
    await marks.finish()
    (due,) = await queue.claim(10, ())
    assert due.last_used_at > now() - timedelta(minutes=1)


async def test_uses_while_others_are_written_are_for_the_next_time() -> None:
    key, second = (new_id(), new_id()), (new_id(), new_id())

    class Slow(MemoryRefreshQueue):
        async def note(self, uses: Mapping[ConnectionKey, Use]) -> None:
            marks.note(*second, now() - AGO) if key in uses else None
            await super().note(uses)

    queue = Slow()
    marks = UseMarks(queue, now)
    marks.note(*key, now() - AGO)
    await marks.finish()
    await marks.finish()
    assert {(due.project_id, due.connection_id) for due in await queue.claim(10, ())} == {key, second}


async def test_marks_that_cannot_be_written_are_told_and_hold_nobody_up() -> None:
    queue = Sometimes("note")
    marks = UseMarks(queue, now)
    marks.note(new_id(), new_id(), now() - AGO)
    with capture_logs() as logs:
        await marks.finish()
    assert [one["event"] for one in logs] == ["marks_lost"]
    await marks.finish()
    assert await queue.claim(10, ()) == []
