"""The queue of messages to webhooks: written with the events, held by one worker at a time, logged, and taken along."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from adapters.memory.delivery_queue import MemoryDeliveryQueue
from adapters.memory.event_store import MemoryEventStore
from adapters.postgres.delivery_queue import PostgresDeliveryQueue
from adapters.postgres.pool import Pool
from domain.deliveries.ports import Claim, DeliveryQueue, DeliveryStatus, Outcome
from domain.ids import new_id
from domain.ports import Announcement, EventStore, StaleStream, TenantClosed
from tests.contracts.test_event_store_companions import first_import
from tests.sample_events import append, on, open_tenant

LEASE = timedelta(seconds=60)
NOBODY = UUID(int=0)


@pytest.fixture
def queue(store: EventStore, shared_pool: Pool) -> DeliveryQueue:
    return MemoryDeliveryQueue(store) if isinstance(store, MemoryEventStore) else PostgresDeliveryQueue(shared_pool)


def now() -> datetime:
    return datetime.now(UTC)


def message(stream_id: UUID, version: int = 1, subject_id: UUID | None = None) -> Announcement:
    return Announcement(new_id(), stream_id, version, "connection.created", subject_id)


async def announce(store: EventStore, tenant: UUID, number: int = 1, subject_id: UUID | None = None) -> list[UUID]:
    """Streams with an event each, and a message about it; answers the messages' ids, in order."""
    messages = []
    for _ in range(number):
        one = message(new_id(), subject_id=subject_id)
        await store.append(append(tenant, on(one.stream_id, 0, 1), outbox=(one,)))
        messages.append(one.message_id)
    return sorted(messages)


async def take(queue: DeliveryQueue, tenant: UUID, number: int = 10, at: datetime | None = None) -> list[Claim]:
    claims = await queue.claim(at or now(), {tenant: number}, LEASE)
    return sorted(claims, key=lambda claim: claim.message_id)


def delivered(claim: Claim) -> Outcome:
    return Outcome(claim=claim, status=DeliveryStatus.DELIVERED, at=now(), kind=claim.kind, status_code=200)


def put_off(claim: Claim, until: datetime) -> Outcome:
    return Outcome(claim=claim, status=DeliveryStatus.PENDING, at=now(), kind=claim.kind, retry_at=until, note="No.")


def given_up(claim: Claim) -> Outcome:
    return Outcome(claim=claim, status=DeliveryStatus.FAILED, at=now(), kind=claim.kind, note="No.")


async def status(queue: DeliveryQueue, tenant: UUID, message_id: UUID) -> str:
    record = await queue.record(tenant, message_id)
    return record.status.value if record else "unknown"


async def test_a_message_is_due_as_soon_as_its_append_is_stored(
    store: EventStore, queue: DeliveryQueue, tenant: UUID
) -> None:
    assert await take(queue, tenant) == []
    (message_id,) = await announce(store, tenant)
    (claim,) = await take(queue, tenant)
    assert (claim.tenant_id, claim.message_id, claim.version, claim.attempts) == (tenant, message_id, 1, 0)
    assert claim.kind == "connection.created"
    assert await status(queue, tenant, message_id) == "pending"


async def test_an_append_that_loses_announces_nothing(
    store: EventStore, queue: DeliveryQueue, tenant: UUID, stream: UUID
) -> None:
    await store.append(append(tenant, on(stream, 0, 1)))
    with pytest.raises(StaleStream):
        await store.append(append(tenant, on(stream, 0, 1), outbox=(message(stream),)))
    assert await take(queue, tenant) == []


async def test_many_claims_at_once_never_hand_out_a_message_twice(
    store: EventStore, queue: DeliveryQueue, tenant: UUID
) -> None:
    messages = await announce(store, tenant, 20)
    taken = await asyncio.gather(*(take(queue, tenant, 3) for _ in range(20)))
    assert sorted(claim.message_id for claims in taken for claim in claims) == messages


async def test_a_claim_takes_no_more_than_is_wanted_of_each_tenant(store: EventStore, queue: DeliveryQueue) -> None:
    one, other = await open_tenant(store), await open_tenant(store)
    await announce(store, one, 5)
    await announce(store, other, 5)
    claims = await queue.claim(now(), {one: 2, other: 3}, LEASE)
    assert sorted(claim.tenant_id for claim in claims) == sorted([one] * 2 + [other] * 3)


