"""What the store leaves in PostgreSQL's tables, and what it does not."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import Pool
from domain.event_codec import UnknownEvent
from domain.events import Metadata
from domain.facts import Fact
from domain.ids import new_id
from domain.ports import (
    Append,
    Appended,
    CommandAnswer,
    FactChange,
    FactUse,
    Lost,
    SealedCredential,
    StaleStream,
    StoredSnapshot,
    StreamEvents,
    TenantKind,
    WrappedKey,
)
from tests.sample_events import Counted, append, on, open_tenant

TENANT_TABLES = ("uniques", "commands", "credentials", "snapshots", "token_marks")


@pytest.fixture
async def tenant(postgres_store: PostgresEventStore) -> UUID:
    return await open_tenant(postgres_store)


async def rows_of(pool: Pool, tenant: UUID, table: str) -> int:
    return int(await pool.fetchval(f"select count(*) from {table} where tenant_id = $1", tenant))


def furnished(tenant: UUID, subject: UUID, connection: UUID) -> Append:
    """A subject with one row in every table that an append fills."""
    return append(
        tenant,
        on(subject, 0, 1),
        on(connection, 0, 2),
        facts=(FactChange(FactUse.CLAIM, Fact("user", str(subject)), subject, subject),),
        data_keys=(WrappedKey(subject, b"wrapped", "master"),),
        credentials=(SealedCredential(connection, 1, subject, b"sealed"),),
        command=CommandAnswer(subject.bytes, b"request", b"answer", subject),
    )


async def furnish(store: PostgresEventStore, pool: Pool, tenant: UUID) -> tuple[UUID, UUID]:
    subject, connection = new_id(), new_id()
    await store.append(furnished(tenant, subject, connection))
    await store.save_snapshot(tenant, connection, StoredSnapshot(1, "sample", b"state", b"hash"))
    await pool.execute("insert into token_marks values ($1, $2, now())", tenant, new_id())
    return subject, connection


async def test_a_closed_tenant_that_was_emptied_holds_no_secret_no_fact_and_no_answer(
    postgres_store: PostgresEventStore, shared_pool: Pool, tenant: UUID
) -> None:
    await furnish(postgres_store, shared_pool, tenant)
    neighbour = await open_tenant(postgres_store)
    await furnish(postgres_store, shared_pool, neighbour)
    await postgres_store.append(append(tenant, on(tenant, 0, 3), closes=True))
    await postgres_store.empty(tenant)
    for table in (*TENANT_TABLES, "emptying"):
        assert await rows_of(shared_pool, tenant, table) == 0, table
    for table in TENANT_TABLES:
        assert await rows_of(shared_pool, neighbour, table) == 1, table
    keys = await shared_pool.fetch("select wrapped_key, shredded_at from data_keys where tenant_id = $1", tenant)
    assert [key["wrapped_key"] for key in keys] == [None]
    assert keys[0]["shredded_at"] is not None
    head = await shared_pool.fetchrow("select * from tenant_heads where tenant_id = $1", tenant)
    assert head is not None
    assert head["position"] == 3
    assert head["closed_at"] >= head["last_recorded_at"]
    assert await rows_of(shared_pool, tenant, "events") == 3


async def test_forgetting_leaves_nothing_of_the_subject_but_its_events(
    postgres_store: PostgresEventStore, shared_pool: Pool, tenant: UUID
) -> None:
    forgotten, _ = await furnish(postgres_store, shared_pool, tenant)
    await furnish(postgres_store, shared_pool, tenant)
    await postgres_store.append(append(tenant, on(forgotten, 1, 3), forgets=(forgotten,)))
    for table in ("uniques", "commands", "credentials", "snapshots"):
        assert await rows_of(shared_pool, tenant, table) == 1, table
    for table in ("uniques", "commands", "credentials"):
        found = await shared_pool.fetchval(f"select count(*) from {table} where subject_id = $1", forgotten)
        assert found == 0, table
    key = await shared_pool.fetchrow("select * from data_keys where subject_id = $1", forgotten)
    assert key is not None
    assert key["wrapped_key"] is None
    assert await rows_of(shared_pool, tenant, "events") == 5


async def test_an_append_that_loses_leaves_no_row_in_any_table(
    postgres_store: PostgresEventStore, shared_pool: Pool
) -> None:
    tables = await shared_pool.fetch(
        "select table_name from information_schema.columns where table_schema = 'public' and column_name = 'tenant_id'"
        " and table_name <> 'all_events' and table_name <> 'stored_events'"
    )
    subject, connection, tenant = new_id(), new_id(), new_id()
    whole = furnished(tenant, subject, connection)
    lost = (
        {"streams": (*whole.streams, on(new_id(), 4, 1))},
        {"facts": (*whole.facts, FactChange(FactUse.REQUIRE, Fact("no", "body")))},
        {"credentials": (*whole.credentials, SealedCredential(connection, 2, new_id(), b"sealed"))},
    )
    for wrong in lost:
        members = {name: getattr(whole, name) for name in whole.__struct_fields__}
        with pytest.raises(Lost):
            await postgres_store.append(Append(**(members | wrong | {"opens": TenantKind.PROJECT})))
        for table in tables:
            assert await rows_of(shared_pool, tenant, table["table_name"]) == 0, table["table_name"]


async def test_every_outcome_in_one_batch_is_answered_for_itself(
    postgres_store: PostgresEventStore, shared_pool: Pool, tenant: UUID
) -> None:
    subject, _ = await furnish(postgres_store, shared_pool, tenant)
    gone, _ = await furnish(postgres_store, shared_pool, tenant)
    await postgres_store.append(append(tenant, on(gone, 1, 3), forgets=(gone,)))
    taken = Fact("user", str(subject))
    new, fresh, unopened, stream = new_id(), new_id(), new_id(), new_id()
    batch = [
        append(tenant, on(stream, 0, 1)),
        append(tenant, on(new_id(), 1, 1)),
        append(tenant, on(new_id(), 0, 1), facts=(FactChange(FactUse.CLAIM, taken, new_id()),)),
        append(tenant, on(new_id(), 0, 1), facts=(FactChange(FactUse.REQUIRE, Fact("no", "body")),)),
        append(tenant, on(new_id(), 0, 1), credentials=(SealedCredential(new_id(), 1, gone, b"sealed"),)),
        append(tenant, on(new_id(), 0, 1), command=CommandAnswer(subject.bytes, b"request", b"new")),
        append(tenant, on(new_id(), 0, 1), command=CommandAnswer(new.bytes, b"request", b"new")),
        append(unopened, on(new_id(), 0, 1)),
        append(fresh, on(new_id(), 0, 1), opens=TenantKind.PROJECT),
        append(new, on(new_id(), 5, 1), opens=TenantKind.PROJECT),
        furnished(tenant, new_id(), new_id()),
        append(tenant, on(new_id(), 0, 1, 2)),
    ]
    waiting = asyncio.gather(*map(postgres_store.append, batch), return_exceptions=True)
    answers = [answer.position if isinstance(answer, Appended) else type(answer).__name__ for answer in await waiting]
    assert answers == [
        6,
        "StaleStream",
        "FactTaken",
        "FactMissing",
        "SubjectForgotten",
        "CommandKnown",
        7,
        "TenantClosed",
        1,
        "StaleStream",
        9,
        11,
    ]
    assert [one.position for one in await postgres_store.read_tenant(tenant)] == list(range(1, 12))
    assert await shared_pool.fetchval("select position from tenant_heads where tenant_id = $1", tenant) == 11
    assert await rows_of(shared_pool, new, "tenant_heads") == 0


async def test_an_expired_command_may_be_used_again(
    postgres_store: PostgresEventStore, shared_pool: Pool, tenant: UUID
) -> None:
    for number in (1, 2):
        command = CommandAnswer(b"key", bytes([number]), bytes([number]))
        await postgres_store.append(append(tenant, on(new_id(), 0, number), command=command))
        assert await postgres_store.command_answer(tenant, b"key", bytes([number])) == bytes([number])
        await shared_pool.execute("update commands set expires_at = clock_timestamp() where tenant_id = $1", tenant)
        assert await postgres_store.command_answer(tenant, b"key", bytes([number])) is None
    assert await rows_of(shared_pool, tenant, "commands") == 1


@pytest.mark.parametrize(
    "key", ["nul \0 within", "lone \ud800 surrogate", "over-long " + "".join(map(str, range(9_000)))]
)
async def test_a_poisoned_append_hurts_only_its_own_caller(
    postgres_store: PostgresEventStore, tenant: UUID, key: str
) -> None:
    poisoned = append(tenant, on(new_id(), 0, 666), facts=(FactChange(FactUse.CLAIM, Fact("bad", key), new_id()),))
    batch = [append(tenant, on(new_id(), 0, number)) for number in range(10)]
    batch.insert(5, poisoned)
    answers = await asyncio.gather(*map(postgres_store.append, batch), return_exceptions=True)
    assert isinstance(answers.pop(5), asyncpg.PostgresError)
    assert all(isinstance(answer, Appended) for answer in answers)
    assert sorted(
        one.event.number for one in await postgres_store.read_tenant(tenant) if isinstance(one.event, Counted)
    ) == list(range(10))


async def test_a_stream_that_is_named_twice_in_an_append_is_an_error_of_its_own(
    postgres_store: PostgresEventStore, tenant: UUID
) -> None:
    stream = new_id()
    with pytest.raises(asyncpg.PostgresError):
        await postgres_store.append(append(tenant, on(stream, 0, 1), on(stream, 0, 2)))
    assert await postgres_store.read_stream(tenant, stream) == []


async def test_a_poisoned_question_hurts_only_its_own_asker(postgres_store: PostgresEventStore, tenant: UUID) -> None:
    fact, stream = Fact("colour", "blue"), new_id()
    await postgres_store.append(append(tenant, facts=(FactChange(FactUse.CLAIM, fact, stream),)))
    answers = await asyncio.gather(
        *(postgres_store.holders(tenant, [asked]) for asked in (fact, Fact("nul", "\0"), fact)), return_exceptions=True
    )
    assert answers[::2] == [{fact: stream}] * 2
    assert isinstance(answers[1], asyncpg.PostgresError)


async def test_stored_events_are_never_changed(
    postgres_store: PostgresEventStore, shared_pool: Pool, tenant: UUID
) -> None:
    await postgres_store.append(append(tenant, on(new_id(), 0, 1)))
    for table in ("events", "events_archive"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await shared_pool.execute(f"truncate {table}")
    for change in ("update events set topic = 'x' where tenant_id = $1", "delete from events where tenant_id = $1"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await shared_pool.execute(change, tenant)
    assert len(await postgres_store.read_tenant(tenant)) == 1


async def test_an_archived_stream_is_read_as_before_and_takes_no_more(
    postgres_store: PostgresEventStore, shared_pool: Pool, tenant: UUID
) -> None:
    old, new = new_id(), new_id()
    await postgres_store.append(append(tenant, on(old, 0, 1, 2), on(new, 0, 3)))
    before, log = await postgres_store.read_stream(tenant, old), await postgres_store.read_tenant(tenant)
    assert await shared_pool.fetchval("select archive_stream($1, $2)", tenant, old) == 2
    assert await rows_of(shared_pool, tenant, "events") == 1
    assert await postgres_store.read_stream(tenant, old) == before
    assert await postgres_store.read_tenant(tenant) == log
    with pytest.raises(StaleStream):
        await postgres_store.append(append(tenant, on(old, 2, 4)))
    with pytest.raises(asyncpg.RestrictViolationError):
        await shared_pool.execute("delete from events_archive where tenant_id = $1", tenant)


async def test_an_event_of_a_newer_program_is_reported_by_its_topic(
    postgres_store: PostgresEventStore, tenant: UUID
) -> None:
    stream, metadata = new_id(), Metadata("test:newer", new_id())
    named = Append(tenant_id=tenant, streams=(StreamEvents(stream, "sample", 0, ()),), metadata=metadata)
    rows = [(stream, 1, "sample.unheard_of", b"{}")]
    await postgres_store.append_encoded(
        (
            named,
            rows,
            [(stream, "sample", 0, 1)],
            b'{"actor":"test:newer","command_id":"%s"}' % str(metadata.command_id).encode(),
        )
    )
    with pytest.raises(UnknownEvent, match=r"sample\.unheard_of"):
        await postgres_store.read_stream(tenant, stream)


async def test_time_stands_still_rather_than_run_backwards(
    postgres_store: PostgresEventStore, shared_pool: Pool, tenant: UUID
) -> None:
    ahead = await shared_pool.fetchval(
        "update tenant_heads set last_recorded_at = clock_timestamp() + interval '1 hour' where tenant_id = $1"
        " returning last_recorded_at",
        tenant,
    )
    for _ in range(2):
        assert (await postgres_store.append(append(tenant, on(new_id(), 0, 1)))).recorded_at == ahead
