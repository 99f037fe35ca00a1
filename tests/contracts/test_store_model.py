"""Random appends, alone and many at once, in both homes of the event store: always what a simple model says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from adapters.memory.event_store import MemoryEventStore
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import open_pool
from domain.facts import Fact
from domain.ids import new_id
from domain.ports import (
    Append,
    Appended,
    CommandAnswer,
    CommandKnown,
    EventStore,
    FactChange,
    FactUse,
    SealedCredential,
    StoredSnapshot,
    StreamEvents,
    TenantKind,
    WrappedKey,
)
from tests.contracts.store_model import ModelStore, ModelTenant
from tests.sample_events import append, numbers_in, on

FEW = st.integers(0, 2)
SKEW = st.sampled_from([0, 0, 0, 0, 0, 1, -1])
FACTS = [Fact("colour", str(number)) for number in range(3)]
COMMANDS = [b"command 0", b"command 1", b"command 2"]
PARTS = ["fact", "fact", "two facts", "key", "credential", "credential", "command", "command", "forget", "destroy"]
BOUNDS = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    phases=(Phase.generate,),  # making a failing example smaller would take minutes
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Steps(RuleBasedStateMachine):
    """Two tenants per example: one open from the beginning, one that any append may open."""

    store: EventStore
    run: Callable[[Any], Any]

    def __init__(self) -> None:
        super().__init__()
        self.model = ModelStore()
        self.tenants = [new_id(), new_id()]
        self.streams = [new_id() for _ in range(3)]
        self.number = 0
        self._append([append(self.tenants[0], opens=TenantKind.PROJECT)])

    @rule(data=st.data(), tenant=st.sampled_from([0, 0, 0, 1]))
    def append_one(self, data: st.DataObject, tenant: int) -> None:
        self._append([self._drawn(data, tenant, self.model)])

    @rule(data=st.data(), size=st.integers(2, 8))
    def append_many_at_once(self, data: st.DataObject, size: int) -> None:
        self._append([self._drawn(data, data.draw(st.sampled_from([0, 0, 0, 1])), self.model) for _ in range(size)])

    @rule(data=st.data())
    def send_the_same_again(self, data: st.DataObject) -> None:
        drawn = self._drawn(data, 0, self.model)
        self._append([drawn, drawn])

    @rule(which=FEW, version=st.integers(0, 5), tenant=st.integers(0, 1))
    def save_a_snapshot(self, which: int, version: int, tenant: int) -> None:
        snapshot = StoredSnapshot(version, "sample", bytes([self.number % 256]), b"hash")
        self.number += 1
        self.run(self.store.save_snapshot(self.tenants[tenant], self.streams[which], snapshot))
        if self.tenants[tenant] in self.model.tenants:
            self.model.tenants[self.tenants[tenant]].save_snapshot(self.streams[which], snapshot)

    @precondition(lambda self: self.number > 40)
    @rule(tenant=st.integers(0, 1))
    def close(self, tenant: int) -> None:
        self._append([append(self.tenants[tenant], closes=True)])

    @rule(tenant=st.integers(0, 1), after=st.integers(0, 30), limit=st.integers(1, 10))
    def read_a_page(self, tenant: int, after: int, limit: int) -> None:
        whole = self.run(self.store.read_tenant(self.tenants[tenant]))
        assert self.run(self.store.read_tenant(self.tenants[tenant], after, limit)) == whole[after : after + limit]

    @invariant()
    def what_is_stored_is_what_the_model_says(self) -> None:
        for tenant_id in self.tenants:
            model = self.model.tenants.get(tenant_id, ModelTenant())
            log = self.run(self.store.read_tenant(tenant_id))
            assert [one.position for one in log] == list(range(1, len(log) + 1))
            assert len(log) == sum(map(len, model.streams.values()))
            for stream in self.streams:
                assert self.run(numbers_in(self.store, tenant_id, stream)) == model.streams.get(stream, [])
                of_stream = [one.version for one in log if one.stream_id == stream]
                assert of_stream == list(range(1, len(of_stream) + 1))
                assert self.run(self.store.read_snapshot(tenant_id, stream)) == model.snapshots.get(stream)
            holders = self.run(self.store.holders(tenant_id, FACTS))
            assert holders == {fact: held[0] for fact, held in model.facts.items()}
            for command in COMMANDS:
                request, answer, _ = model.commands.get(command, (b"", None, None))
                assert self.run(self.store.command_answer(tenant_id, command, request)) == answer

    def _append(self, appends: list[Append]) -> None:
        """Sends them at once; the answers must be those of sending them one by one."""
        expected = [self.model.append(one) for one in appends]
        answers = self.run(asyncio.wait_for(self._all(appends), 30))
        assert [_outcome(answer) for answer in answers] == expected
        for one, answer in zip(appends, answers, strict=True):
            count = sum(len(stream.events) for stream in one.streams)
            if isinstance(answer, Appended) and count:
                page = self.run(self.store.read_tenant(one.tenant_id, answer.position - count, count))
                assert {recorded.metadata for recorded in page} == {one.metadata}

    async def _all(self, appends: list[Append]) -> list[object]:
        return list(await asyncio.gather(*map(self.store.append, appends), return_exceptions=True))

    def _drawn(self, data: st.DataObject, tenant: int, model: ModelStore) -> Append:
        draw, tenant_id = data.draw, self.tenants[tenant]
        known = model.tenants.get(tenant_id, ModelTenant())
        streams: list[StreamEvents] = []
        for which in draw(st.lists(FEW, max_size=2, unique=True)):
            numbers = range(self.number, self.number + draw(st.sampled_from([1, 1, 2, 0])))
            self.number += 3
            expected = max(known.version(self.streams[which]) + draw(SKEW), 0)
            streams.append(on(self.streams[which], expected, *numbers))
        more: dict[str, Any] = {"opens": draw(st.sampled_from([None, TenantKind.PROJECT]))} if tenant else {}
        for part in draw(st.lists(st.sampled_from(PARTS), max_size=2, unique=True)):
            more |= self._part(draw, part)
        return append(tenant_id, *streams, **more)

    def _part(self, draw: Callable[[Any], Any], part: str) -> dict[str, Any]:
        subject, stream = self.streams[draw(FEW)], self.streams[draw(FEW)]
        match part:
            case "fact" | "two facts":
                chosen = draw(st.lists(st.sampled_from(FACTS), min_size=1, max_size=len(part) // 4, unique=True))
                return {"facts": tuple(self._fact(draw, fact, stream, subject) for fact in chosen)}
            case "key":
                return {"data_keys": (WrappedKey(subject, b"wrapped", "master"),)}
            case "credential":
                return {"credentials": (SealedCredential(stream, draw(st.integers(1, 3)), subject, b"sealed"),)}
            case "command":
                request, answer = bytes([draw(st.integers(0, 1))]), str(self.number).encode()
                of_subject = draw(st.sampled_from([None, subject]))
                return {"command": CommandAnswer(draw(st.sampled_from(COMMANDS)), request, answer, of_subject)}
            case "forget":
                return {"forgets": (subject,)}
            case _:
                return {"destroys": (stream,)}

    def _fact(self, draw: Callable[[Any], Any], fact: Fact, stream: UUID, subject: UUID) -> FactChange:
        use = draw(st.sampled_from(FactUse))
        if use is FactUse.CLAIM:
            return FactChange(use, fact, stream, draw(st.sampled_from([None, subject])))
        return FactChange(use, fact, draw(st.sampled_from([None, stream])))


def _outcome(answer: object) -> object:
    if isinstance(answer, CommandKnown):
        return CommandKnown, answer.sealed_answer
    return None if isinstance(answer, Appended) else type(answer)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_memory_does_what_the_model_says(loop: asyncio.AbstractEventLoop) -> None:
    class InMemory(Steps):
        run = staticmethod(loop.run_until_complete)

        def __init__(self) -> None:
            self.store = MemoryEventStore()
            super().__init__()

    run_state_machine_as_test(InMemory, settings=BOUNDS)


def test_postgresql_does_what_the_model_says(loop: asyncio.AbstractEventLoop, shared_dsn: str) -> None:
    pool = loop.run_until_complete(open_pool(shared_dsn))

    class InPostgres(Steps):
        store = PostgresEventStore(pool)
        run = staticmethod(loop.run_until_complete)

    run_state_machine_as_test(InPostgres, settings=BOUNDS)
    loop.run_until_complete(InPostgres.store.drain())
    loop.run_until_complete(pool.close())
