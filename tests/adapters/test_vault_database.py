"""The vault over its database: erasure holds at once in every process, and leaves nothing that the master key opens."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.postgres.pool import Pool
from adapters.settings import CannotStart
from adapters.vault.envelope import Tampered, unwrap
from adapters.vault.fingerprints import check_keyring
from adapters.vault.key_file import new_master_key
from adapters.vault.keyring import Keyring
from adapters.vault.vault import PostgresVault
from app import Causeway, causeway
from domain.events import FORGOTTEN, Recorded, Sealed
from domain.ports import SubjectForgotten, TenantClosed, credential_context
from tests.api_client import Api
from tests.conftest import Ground

SECRET = "ghp_" + "s" * 36
KEYS = "select subject_id, wrapped_key, master_key_id from data_keys where tenant_id = $1 and wrapped_key is not null"


async def connection_of(api: Api, pool: Pool) -> tuple[UUID, UUID, UUID]:
    """Connects Ada; her project, her own id and the connection's."""
    assert (await api.connect("ada", secret=SECRET)).status == 200
    project_id = api.plan.project_id
    row = await pool.fetchrow(
        "select subject_id, connection_id from credentials where tenant_id = $1 and subject_id <> tenant_id", project_id
    )
    assert row is not None
    return project_id, row["subject_id"], row["connection_id"]


def sealed_texts(history: list[Recorded]) -> list[Sealed]:
    values = [getattr(one.event, name) for one in history for name in one.event.SEALED]
    return [value for value in values if isinstance(value, Sealed)]


async def test_a_connected_secret_opens_in_another_process(api: Api, ground: Ground, dsn: str, wired: Causeway) -> None:
    project_id, _, connection_id = await connection_of(api, wired.pool)
    async with causeway(ground.settings(dsn), dsn) as other:
        found = await other.vault.credential(project_id, connection_id)
    assert found is not None
    assert (found[0], msgspec.json.decode(found[1])) == (1, {"fields": {"accessToken": SECRET}})


async def test_what_one_process_erased_another_that_had_it_opened_reads_as_forgotten(
    api: Api, ground: Ground, dsn: str, wired: Causeway
) -> None:
    project_id, user_id, connection_id = await connection_of(api, wired.pool)
    async with causeway(ground.settings(dsn), dsn) as other:
        history = await other.store.read_tenant(project_id)
        personal = [sealed for sealed in sealed_texts(history) if sealed.subject_id == user_id]
        assert [(await other.vault.revealer(history))(sealed) for sealed in personal] == ["ada"]
        assert await other.vault.credential(project_id, connection_id) is not None
        key = await other.vault.key(project_id, user_id)

        assert (await api.manage("DELETE", f"{api.managed_project}/EndUser/ada")).status == 200

        assert [(await other.vault.revealer(history))(sealed) for sealed in personal] == [FORGOTTEN]
        assert await other.vault.credential(project_id, connection_id) is None
        with pytest.raises(SubjectForgotten):
            await other.vault.key(project_id, user_id)
        assert key.open("personal", personal[0].box) == b"ada"  # it is the look-up that forgets


async def test_a_credential_moved_to_another_place_is_refused(api: Api, wired: Causeway) -> None:
    project_id, _, connection_id = await connection_of(api, wired.pool)
    await wired.pool.execute("update credentials set version = 2 where connection_id = $1", connection_id)
    with pytest.raises(Tampered):
        await wired.vault.credential(project_id, connection_id)


async def test_a_data_key_moved_to_another_subject_is_refused(api: Api, wired: Causeway, ground: Ground) -> None:
    project_id, user_id, _ = await connection_of(api, wired.pool)
    await wired.pool.execute(
        "update data_keys set wrapped_key = (select wrapped_key from data_keys where subject_id = $1) where subject_id = $2",
        project_id,
        user_id,
    )
    fresh = PostgresVault(wired.pool, Keyring.open(ground.master_key, ground.data_dir))
    with pytest.raises(Tampered):
        await fresh.key(project_id, user_id)


async def test_the_same_wrapped_key_is_bound_to_its_subject_even_when_it_was_opened_before(
    api: Api, wired: Causeway
) -> None:
    project_id, user_id, connection_id = await connection_of(api, wired.pool)
    await wired.vault.key(project_id, project_id)
    await wired.pool.execute(
        "update data_keys set wrapped_key = (select wrapped_key from data_keys where subject_id = $1) where subject_id = $2",
        project_id,
        user_id,
    )
    with pytest.raises(Tampered):
        await wired.vault.credential(project_id, connection_id)


