"""Emptying a deleted project: nothing of it opens from the first moment, and removing what it held holds nobody up."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import Pool
from adapters.vault.vault import PostgresVault
from adapters.workers.emptying import Emptying
from app import Causeway, causeway
from domain.deciding import Caller
from domain.events import FORGOTTEN, Sealed
from domain.ids import new_id
from domain.ports import SubjectForgotten, TenantClosed
from domain.projects.project import ProjectNotFound
from tests.conftest import Ground
from tests.projections.histories import connect
from tests.sample_events import append, numbers_in, on, open_tenant

CALLER = Caller("test:emptying")
TABLES = ("credentials", "uniques", "commands", "snapshots", "token_marks")
STAY = {"tenant_heads", "streams", "events", "events_archive"}  # the history
STAY |= {"dirty", "checkpoints", "tracking"}  # how far its readers are
STAY |= {"emptying"}  # goes at the end
SUBJECTS = "select md5('subject' || i)::uuid as subject_id, i from generate_series(1, $2::integer) i"
FURNISHED = (
    f"insert into data_keys select $1, subject_id, 'wrapped', 'master' from ({SUBJECTS}) s",
    f"insert into credentials select $1, md5('of' || i)::uuid, v, subject_id, 'sealed' from ({SUBJECTS}) s, generate_series(1, 2) v",
    f"insert into uniques select $1, 'user', i::text, subject_id, subject_id from ({SUBJECTS}) s",
    f"insert into commands select $1, i::text::bytea, '', '', subject_id, now() + interval '1 day' from ({SUBJECTS}) s",
    f"insert into snapshots select $1, subject_id, 1, 'sample', '', '' from ({SUBJECTS}) s",
    f"insert into token_marks select $1, subject_id, now() from ({SUBJECTS}) s",
)


@pytest.fixture
async def store(pool: Pool) -> PostgresEventStore:
    return PostgresEventStore(pool)


async def closed_tenant(store: PostgresEventStore, pool: Pool, subjects: int) -> UUID:
    """A tenant with so many subjects and seven times as many rows, which was closed just now."""
    tenant = await open_tenant(store)
    for statement in FURNISHED:
        await pool.execute(statement, tenant, subjects)
    await store.append(append(tenant, on(tenant, 0, 1), closes=True))
    return tenant


async def left(pool: Pool, tenant: UUID) -> int:
    """Rows of the tenant that are still to go."""
    counts = [await pool.fetchval(f"select count(*) from {table} where tenant_id = $1", tenant) for table in TABLES]
    keys = "select count(*) from data_keys where tenant_id = $1 and wrapped_key is not null"
    return sum(counts) + int(await pool.fetchval(keys, tenant))


async def test_a_step_takes_no_more_than_it_may_and_the_next_goes_on_from_there(
    store: PostgresEventStore, pool: Pool
) -> None:
    tenant, neighbour = await closed_tenant(store, pool, 5), await closed_tenant(store, pool, 5)
    for rows in range(35, 0, -4):
        assert await left(pool, tenant) == rows
        assert await pool.fetchval("select empty_some($1, 4)", tenant) == min(rows, 4)
    assert await left(pool, tenant) == 0
    assert await pool.fetchval("select empty_some($1, 4)", tenant) == 0
    assert await pool.fetchval("select array_agg(tenant_id) from emptying") == [neighbour]
    assert await left(pool, neighbour) == 35


async def test_every_table_of_a_tenant_is_emptied_or_has_a_reason_to_stay(pool: Pool) -> None:
    tables = await pool.fetch(
        "select t.table_name as name from information_schema.columns c join information_schema.tables t"
        " using (table_schema, table_name) where c.column_name = 'tenant_id' and c.table_schema = 'public'"
        " and t.table_type = 'BASE TABLE' and t.table_name not like 'read\\_%'"
    )
    emptied = await pool.fetchval("select pg_get_functiondef('empty_some'::regproc)")
    assert {row["name"] for row in tables if f"'{row['name']}'" not in emptied} == STAY


async def test_a_step_that_ends_with_the_last_row_is_not_the_last(store: PostgresEventStore, pool: Pool) -> None:
    tenant = await closed_tenant(store, pool, 1)
    assert [await pool.fetchval("select empty_some($1, 7)", tenant) for _ in range(3)] == [7, 0, 0]
    assert await pool.fetchval("select count(*) from emptying") == 0


async def test_others_append_while_a_step_in_emptying_a_large_tenant_is_held_up(
    store: PostgresEventStore, pool: Pool
) -> None:
    tenant = await closed_tenant(store, pool, 20_000)
    other, stream = await open_tenant(store), new_id()
    async with pool.acquire() as connection, connection.transaction():
        held = "select from data_keys where tenant_id = $1 order by subject_id desc limit 1 for update"
        await connection.execute(held, tenant)
        emptying = asyncio.create_task(store.empty(tenant))
        while await left(pool, tenant) > 125_000:  # three of its four steps over the keys are done, the fourth waits
            await asyncio.sleep(0)
        for number in range(10):
            await store.append(append(other, on(stream, number, number)))
        assert not emptying.done()
        assert await numbers_in(store, other, stream) == list(range(10))
    await emptying
    assert await left(pool, tenant) == 0


async def test_a_key_that_is_wrapped_anew_at_this_moment_is_destroyed_all_the_same(
    store: PostgresEventStore, pool: Pool
) -> None:
    tenant = await closed_tenant(store, pool, 3)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("update data_keys set wrapped_key = 'anew' where tenant_id = $1", tenant)
        emptying = asyncio.create_task(store.empty(tenant))
        waiting = (
            "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and query like '%empty_some%')"
        )
        while not await pool.fetchval(waiting):
            await asyncio.sleep(0)
    await emptying
    assert await left(pool, tenant) == 0


async def test_a_tenant_that_somebody_is_emptying_is_left_to_him(store: PostgresEventStore, pool: Pool) -> None:
    assert not await store.empty_abandoned()
    mine, abandoned = await closed_tenant(store, pool, 1), await closed_tenant(store, pool, 1)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("select empty_some($1, 1)", mine)
        assert await store.empty_abandoned()
        assert not await store.empty_abandoned()
        assert [await left(pool, tenant) for tenant in (mine, abandoned)] == [7, 0]
    assert await store.empty_abandoned()
    assert await left(pool, mine) == 0


class Killed(BaseException):
    """Stands in for a kill: nothing that the process would have done next is done."""


async def kill(tenant_id: UUID) -> None:
    raise Killed


async def deleted_half_way(wired: Causeway, ground: Ground, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """The quickstart project after its deletion was stopped between closing and emptying."""
    monkeypatch.setattr(wired.store, "empty", kill)
    with pytest.raises(Killed):
        await wired.services.projects.delete(ground.plan.company_id, ground.plan.project_id, CALLER)
    monkeypatch.undo()
    assert await left(wired.pool, ground.plan.project_id) > 0
    return ground.plan.project_id


async def test_nothing_of_a_closed_project_opens_while_its_rows_still_wait(
    wired: Causeway, ground: Ground, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = ground.plan.project_id
    await connect(wired, project, "ada")
    row = await wired.pool.fetchrow(
        "select subject_id, connection_id from credentials where tenant_id = $1 and subject_id <> $1", project
    )
    assert row is not None
    async with causeway(ground.settings(dsn), dsn) as other:
        vaults = (wired.vault, other.vault, PostgresVault(wired.pool, wired.keyring))
        for vault in vaults:
            await vault.key(project, row["subject_id"])
            assert await vault.credential(project, row["connection_id"]) is not None
        await deleted_half_way(wired, ground, monkeypatch)
        for vault in vaults:
            for subject in (project, row["subject_id"]):
                with pytest.raises(SubjectForgotten):
                    await vault.key(project, subject)
            assert await vault.credential(project, row["connection_id"]) is None
            assert await vault.credentials(project, row["connection_id"], [1]) == []
            assert await vault.newest_version(project, row["connection_id"]) == 0
            history = await wired.store.read_tenant(project)
            reveal = await vault.revealer(history)
            texts = [getattr(one.event, name) for one in history for name in one.event.SEALED]
            assert {reveal(text) for text in texts if isinstance(text, Sealed)} == {FORGOTTEN}
    with pytest.raises(TenantClosed):
        await PostgresVault(wired.pool, wired.keyring).tenant_key(project)


async def test_what_a_killed_process_left_of_a_deleted_project_is_removed_by_another(
    wired: Causeway, ground: Ground, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connect(wired, ground.plan.project_id, "ada")
    project = await deleted_half_way(wired, ground, monkeypatch)
    async with causeway(ground.settings(dsn), dsn) as other:
        working = asyncio.create_task(Emptying(other.store.empty_abandoned).run())
        async with asyncio.timeout(30):
            while await wired.pool.fetchval("select exists (select from emptying)"):
                await asyncio.sleep(0.01)
        working.cancel()
    assert await left(wired.pool, project) == 0


async def test_a_deletion_that_was_stopped_half_way_is_finished_by_asking_again(
    wired: Causeway, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await deleted_half_way(wired, ground, monkeypatch)
    await wired.services.projects.delete(ground.plan.company_id, project, CALLER)
    assert await left(wired.pool, project) == 0
    with pytest.raises(ProjectNotFound):
        await wired.services.projects.delete(ground.plan.company_id, project, CALLER)
