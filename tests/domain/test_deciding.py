"""Commands: decided again when somebody was first, refused when all is gone."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from adapters.memory.event_store import MemoryEventStore
from domain.deciding import Caller, Changes, Desk, TenantGone
from domain.errors import TooContended
from domain.ids import new_id
from domain.ports import Appended, CommandKnown, SubjectForgotten, TenantClosed
from tests.counting import CALLER, Followed, Missing, counting, repeating
from tests.sample_events import append, numbers_in, on


async def test_a_decision_is_stored_and_followed(
    desk: Desk, store: MemoryEventStore, tenant: UUID, followed: Followed
) -> None:
    stream = new_id()
    assert await desk.execute(tenant, CALLER, counting(desk, tenant, stream)) == 1
    assert await desk.execute(tenant, CALLER, counting(desk, tenant, stream)) == 2
    assert await numbers_in(store, tenant, stream) == [1, 2]
    assert followed.positions == [1, 2]
    first, second = (one.metadata for one in await store.read_stream(tenant, stream))
    assert (first.actor, first.request_id, first.correlation_id) == ("test:caller", "request-1", CALLER.correlation_id)
    assert first.command_id != second.command_id


async def test_nothing_to_write_is_a_fine_answer_once_the_read_models_show_why(
    desk: Desk, store: MemoryEventStore, tenant: UUID, followed: Followed
) -> None:
    async def decide() -> tuple[None, str]:
        return None, "as it was"

    assert await desk.execute(tenant, CALLER, decide) == "as it was"
    assert (await store.read_tenant(tenant), followed.positions) == ([], [0])


async def test_who_comes_second_decides_again(desk: Desk, store: MemoryEventStore, tenant: UUID) -> None:
    stream, others = new_id(), [3, 2, 1]

    async def somebody_is_faster() -> None:
        if others:
            await store.append(append(tenant, on(stream, 3 - len(others), others.pop())))

    assert await desk.execute(tenant, CALLER, counting(desk, tenant, stream, somebody_is_faster)) == 7
    assert await numbers_in(store, tenant, stream) == [1, 2, 3, 7]


async def test_many_at_once_all_get_through(desk: Desk, store: MemoryEventStore, tenant: UUID) -> None:
    stream = new_id()
    answers = await asyncio.gather(*(desk.execute(tenant, CALLER, counting(desk, tenant, stream)) for _ in range(10)))
    assert sorted(answers) == [2**number for number in range(10)]


async def test_who_is_always_second_gives_up(desk: Desk, store: MemoryEventStore, tenant: UUID) -> None:
    stream, version = new_id(), 0

    async def somebody_is_faster() -> None:
        nonlocal version
        await store.append(append(tenant, on(stream, version, 0)))
        version += 1

    with pytest.raises(TooContended):
        await desk.execute(tenant, CALLER, counting(desk, tenant, stream, somebody_is_faster))
    assert set(await numbers_in(store, tenant, stream)) == {0}


async def test_a_subject_that_is_forgotten_meanwhile_is_decided_anew(desk: Desk, tenant: UUID) -> None:
    stream, faults = new_id(), [SubjectForgotten(), SubjectForgotten()]

    async def forgotten_at_first() -> None:
        if faults:
            raise faults.pop()

    assert await desk.execute(tenant, CALLER, counting(desk, tenant, stream, forgotten_at_first)) == 1


@pytest.mark.parametrize("caller", [CALLER, repeating()])
async def test_in_a_closed_tenant_everything_is_gone(
    desk: Desk, store: MemoryEventStore, tenant: UUID, caller: Caller
) -> None:
    await store.append(append(tenant, closes=True))

    async def look() -> tuple[Changes, int]:
        await desk.vault.tenant_key(tenant)
        raise AssertionError("the vault should have refused")

    async def miss() -> tuple[Changes, int]:
        raise Missing

    for decide in (counting(desk, tenant, new_id()), look, miss):
        with pytest.raises(TenantGone):
            await desk.execute(tenant, caller, decide, int)


async def test_a_tenant_that_is_closed_while_one_decides_is_gone(
    desk: Desk, store: MemoryEventStore, tenant: UUID
) -> None:
    async def close() -> Appended:
        return await store.append(append(tenant, closes=True))

    with pytest.raises(TenantGone):
        await desk.execute(tenant, repeating(), counting(desk, tenant, new_id(), close), int)
    with pytest.raises((TenantClosed, CommandKnown)):
        await store.append(append(tenant))