async def test_what_a_dead_worker_held_is_due_again_when_its_lease_has_run_out(
    store: EventStore, queue: DeliveryQueue, tenant: UUID
) -> None:
    await announce(store, tenant)
    (first,) = await take(queue, tenant)
    assert await take(queue, tenant, at=now() + LEASE / 2) == []
    (second,) = await take(queue, tenant, at=now() + LEASE * 1.1)
    assert second.message_id == first.message_id
    assert second.fence > first.fence
    await queue.finish(given_up(first))  # it was not dead, only slow: too late
    assert await status(queue, tenant, first.message_id) == "pending"
    await queue.finish(delivered(second))
    assert await status(queue, tenant, first.message_id) == "delivered"


async def test_what_was_delivered_or_given_up_is_not_due_any_more(
    store: EventStore, queue: DeliveryQueue, tenant: UUID
) -> None:
    messages = await announce(store, tenant, 2)
    first, second = await take(queue, tenant)
    await asyncio.gather(queue.finish(delivered(first)), queue.finish(given_up(second)))
    assert [await status(queue, tenant, one) for one in messages] == ["delivered", "failed"]
    assert await take(queue, tenant, at=now() + timedelta(days=1)) == []


async def test_what_is_put_off_is_due_then_and_counts_its_failures(
    store: EventStore, queue: DeliveryQueue, tenant: UUID
) -> None:
    await announce(store, tenant)
    (claim,) = await take(queue, tenant)
    later = now() + timedelta(hours=1)
    await queue.finish(put_off(claim, later))
    await queue.finish(put_off(claim, later))  # once is enough
    assert await take(queue, tenant) == []
    (again,) = await take(queue, tenant, at=later)
    assert (again.message_id, again.attempts) == (claim.message_id, 1)


async def test_tenants_are_listed_in_order_and_page_by_page(store: EventStore, queue: DeliveryQueue) -> None:
    tenants = sorted([await open_tenant(store) for _ in range(4)])
    for one in tenants:
        await announce(store, one, 2)
    await take(queue, tenants[1])
    before = UUID(int=tenants[0].int - 1)
    listed = await queue.waiting(now(), before, 3)
    assert [one.tenant_id for one in listed] == tenants[:3]
    assert [one.is_due for one in listed] == [True, False, True]
    assert [one.tenant_id for one in await queue.waiting(now(), tenants[2], 3)] == tenants[3:]


async def test_a_run_of_failures_begins_with_the_first_and_ends_with_a_delivery(
    store: EventStore, queue: DeliveryQueue, tenant: UUID
) -> None:
    await announce(store, tenant, 2)
    begun = now().replace(microsecond=0)
    assert await queue.mark_failing(tenant, b"address", begun) == begun
    assert await queue.mark_failing(tenant, b"address", begun + timedelta(days=1)) == begun
    (listed,) = await queue.waiting(now(), UUID(int=tenant.int - 1), 1)
    assert listed.failing_since == begun
    moved = begun + timedelta(days=2)
    assert await queue.mark_failing(tenant, b"another address", moved) == moved
    await queue.finish(delivered((await take(queue, tenant, 1))[0]))
    anew = moved + timedelta(days=1)
    assert await queue.mark_failing(tenant, b"another address", anew) == anew


async def test_messages_that_nobody_holds_are_set_aside_as_long_as_the_reason_stands(
    store: EventStore, queue: DeliveryQueue, tenant: UUID, stream: UUID
) -> None:
    await store.append(append(tenant, on(stream, 0, 1)))
    messages = await announce(store, tenant, 3)
    (held,) = await take(queue, tenant, 1)
    assert await queue.set_aside(tenant, (stream, 7), now(), "The reason is another by now.", 10) == 0
    assert await queue.set_aside(tenant, (stream, 1), now(), "It is disabled.", 10) == 2
    assert [await status(queue, tenant, one) for one in messages] == ["pending", "failed", "failed"]
    await queue.finish(delivered(held))
    assert await status(queue, tenant, messages[0]) == "delivered"


async def test_without_a_note_they_are_dropped(
    store: EventStore, queue: DeliveryQueue, tenant: UUID, stream: UUID
) -> None:
    await store.append(append(tenant, on(stream, 0, 1)))
    messages = await announce(store, tenant, 3)
    assert await queue.set_aside(tenant, (stream, 1), now(), "", 2) == 2
    assert [await status(queue, tenant, one) for one in messages] == ["unknown", "unknown", "pending"]


