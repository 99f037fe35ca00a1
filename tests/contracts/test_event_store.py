"""Streams, versions and positions: what every home of the event store promises of an append."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from domain.event_codec import Unwritable
from domain.events import Metadata
from domain.ids import new_id
from domain.ports import (
    Append,
    Appended,
    EventStore,
    StaleStream,
    StoredSnapshot,
    StreamEvents,
    TenantClosed,
    TenantKind,
)
from tests.sample_events import Counted, append, numbers_in, on, open_tenant


async def test_versions_and_positions_have_no_gaps(store: EventStore, tenant: UUID) -> None:
    first, second = new_id(), new_id()
    assert (await store.append(append(tenant, on(first, 0, 1, 2)))).position == 2
    assert (await store.append(append(tenant, on(second, 0, 3)))).position == 3
    assert (await store.append(append(tenant, on(first, 2, 4)))).position == 4
    read = await store.read_tenant(tenant)
    assert [(one.position, one.stream_id, one.version) for one in read] == [
        (1, first, 1),
        (2, first, 2),
        (3, second, 1),
        (4, first, 3),
    ]


async def test_many_callers_at_once_get_positions_without_gaps_in_the_order_of_the_log(
    store: EventStore, tenant: UUID
) -> None:
    streams = [new_id() for _ in range(40)]
    answers = await asyncio.gather(*(store.append(append(tenant, on(one, 0, 1, 2, 3))) for one in streams))
    assert sorted(answer.position for answer in answers) == [3 * number for number in range(1, 41)]
    read = await store.read_tenant(tenant)
    assert [one.position for one in read] == list(range(1, 121))
    for stream, answer in zip(streams, answers, strict=True):
        of_stream = [one for one in read if one.stream_id == stream]
        assert [one.version for one in of_stream] == [1, 2, 3]
        assert [one.position for one in of_stream] == [answer.position - 2, answer.position - 1, answer.position]


async def test_losers_among_many_tenants_take_no_positions(store: EventStore) -> None:
    tenants = [await open_tenant(store) for _ in range(4)]
    closed, nobody = await open_tenant(store), new_id()
    await store.append(Append(tenant_id=closed, streams=(), metadata=Metadata("test", new_id()), closes=True))
    stored = [(tenant, append(tenant, on(new_id(), 0, 1, 2))) for tenant in tenants for _ in range(3)]
    lost = [(tenant, append(tenant, on(new_id(), 5, 1))) for tenant in (*tenants, *tenants, closed, nobody)]
    mixed = [pair for pairs in zip(stored, [*lost, *lost], strict=False) for pair in pairs]
    answers = await asyncio.gather(*(store.append(one) for _, one in mixed), return_exceptions=True)
    for (tenant, _), answer in zip(mixed[1::2], answers[1::2], strict=True):
        assert isinstance(answer, TenantClosed if tenant in (closed, nobody) else StaleStream)
    for tenant in tenants:
        mine = [answer for (whose, _), answer in zip(mixed[::2], answers[::2], strict=True) if whose == tenant]
        assert [answer.position for answer in mine if isinstance(answer, Appended)] == [2, 4, 6]
        assert [one.position for one in await store.read_tenant(tenant)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("expected", [0, 1, 3])
async def test_an_append_at_another_version_is_stale_and_stores_nothing(
    store: EventStore, tenant: UUID, stream: UUID, expected: int
) -> None:
    await store.append(append(tenant, on(stream, 0, 1, 2)))
    with pytest.raises(StaleStream):
        await store.append(append(tenant, on(stream, expected, 9)))
    assert await numbers_in(store, tenant, stream) == [1, 2]


async def test_several_streams_are_stored_together(store: EventStore, tenant: UUID) -> None:
    first, second, third = new_id(), new_id(), new_id()
    answer = await store.append(append(tenant, on(first, 0, 1), on(second, 0, 2, 3), on(third, 0, 4)))
    assert answer.position == 4
    assert [one.event for one in await store.read_tenant(tenant)] == [Counted(number=number) for number in (1, 2, 3, 4)]


async def test_one_stale_stream_among_several_keeps_all_of_them_out(store: EventStore, tenant: UUID) -> None:
    first, second = new_id(), new_id()
    await store.append(append(tenant, on(second, 0, 1)))
    with pytest.raises(StaleStream):
        await store.append(append(tenant, on(first, 0, 2), on(second, 0, 3)))
    assert await store.read_stream(tenant, first) == []
    assert await numbers_in(store, tenant, second) == [1]
    await store.append(append(tenant, on(first, 0, 4)))
    assert [one.position for one in await store.read_tenant(tenant)] == [1, 2]


async def test_a_stream_without_new_events_must_be_at_its_version_too(
    store: EventStore, tenant: UUID, stream: UUID
) -> None:
    await store.append(append(tenant, on(stream, 0, 1)))
    other = new_id()
    await store.append(append(tenant, on(stream, 1), on(other, 0, 2)))
    with pytest.raises(StaleStream):
        await store.append(append(tenant, on(stream, 0), on(other, 1, 3)))
    assert await numbers_in(store, tenant, other) == [2]


async def test_appends_without_events_leave_the_position_where_it_is(store: EventStore, tenant: UUID) -> None:
    stored = await store.append(append(tenant, on(new_id(), 0, 1)))
    for _ in range(3):
        assert (await store.append(append(tenant))).position == stored.position
    assert len(await store.read_tenant(tenant)) == 1


async def test_of_two_appends_to_one_stream_at_once_one_is_stale(store: EventStore, tenant: UUID, stream: UUID) -> None:
    answers = await asyncio.gather(
        *(store.append(append(tenant, on(stream, 0, number))) for number in (1, 2)),
        *(store.append(append(tenant, on(new_id(), 0, number))) for number in range(20)),
        return_exceptions=True,
    )
    assert {type(answer) for answer in answers[:2]} == {Appended, StaleStream}
    assert all(isinstance(answer, Appended) for answer in answers[2:])
    assert len(await store.read_stream(tenant, stream)) == 1


async def test_appends_to_one_stream_that_follow_each_other_are_all_stored(
    store: EventStore, tenant: UUID, stream: UUID
) -> None:
    answers = await asyncio.gather(*(store.append(append(tenant, on(stream, number, number))) for number in range(5)))
    assert [answer.position for answer in answers] == [1, 2, 3, 4, 5]
    assert await numbers_in(store, tenant, stream) == [0, 1, 2, 3, 4]


async def test_a_tenant_must_be_opened_first(store: EventStore, stream: UUID) -> None:
    with pytest.raises(TenantClosed):
        await store.append(append(new_id(), on(stream, 0, 1)))


async def test_opening_an_open_tenant_is_an_ordinary_append(store: EventStore, tenant: UUID, stream: UUID) -> None:
    await store.append(append(tenant, on(stream, 0, 1), opens=TenantKind.PROJECT))
    assert await numbers_in(store, tenant, stream) == [1]


async def test_of_two_that_open_the_same_tenant_with_the_same_stream_one_is_stale(store: EventStore) -> None:
    tenant = new_id()
    answers = await asyncio.gather(
        *(store.append(append(tenant, on(tenant, 0, number), opens=TenantKind.PROJECT)) for number in (1, 2)),
        return_exceptions=True,
    )
    assert {type(answer) for answer in answers} == {Appended, StaleStream}
    assert len(await store.read_tenant(tenant)) == 1


async def test_an_append_that_opens_a_tenant_and_loses_leaves_it_unopened(store: EventStore, stream: UUID) -> None:
    tenant = new_id()
    with pytest.raises(StaleStream):
        await store.append(append(tenant, on(stream, 3, 1), opens=TenantKind.PROJECT))
    with pytest.raises(TenantClosed):
        await store.append(append(tenant, on(stream, 0, 1)))
    await store.append(append(tenant, on(stream, 0, 1), opens=TenantKind.PROJECT))


async def test_tenants_have_positions_of_their_own(store: EventStore, tenant: UUID, stream: UUID) -> None:
    other = await open_tenant(store)
    await store.append(append(tenant, on(stream, 0, 1)))
    assert (await store.append(append(other, on(stream, 0, 2)))).position == 1
    assert await numbers_in(store, tenant, stream) == [1]
    assert await numbers_in(store, other, stream) == [2]


async def test_a_stream_is_read_from_where_one_asks(store: EventStore, tenant: UUID, stream: UUID) -> None:
    await store.append(append(tenant, on(stream, 0, 1, 2, 3)))
    assert [one.version for one in await store.read_stream(tenant, stream, after=1)] == [2, 3]
    assert await store.read_stream(tenant, stream, after=3) == []
    assert await store.read_stream(tenant, new_id()) == []
    assert await store.read_stream(new_id(), stream) == []


async def test_events_come_without_their_envelopes_too(store: EventStore, tenant: UUID, stream: UUID) -> None:
    await store.append(append(tenant, on(stream, 0, 1, 2, 3)))
    assert await store.events_of(tenant, stream) == [Counted(number=number) for number in (1, 2, 3)]
    assert await store.events_of(tenant, stream, after=2) == [Counted(number=3)]
    assert await store.events_of(tenant, new_id()) == []


async def test_a_tenant_is_read_page_by_page(store: EventStore, tenant: UUID) -> None:
    await store.append(append(tenant, *(on(new_id(), 0, number, number) for number in range(5))))
    seen: list[int] = []
    while page := await store.read_tenant(tenant, after=seen[-1] if seen else 0, limit=3):
        assert len(page) <= 3
        seen += [one.position for one in page]
    assert seen == list(range(1, 11))
    assert await store.read_tenant(new_id()) == []


async def test_time_never_runs_backwards_within_a_tenant(store: EventStore, tenant: UUID) -> None:
    answers = [await store.append(append(tenant, on(new_id(), 0, 1, 2))) for _ in range(5)]
    times = [one.recorded_at for one in await store.read_tenant(tenant)]
    assert times == sorted(times)
    assert [answer.recorded_at for answer in answers] == times[1::2]
    assert times[0].utcoffset() is not None


async def test_metadata_is_kept_whole(store: EventStore, tenant: UUID, stream: UUID) -> None:
    whole = Metadata("account:7", new_id(), new_id(), new_id(), request_id="r-1")
    bare = Metadata("system:clean-up", new_id())
    await store.append(append(tenant, on(stream, 0, 1, 2), metadata=whole))
    await store.append(append(tenant, on(stream, 2, 3), metadata=bare))
    assert [one.metadata for one in await store.read_stream(tenant, stream)] == [whole, whole, bare]


async def test_texts_of_all_kinds_come_back_as_they_went(store: EventStore, tenant: UUID, stream: UUID) -> None:
    events = tuple(Counted(number=0, note=note) for note in ("", "é 漢 🙂", "nul \0 and \x01", '"\\', "x" * 300_000))
    await store.append(append(tenant, StreamEvents(stream, "sample", 0, events)))
    assert tuple(one.event for one in await store.read_stream(tenant, stream)) == events


async def test_a_lone_surrogate_hurts_only_its_own_caller(store: EventStore, tenant: UUID) -> None:
    def surrogate() -> Append:
        return append(tenant, StreamEvents(new_id(), "sample", 0, (Counted(number=0, note="\ud800"),)))

    answers = await asyncio.gather(
        *(store.append(append(tenant, on(new_id(), 0, number))) for number in range(5)),
        store.append(surrogate()),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [Appended] * 5 + [Unwritable]
    assert len(await store.read_tenant(tenant)) == 5


async def test_a_cancelled_caller_does_not_cancel_what_was_submitted(store: EventStore, tenant: UUID) -> None:
    streams = [new_id() for _ in range(10)]
    callers = [asyncio.ensure_future(store.append(append(tenant, on(one, 0, 1)))) for one in streams]
    await asyncio.sleep(0)
    for caller in callers[::2]:
        caller.cancel()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(answer, Appended) for answer in answers[1::2])
    await store.append(append(tenant, on(new_id(), 0, 2)))
    stored = {one.stream_id for one in await store.read_tenant(tenant)}
    assert stored >= set(streams[1::2])
    for stream in streams[::2]:
        expected = 1 if stream in stored else 0
        await store.append(append(tenant, on(stream, expected, 3)))


async def test_the_newest_snapshot_is_kept(store: EventStore, tenant: UUID, stream: UUID) -> None:
    newer = StoredSnapshot(5, "sample", b"five", b"hash")
    assert await store.read_snapshot(tenant, stream) is None
    await store.save_snapshot(tenant, stream, newer)
    await store.save_snapshot(tenant, stream, StoredSnapshot(4, "sample", b"four", b"hash"))
    assert await store.read_snapshot(tenant, stream) == newer
    remade = StoredSnapshot(5, "sample", b"five again", b"other hash")
    await store.save_snapshot(tenant, stream, remade)
    assert await store.read_snapshot(tenant, stream) == remade


async def test_no_snapshot_is_saved_where_there_is_no_open_tenant(
    store: EventStore, tenant: UUID, stream: UUID
) -> None:
    await store.save_snapshot(tenant, stream, StoredSnapshot(1, "sample", b"one", b"hash"))
    await store.append(append(tenant, closes=True))
    await store.save_snapshot(tenant, stream, StoredSnapshot(2, "sample", b"two", b"hash"))
    assert await store.read_snapshot(tenant, stream) is None
    unknown = new_id()
    await store.save_snapshot(unknown, stream, StoredSnapshot(1, "sample", b"one", b"hash"))
    assert await store.read_snapshot(unknown, stream) is None