async def test_a_newer_stored_credential_is_adopted_before_its_event_tells(api: Api, wired: Causeway) -> None:
    project_id, user_id, connection_id = await connection_of(api, wired.pool)
    key = await wired.vault.key(project_id, user_id)
    renewed = msgspec.json.encode({"fields": {"accessToken": "renewed"}})
    await wired.pool.execute(
        "insert into credentials (tenant_id, connection_id, version, subject_id, sealed) values ($1, $2, 2, $3, $4)",
        project_id,
        connection_id,
        user_id,
        key.seal(credential_context(connection_id, 2), renewed),
    )
    assert await wired.vault.credential(project_id, connection_id) == (2, renewed)
    older = "/users/ada/connections/github"
    assert (await api.monkedo("POST", older, {"connectionFields": {"accessToken": SECRET}})).status == 200
    found = await wired.vault.credential(project_id, connection_id)
    assert found is not None
    assert (found[0], msgspec.json.decode(found[1])) == (3, {"fields": {"accessToken": SECRET}})


async def subjects_that_open(pool: Pool, keyring: Keyring, tenant_id: UUID) -> set[UUID]:
    """Whose data keys the master keys still open: whatever else is sealed in a tenant opens with one of these or never."""
    for subject_id, wrapped, master_id in (rows := await pool.fetch(KEYS, tenant_id)):
        unwrap(keyring.key(master_id), master_id, tenant_id, subject_id, wrapped)
    return {row["subject_id"] for row in rows}


async def rows_of(pool: Pool, tenant_id: UUID) -> str:
    """Everything that the database holds under a tenant, as text."""
    tables = await pool.fetch(
        "select c.table_name from information_schema.columns c join information_schema.tables t using (table_schema, table_name)"
        " where c.column_name = 'tenant_id' and c.table_schema = 'public' and t.table_type = 'BASE TABLE'"
    )
    found: list[Any] = []
    for table in tables:
        found += await pool.fetch(
            f"select to_jsonb(t)::text as row from {table['table_name']} t where tenant_id = $1", tenant_id
        )
    return "\n".join(row["row"] for row in found)


async def test_after_erasure_nothing_of_the_end_user_can_be_opened_or_read(api: Api, wired: Causeway) -> None:
    project_id, user_id, connection_id = await connection_of(api, wired.pool)
    assert await subjects_that_open(wired.pool, wired.keyring, project_id) == {project_id, user_id}
    assert "ada" in await rows_of(wired.pool, project_id)

    assert (await api.manage("DELETE", f"{api.managed_project}/EndUser/ada")).status == 200

    assert await subjects_that_open(wired.pool, wired.keyring, project_id) == {project_id}
    for table in ("credentials", "uniques", "commands"):
        count = await wired.pool.fetchval(
            f"select count(*) from {table} where tenant_id = $1 and subject_id = $2", project_id, user_id
        )
        assert (table, count) == (table, 0)
    left = await rows_of(wired.pool, project_id)
    assert '"ada"' not in left
    assert SECRET not in left
    assert str(connection_id) in left  # the history stays


async def test_after_its_deletion_nothing_of_a_project_can_be_opened(api: Api, wired: Causeway) -> None:
    project_id, _, _ = await connection_of(api, wired.pool)
    body = {"app_key": "stripe", "client_secret": "a client's secret"}
    assert (await api.manage("POST", f"{api.managed_project}/Integration", body)).status == 201
    assert len(await subjects_that_open(wired.pool, wired.keyring, project_id)) == 2

    assert (await api.manage("DELETE", api.managed_project)).status == 200

    assert await subjects_that_open(wired.pool, wired.keyring, project_id) == set()
    for table in ("credentials", "uniques", "commands", "snapshots", "token_marks"):
        assert await wired.pool.fetchval(f"select count(*) from {table} where tenant_id = $1", project_id) == 0
    history = await wired.store.read_tenant(project_id)
    reveal = await wired.vault.revealer(history)
    texts = sealed_texts(history)
    assert texts
    assert {reveal(sealed) for sealed in texts} == {FORGOTTEN}
    fresh = PostgresVault(wired.pool, wired.keyring)
    with pytest.raises(TenantClosed):
        await fresh.tenant_key(project_id)


async def start_with(pool: Pool, keys: str) -> None:
    async with pool.acquire() as connection:
        await check_keyring(connection, Keyring(keys))


async def test_a_database_refuses_another_key_under_a_known_id(pool: Pool) -> None:
    with pytest.raises(CannotStart, match="'test' is not the one this database was sealed under"):
        await start_with(pool, f"test:{new_master_key()}")


async def test_a_database_refuses_to_go_without_a_key_that_is_in_use(pool: Pool) -> None:
    with pytest.raises(CannotStart, match="'test' is still in use here"):
        await start_with(pool, f"k9:{new_master_key()}")


async def test_a_key_in_use_is_missed_even_if_no_start_ever_met_it(pool: Pool, ground: Ground) -> None:
    """A running service may have taken up a key that was gone again at its next start."""
    await pool.execute("update data_keys set master_key_id = 'passing' where wrapped_key is not null")
    with pytest.raises(CannotStart, match="'passing' is still in use here"):
        await start_with(pool, ground.master_key)


async def test_a_key_that_is_no_longer_in_use_may_be_gone(pool: Pool, ground: Ground) -> None:
    await start_with(pool, f"{ground.master_key},k9:{new_master_key()}")
    await start_with(pool, ground.master_key)
    assert await pool.fetchval("select count(*) from master_keys") == 2
