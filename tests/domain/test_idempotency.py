"""Commands that are repeated under an Idempotency-Key: answered as before, stored once."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from adapters.memory.event_store import MemoryEventStore
from domain.deciding import Changes, Desk, load
from domain.errors import IdempotencyKeyReused
from domain.ids import new_id
from tests.counting import SUM, Full, counting, repeating
from tests.sample_events import numbers_in, on


async def test_a_repeated_command_is_answered_as_before_without_deciding(
    desk: Desk, store: MemoryEventStore, tenant: UUID
) -> None:
    stream = new_id()

    async def never() -> None:
        raise AssertionError("decided again")

    assert await desk.execute(tenant, repeating(), counting(desk, tenant, stream), int) == 1
    assert await desk.execute(tenant, repeating(), counting(desk, tenant, stream, never), int) == 1
    assert await numbers_in(store, tenant, stream) == [1]


async def test_answers_come_back_in_their_type(desk: Desk, tenant: UUID) -> None:
    wanted = new_id()

    async def decide() -> tuple[Changes, UUID]:
        return Changes(streams=(on(new_id(), 0, 1),)), wanted

    assert await desk.execute(tenant, repeating(), decide, UUID) == wanted
    assert await desk.execute(tenant, repeating(), decide, UUID) == wanted


async def test_another_request_under_the_same_key_is_refused(desk: Desk, store: MemoryEventStore, tenant: UUID) -> None:
    stream = new_id()
    await desk.execute(tenant, repeating(b"first"), counting(desk, tenant, stream), int)
    with pytest.raises(IdempotencyKeyReused):
        await desk.execute(tenant, repeating(b"second"), counting(desk, tenant, stream), int)
    assert await numbers_in(store, tenant, stream) == [1]


async def test_keys_belong_to_their_callers(desk: Desk, store: MemoryEventStore, tenant: UUID) -> None:
    stream = new_id()
    for actor in ("test:one", "test:two"):
        await desk.execute(tenant, repeating(actor=actor), counting(desk, tenant, stream), int)
    assert await numbers_in(store, tenant, stream) == [1, 2]


async def test_the_same_command_sent_many_times_at_once_is_stored_once(
    desk: Desk, store: MemoryEventStore, tenant: UUID
) -> None:
    answers = await asyncio.gather(
        *(desk.execute(tenant, repeating(), counting(desk, tenant, new_id()), int) for _ in range(5)),
        desk.execute(tenant, repeating(b"another"), counting(desk, tenant, new_id()), int),
        return_exceptions=True,
    )
    assert answers[:5] == [1] * 5
    assert isinstance(answers[5], IdempotencyKeyReused)
    assert len(await store.read_tenant(tenant)) == 1


async def test_a_twin_that_is_refused_because_of_the_first_answers_like_the_first(
    desk: Desk, store: MemoryEventStore, tenant: UUID
) -> None:
    stream, looked = new_id(), asyncio.Event()

    async def decide_slowly() -> tuple[Changes, int]:
        await looked.wait()
        _, version = await load(store, SUM, tenant, stream)
        if version:
            raise Full
        return Changes(streams=(on(stream, 0, 1),)), 1

    twins = [asyncio.create_task(desk.execute(tenant, repeating(), decide_slowly, int)) for _ in range(2)]
    await asyncio.sleep(0)
    assert await desk.execute(tenant, repeating(), counting(desk, tenant, stream), int) == 1
    looked.set()
    assert await asyncio.gather(*twins) == [1, 1]
    with pytest.raises(Full):
        await desk.execute(tenant, repeating(key="another"), decide_slowly, int)


async def test_a_command_with_nothing_to_write_is_remembered_too(
    desk: Desk, store: MemoryEventStore, tenant: UUID
) -> None:
    async def needless() -> tuple[None, int]:
        return None, 7

    assert await desk.execute(tenant, repeating(), needless, int) == 7
    assert await desk.execute(tenant, repeating(), counting(desk, tenant, new_id()), int) == 7
    with pytest.raises(IdempotencyKeyReused):
        await desk.execute(tenant, repeating(b"another"), needless, int)
    assert await store.read_tenant(tenant) == []


async def test_a_refusal_is_not_remembered(desk: Desk, tenant: UUID) -> None:
    async def refuse() -> tuple[Changes, int]:
        raise Full

    with pytest.raises(Full):
        await desk.execute(tenant, repeating(), refuse, int)
    assert await desk.execute(tenant, repeating(), counting(desk, tenant, new_id()), int) == 1
