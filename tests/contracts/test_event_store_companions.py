"""What is written in the same breath as events: facts, keys, credentials, answers; and what forgetting and closing take along."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from domain.facts import Fact
from domain.ids import new_id
from domain.ports import (
    Append,
    Appended,
    CommandAnswer,
    EventStore,
    FactChange,
    FactMissing,
    FactTaken,
    FactUse,
    SealedCredential,
    StaleStream,
    StoredSnapshot,
    SubjectForgotten,
    TenantClosed,
    TenantKind,
    WrappedKey,
)
from tests.sample_events import append, numbers_in, on

FACT = Fact("colour", "blue")


def claim(stream_id: UUID, fact: Fact = FACT, subject_id: UUID | None = None) -> FactChange:
    return FactChange(FactUse.CLAIM, fact, stream_id, subject_id)


def release(fact: Fact = FACT) -> FactChange:
    return FactChange(FactUse.RELEASE, fact)


def require(stream_id: UUID | None = None, fact: Fact = FACT) -> FactChange:
    return FactChange(FactUse.REQUIRE, fact, stream_id)


def key_of(subject_id: UUID) -> WrappedKey:
    return WrappedKey(subject_id, b"wrapped " + subject_id.bytes, "master")


def secret(connection_id: UUID, version: int, subject_id: UUID) -> SealedCredential:
    return SealedCredential(connection_id, version, subject_id, b"sealed")


def first_import(tenant: UUID, subject: UUID, connection: UUID, **more: object) -> Append:
    """A new end user with a connection: two streams, a key, a credential and facts."""
    return append(
        tenant,
        on(subject, 0, 1),
        on(connection, 0, 2),
        facts=(claim(subject, Fact("user", str(subject)), subject),),
        data_keys=(key_of(subject),),
        credentials=(secret(connection, 1, subject),),
        **more,
    )


async def test_a_claimed_fact_is_held_until_it_is_released(store: EventStore, tenant: UUID) -> None:
    holder, next_holder = new_id(), new_id()
    await store.append(append(tenant, on(holder, 0, 1), facts=(claim(holder),)))
    assert await store.holders(tenant, [FACT, Fact("colour", "red")]) == {FACT: holder}
    with pytest.raises(FactTaken):
        await store.append(append(tenant, on(next_holder, 0, 1), facts=(claim(next_holder),)))
    assert await store.read_stream(tenant, next_holder) == []
    await store.append(append(tenant, on(holder, 1, 2), facts=(release(),)))
    await store.append(append(tenant, on(next_holder, 0, 1), facts=(claim(next_holder),)))
    assert await store.holders(tenant, [FACT]) == {FACT: next_holder}


async def test_of_many_that_claim_a_fact_at_once_exactly_one_gets_it(store: EventStore, tenant: UUID) -> None:
    streams = [new_id() for _ in range(10)]
    answers = await asyncio.gather(
        *(store.append(append(tenant, on(one, 0, 1), facts=(claim(one),))) for one in streams), return_exceptions=True
    )
    won = [one for one, answer in zip(streams, answers, strict=True) if isinstance(answer, Appended)]
    assert [type(answer) for answer in answers].count(FactTaken) == 9
    assert await store.holders(tenant, [FACT]) == {FACT: won[0]}
    assert len(await store.read_tenant(tenant)) == 1


async def test_facts_belong_to_one_tenant_and_kind(store: EventStore, tenant: UUID, stream: UUID) -> None:
    other = new_id()
    await store.append(append(tenant, facts=(claim(stream),)))
    await store.append(append(other, opens=TenantKind.PROJECT, facts=(claim(stream),)))
    await store.append(append(tenant, facts=(claim(stream, Fact("shape", "blue")),)))
    assert await store.holders(other, [Fact("shape", "blue")]) == {}


async def test_a_required_fact_must_be_held_by_the_stream_that_is_named(store: EventStore, tenant: UUID) -> None:
    holder, user = new_id(), new_id()
    with pytest.raises(FactMissing):
        await store.append(append(tenant, on(user, 0, 1), facts=(require(),)))
    await store.append(append(tenant, facts=(claim(holder),)))
    with pytest.raises(FactMissing):
        await store.append(append(tenant, on(user, 0, 1), facts=(require(new_id()),)))
    await store.append(append(tenant, on(user, 0, 1), facts=(require(),)))
    await store.append(append(tenant, on(user, 1, 2), facts=(require(holder),)))
    assert await numbers_in(store, tenant, user) == [1, 2]


async def test_a_fact_that_goes_while_others_require_it_is_missing_from_then_on(
    store: EventStore, tenant: UUID, stream: UUID
) -> None:
    await store.append(append(tenant, facts=(claim(stream),)))
    users = [new_id() for _ in range(20)]
    appends = [append(tenant, on(one, 0, 1), facts=(require(stream),)) for one in users]
    appends.insert(10, append(tenant, on(stream, 0, 9), facts=(release(),)))
    answers = await asyncio.gather(*map(store.append, appends), return_exceptions=True)
    released = answers[10]
    assert isinstance(released, Appended)
    for answer in answers:
        assert isinstance(answer, FactMissing) or (
            isinstance(answer, Appended) and answer.position <= released.position
        )


async def test_a_fact_that_is_lost_keeps_the_whole_append_out(store: EventStore, tenant: UUID, stream: UUID) -> None:
    await store.append(append(tenant, facts=(claim(stream),)))
    subject, connection, other = new_id(), new_id(), Fact("colour", "red")
    lost = append(
        tenant,
        on(subject, 0, 1),
        facts=(claim(subject, other), claim(subject)),
        data_keys=(key_of(subject),),
        credentials=(secret(connection, 1, subject),),
    )
    with pytest.raises(FactTaken):
        await store.append(lost)
    assert await store.holders(tenant, [other]) == {}
    await store.append(first_import(tenant, subject, connection))


async def test_a_subject_has_one_key(store: EventStore, tenant: UUID) -> None:
    subject, connection = new_id(), new_id()
    await store.append(first_import(tenant, subject, connection))
    with pytest.raises(StaleStream):
        await store.append(append(tenant, on(new_id(), 0, 1), data_keys=(key_of(subject),)))
    assert len(await store.read_tenant(tenant)) == 2


async def test_an_import_that_is_sent_twice_keeps_the_first_ones_key(store: EventStore, tenant: UUID) -> None:
    subject, connection = new_id(), new_id()
    imported = first_import(tenant, subject, connection)
    await store.append(imported)
    with pytest.raises(StaleStream):
        await store.append(imported)
    await store.append(append(tenant, on(connection, 1, 3), credentials=(secret(connection, 2, subject),)))


async def test_a_credential_version_is_stored_once(store: EventStore, tenant: UUID) -> None:
    subject, connection = new_id(), new_id()
    await store.append(first_import(tenant, subject, connection))
    with pytest.raises(StaleStream):
        await store.append(append(tenant, on(connection, 1, 3), credentials=(secret(connection, 1, subject),)))
    assert await numbers_in(store, tenant, connection) == [2]


async def test_nothing_is_sealed_for_a_subject_without_a_key(store: EventStore, tenant: UUID, stream: UUID) -> None:
    with pytest.raises(SubjectForgotten):
        await store.append(append(tenant, on(stream, 0, 1), credentials=(secret(stream, 1, new_id()),)))
    assert await store.read_stream(tenant, stream) == []


async def test_a_key_of_an_append_that_loses_is_not_kept(store: EventStore, tenant: UUID) -> None:
    subject, connection = new_id(), new_id()
    lost = append(
        tenant,
        on(subject, 0, 1),
        data_keys=(key_of(subject),),
        credentials=(secret(connection, 1, subject), secret(connection, 2, new_id())),
    )
    with pytest.raises(SubjectForgotten):
        await store.append(lost)
    await store.append(first_import(tenant, subject, connection))


async def test_forgetting_takes_what_is_the_subjects_and_leaves_the_history(store: EventStore, tenant: UUID) -> None:
    subject, connection = new_id(), new_id()
    answer = CommandAnswer(b"key", b"request", b"answer", subject)
    await store.append(first_import(tenant, subject, connection, command=answer))
    for stream_id in (subject, connection):
        await store.save_snapshot(tenant, stream_id, StoredSnapshot(1, "sample", b"state", b"hash"))
    await store.append(append(tenant, on(subject, 1, 3), forgets=(subject,)))
    assert await store.holders(tenant, [Fact("user", str(subject))]) == {}
    assert await store.command_answer(tenant, b"key", b"request") is None
    assert await store.read_snapshot(tenant, subject) is None
    assert await store.read_snapshot(tenant, connection) is None
    assert await numbers_in(store, tenant, subject) == [1, 3]
    assert await numbers_in(store, tenant, connection) == [2]


async def test_nothing_is_kept_for_the_forgotten(store: EventStore, tenant: UUID, stream: UUID) -> None:
    subject, connection = new_id(), new_id()
    await store.append(first_import(tenant, subject, connection))
    await store.append(append(tenant, on(subject, 1, 3), forgets=(subject,)))
    too_late = [
        append(tenant, on(stream, 0, 1), credentials=(secret(connection, 2, subject),)),
        append(tenant, on(stream, 0, 1), facts=(claim(stream, FACT, subject),)),
        append(tenant, on(stream, 0, 1), command=CommandAnswer(b"late", b"request", b"answer", subject)),
    ]
    for one in too_late:
        with pytest.raises(SubjectForgotten):
            await store.append(one)
    with pytest.raises(StaleStream):
        await store.append(append(tenant, on(stream, 0, 1), data_keys=(key_of(subject),)))
    assert await store.read_stream(tenant, stream) == []
    assert await store.holders(tenant, [FACT]) == {}
    assert await store.command_answer(tenant, b"late", b"request") is None


async def test_a_forgotten_subject_leaves_its_neighbours_alone(store: EventStore, tenant: UUID) -> None:
    forgotten, kept, connection = new_id(), new_id(), new_id()
    await store.append(first_import(tenant, forgotten, new_id()))
    await store.append(first_import(tenant, kept, connection))
    await store.append(append(tenant, on(forgotten, 1, 3), forgets=(forgotten, new_id())))
    assert await store.holders(tenant, [Fact("user", str(kept))]) == {Fact("user", str(kept)): kept}
    await store.append(append(tenant, on(connection, 1, 3), credentials=(secret(connection, 2, kept),)))


async def test_a_connections_destroyed_credentials_make_room_for_the_same_versions(
    store: EventStore, tenant: UUID
) -> None:
    subject, connection = new_id(), new_id()
    await store.append(first_import(tenant, subject, connection))
    await store.append(append(tenant, on(connection, 1, 3), destroys=(connection,)))
    await store.append(append(tenant, on(connection, 2, 4), credentials=(secret(connection, 1, subject),)))


async def test_a_closed_tenant_refuses_everything_and_its_history_stays(
    store: EventStore, tenant: UUID, stream: UUID
) -> None:
    answer = CommandAnswer(b"key", b"request", b"answer")
    await store.append(append(tenant, on(stream, 0, 1), facts=(claim(stream),), command=answer))
    await store.save_snapshot(tenant, stream, StoredSnapshot(1, "sample", b"state", b"hash"))
    await store.append(append(tenant, on(tenant, 0, 2), closes=True))
    for late in (
        append(tenant, on(stream, 1, 3)),
        append(tenant, on(new_id(), 0, 3), opens=TenantKind.PROJECT),
        append(tenant, on(tenant, 1, 3), closes=True),
        append(tenant, command=answer),
    ):
        with pytest.raises(TenantClosed):
            await store.append(late)
    for _ in ("closed", "emptied", "emptied again"):
        assert await store.holders(tenant, [FACT]) == {}
        assert await store.command_answer(tenant, b"key", b"request") is None
        await store.save_snapshot(tenant, stream, StoredSnapshot(2, "sample", b"late", b"hash"))
        assert await store.read_snapshot(tenant, stream) is None
        assert [one.position for one in await store.read_tenant(tenant)] == [1, 2]
        await store.empty(tenant)


async def test_an_open_tenant_is_not_emptied(store: EventStore, tenant: UUID) -> None:
    subject, connection = new_id(), new_id()
    await store.append(first_import(tenant, subject, connection, command=CommandAnswer(b"key", b"request", b"answer")))
    await store.empty(tenant)
    await store.empty(new_id())
    assert await store.holders(tenant, [Fact("user", str(subject))]) == {Fact("user", str(subject)): subject}
    assert await store.command_answer(tenant, b"key", b"request") == b"answer"
    await store.append(append(tenant, on(connection, 1, 3), credentials=(secret(connection, 2, subject),)))


async def test_closing_while_others_append_ends_the_log(store: EventStore, tenant: UUID) -> None:
    appends = [append(tenant, on(new_id(), 0, number)) for number in range(30)]
    appends.insert(15, append(tenant, on(tenant, 0, 99), closes=True))
    answers = await asyncio.gather(*map(store.append, appends), return_exceptions=True)
    closed = answers[15]
    assert isinstance(closed, Appended)
    assert {type(answer) for answer in answers} <= {Appended, TenantClosed}
    read = await store.read_tenant(tenant)
    assert read[-1].position == closed.position == [type(answer) for answer in answers].count(Appended)