async def test_recovering_makes_due_what_failed_or_waits_and_was_announced_since_then(
    store: EventStore, queue: DeliveryQueue, tenant: UUID
) -> None:
    (early,) = await announce(store, tenant)
    await queue.finish(given_up((await take(queue, tenant))[0]))
    await asyncio.sleep(0.01)
    since = now()
    await asyncio.sleep(0.01)
    messages = await announce(store, tenant, 4)
    first, second, third, _held = await take(queue, tenant)
    await queue.finish(given_up(first))
    await queue.finish(delivered(second))
    await queue.finish(put_off(third, now() + timedelta(hours=5)))
    assert await queue.recover(tenant, since) == 2
    assert [claim.message_id for claim in await take(queue, tenant)] == [messages[0], messages[2]]
    assert await status(queue, tenant, early) == "failed"


async def test_a_message_that_is_announced_again_is_due_again_whatever_became_of_it(
    store: EventStore, queue: DeliveryQueue, tenant: UUID
) -> None:
    await announce(store, tenant, 2)
    done, held = await take(queue, tenant)
    await queue.finish(delivered(done))
    for claim in (done, held):
        record = await queue.record(tenant, claim.message_id)
        assert record is not None
        await store.append(append(tenant, outbox=(record.announcement,)))
    again = await take(queue, tenant)
    assert [claim.message_id for claim in again] == [done.message_id, held.message_id]
    await queue.finish(given_up(held))  # from before
    assert await status(queue, tenant, held.message_id) == "pending"


async def test_the_history_of_a_message_ends_with_its_event(
    store: EventStore, queue: DeliveryQueue, tenant: UUID, stream: UUID
) -> None:
    await store.append(append(tenant, on(stream, 0, 1, 2, 3)))
    found = await queue.history(tenant, stream, 2)
    assert [(one.version, one.position, one.event) for one in found] == [
        (one.version, one.position, one.event) for one in (await store.read_stream(tenant, stream))[1:2]
    ]
    assert await queue.history(tenant, stream, 9) == []
    assert await queue.history(await open_tenant(store), stream, 2) == []


async def test_forgetting_a_subject_takes_its_messages_along_and_no_others(
    store: EventStore, queue: DeliveryQueue, tenant: UUID
) -> None:
    subject, other, connection = new_id(), new_id(), new_id()
    imported = first_import(tenant, subject, connection)
    unmarked = message(connection)  # says nothing of whose it is
    await store.append(msgspec.structs.replace(imported, outbox=(message(connection, subject_id=subject), unmarked)))
    kept, kept_too = await announce(store, tenant, 2, subject_id=other)
    theirs = imported.streams[1].stream_id
    for claim in await take(queue, tenant):
        if claim.message_id not in (unmarked.message_id, kept_too):
            await queue.finish(
                msgspec.structs.replace(given_up(claim), subject_id=subject if claim.stream_id == theirs else other)
            )
    await store.append(append(tenant, on(subject, 1, 3), forgets=(subject,)))
    assert await queue.recover(tenant, now() - timedelta(days=1)) == 1
    assert [await status(queue, tenant, one) for one in (unmarked.message_id, kept, kept_too)] == [
        "unknown",
        "pending",
        "pending",
    ]


async def test_a_closed_tenants_queue_log_and_marks_are_emptied(
    store: EventStore, queue: DeliveryQueue, tenant: UUID
) -> None:
    messages = await announce(store, tenant, 3)
    first, second, _ = await take(queue, tenant)
    await queue.finish(given_up(first))
    begun = now()
    await queue.mark_failing(tenant, b"address", begun)
    await store.append(append(tenant, on(tenant, 0, 2), closes=True))
    assert await queue.recover(tenant, begun - timedelta(days=1)) == 0
    await store.empty(tenant)
    await queue.finish(put_off(second, now()))
    assert [await status(queue, tenant, one) for one in messages] == ["unknown"] * 3
    later = begun + timedelta(days=1)
    assert await queue.mark_failing(tenant, b"address", later) == later
    with pytest.raises(TenantClosed):
        await store.append(append(tenant, outbox=(message(new_id()),)))
    assert tenant not in [one.tenant_id for one in await queue.waiting(now(), NOBODY, 1_000)]


async def test_the_log_is_kept_for_thirty_days(store: EventStore, queue: DeliveryQueue, tenant: UUID) -> None:
    messages = await announce(store, tenant, 2)
    old, young = await take(queue, tenant)
    await queue.finish(msgspec.structs.replace(given_up(old), at=now() - timedelta(days=31)))
    await queue.finish(msgspec.structs.replace(given_up(young), at=now() - timedelta(days=29)))
    while await queue.remove_old(1):
        continue
    assert [await status(queue, tenant, one) for one in messages] == ["unknown", "failed"]
