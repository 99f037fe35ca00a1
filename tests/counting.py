"""A decider that sums, and a command that counts on: for tests of what every command goes through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from domain.deciding import Caller, Changes, Decider, Desk, Idempotency, load
from domain.errors import Conflict, NotFound
from domain.events import Event
from domain.ids import new_id
from tests.sample_events import Counted, on


class Sum(msgspec.Struct, frozen=True):
    total: int = 0


def add(state: Sum, event: Event) -> Sum:
    assert isinstance(event, Counted)
    return Sum(state.total + event.number)


class Full(Conflict):
    """There is a number already."""

    code = "test_full"


class Missing(NotFound):
    """Not there."""

    code = "test_missing"


class Followed:
    """Read models that only note how far they were followed."""

    def __init__(self) -> None:
        self.positions: list[int] = []

    async def follow(self, tenant_id: UUID, position: int) -> None:
        self.positions.append(position)


SUM = Decider("sample", Sum(), add)
LONG_SUM = Decider("sample", Sum(), add, snapshot_every=3)
CALLER = Caller("test:caller", "request-1", new_id())
Decide = Callable[[], Awaitable[tuple[Changes | None, int]]]


def repeating(request: bytes = b"request", key: str = "key", actor: str = "test:caller") -> Caller:
    return Caller(actor, idempotency=Idempotency(key, request))


def counting(
    desk: Desk, tenant: UUID, stream: UUID, before_answering: Callable[[], Awaitable[object]] | None = None
) -> Decide:
    """Adds one more than the sum so far and answers it."""

    async def decide() -> tuple[Changes | None, int]:
        state, version = await load(desk.store, SUM, tenant, stream)
        if before_answering:
            await before_answering()
        return Changes(streams=(on(stream, version, state.total + 1),)), state.total + 1

    return decide
