"""Rotation wraps every data key anew while everybody goes on, and touches nothing else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from adapters.cli import rotating
from adapters.cli.progress import Out
from adapters.postgres.pool import Pool
from adapters.settings import CannotStart
from adapters.vault import rotation as rotation_module
from adapters.vault.fingerprints import check_keyring
from adapters.vault.key_file import new_master_key
from adapters.vault.keyring import Keyring
from adapters.vault.rotation import KeyRotation
from app import Causeway, causeway
from domain.connections.use_cases import TokenSet
from domain.deciding import Caller
from domain.projects.project import ProjectSettings
from tests.conftest import Ground

CALLER = Caller("test:rotation")
TOKEN = TokenSet(app_key="github", access_token="ghp_" + "r" * 36)
UNDER = "select master_key_id, count(*) from data_keys where wrapped_key is not null group by 1"


@pytest.fixture
def key_path(ground: Ground, tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(ground.master_key + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
async def service(ground: Ground, dsn: str, key_path: Path) -> AsyncIterator[Causeway]:
    """A running process that has its keys from the file."""
    settings = msgspec.structs.replace(ground.settings(dsn), master_key=f"file:{key_path}")
    async with causeway(settings, dsn) as wired:
        yield wired


def rotation(pool: Pool, key_path: Path) -> KeyRotation:
    return KeyRotation(pool, Keyring(key_path), settle_seconds=0.05)


async def rotated(one: KeyRotation) -> int:
    return sum([count async for count in one.run()])


async def under(pool: Pool) -> dict[str, int]:
    return {row[0]: row[1] for row in await pool.fetch(UNDER)}


async def connect(service: Causeway, ground: Ground, user: str) -> None:
    await service.services.connections.import_token(ground.plan.project_id, CALLER, user, TOKEN, replaces=True)


async def everything_else(pool: Pool) -> list[str]:
    """All rows of all tables, without how the data keys are wrapped."""
    tables = await pool.fetch(
        "select table_name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'"
        " and table_name not in ('data_keys', 'master_keys')"
    )
    rows = await pool.fetch(
        "select tenant_id::text || subject_id::text || coalesce(shredded_at::text, '') from data_keys"
    )
    for table in tables:
        rows += await pool.fetch(f"select to_jsonb(t)::text from {table['table_name']} t")
    return sorted(row[0] for row in rows)


async def test_every_data_key_comes_under_the_new_master_key_and_nothing_else_changes(
    service: Causeway, ground: Ground, pool: Pool, key_path: Path
) -> None:
    await connect(service, ground, "ada")
    before, count = await everything_else(pool), sum((await under(pool)).values())
    one = rotation(pool, key_path)
    assert await one.new_key() == "k1"
    assert await one.waiting() == count
    assert await rotated(one) == count
    assert await under(pool) == {"k1": count}
    assert await everything_else(pool) == before


async def test_a_running_service_goes_on_without_a_restart(
    service: Causeway, ground: Ground, pool: Pool, key_path: Path
) -> None:
    await connect(service, ground, "ada")
    one = rotation(pool, key_path)
    await one.new_key()
    await rotated(one)
    mine = "select tenant_id, connection_id from credentials where tenant_id = $1 and subject_id <> tenant_id"
    found = await service.vault.credential(*await pool.fetchrow(mine, ground.plan.project_id))
    assert found is not None and b"ghp_" in found[1]
    await connect(service, ground, "eve")
    assert set(await under(pool)) == {"k1"}


async def test_a_service_that_reads_nothing_still_learns_of_the_new_key_before_it_wraps_with_the_old(
    service: Causeway, ground: Ground, pool: Pool, key_path: Path
) -> None:
    settings = ProjectSettings(name="Warm", webhook_url="http://127.0.0.1/")
    await service.services.projects.create(ground.plan.company_id, CALLER, settings)
    one = rotation(pool, key_path)
    await one.new_key()
    await rotated(one)
    await service.services.projects.create(ground.plan.company_id, CALLER, settings)
    assert set(await under(pool)) == {"k1"}


async def test_what_is_sealed_while_the_keys_are_rotated_is_rotated_too_and_stays_readable(
    service: Causeway, ground: Ground, pool: Pool, key_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation_module, "BATCH", 3)
    for number in range(20):
        await connect(service, ground, f"before-{number}")
    stop = asyncio.Event()
    connected = 0

    async def go_on(caller: int) -> None:
        nonlocal connected
        while not stop.is_set():
            await connect(service, ground, f"during-{caller}-{connected}")
            connected += 1

    sealing = asyncio.gather(*(go_on(caller) for caller in range(4)))
    for expected in ("k1", "k2", "k3"):
        one = rotation(pool, key_path)
        assert await one.new_key() == expected
        await rotated(one)
    stop.set()
    await sealing
    assert connected > 0
    assert set(await under(pool)) == {"k3"}
    for row in await pool.fetch(
        "select tenant_id, connection_id from credentials where tenant_id = $1 and subject_id <> tenant_id",
        ground.plan.project_id,
    ):
        assert await service.vault.credential(*row) is not None


async def test_two_rotations_at_once_and_one_that_was_stopped_come_to_the_same_end(
    service: Causeway, ground: Ground, pool: Pool, key_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation_module, "BATCH", 2)
    for number in range(12):
        await connect(service, ground, str(number))
    one = rotation(pool, key_path)
    await one.new_key()
    total = await one.waiting()
    stopped = one.run()
    first = await anext(stopped)
    await stopped.aclose()
    assert await one.waiting() == total - first > 0
    both = await asyncio.gather(rotated(rotation(pool, key_path)), rotated(rotation(pool, key_path)))
    assert sum(both) == total - first
    assert set(await under(pool)) == {"k1"}


async def test_a_key_that_is_shredded_meanwhile_stays_shredded(
    service: Causeway, ground: Ground, pool: Pool, key_path: Path
) -> None:
    await connect(service, ground, "ada")
    one = rotation(pool, key_path)
    await one.new_key()
    rows = await pool.fetch("select tenant_id, subject_id, wrapped_key from data_keys where wrapped_key is not null")
    await service.services.end_users.erase(ground.plan.project_id, CALLER, "ada")
    moved = await one._rewrap("test", [(row[0], row[1], bytes(row[2])) for row in rows])  # as it was read before
    assert moved == len(rows) - 1
    assert (
        await pool.fetchval("select count(*) from data_keys where shredded_at is not null and wrapped_key is null") == 1
    )


async def test_a_row_that_somebody_holds_is_waited_for_by_coming_back(
    service: Causeway, ground: Ground, pool: Pool, key_path: Path
) -> None:
    one = rotation(pool, key_path)
    await one.new_key()
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("select from data_keys where subject_id = $1 for update", ground.plan.project_id)
        rotating_now = asyncio.create_task(rotated(one))
        while set(await under(pool)) != {"test", "k1"} or (await under(pool))["test"] > 1:
            assert not rotating_now.done()
            await asyncio.sleep(0.01)
        assert not rotating_now.done()
        await transaction.rollback()
    await rotating_now
    assert set(await under(pool)) == {"k1"}


async def test_old_keys_may_be_taken_away_after_the_rotation_and_not_before(
    service: Causeway, pool: Pool, key_path: Path
) -> None:
    one = rotation(pool, key_path)
    await one.new_key()
    new_alone = key_path.read_text().splitlines()[0]

    async def start() -> None:
        async with pool.acquire() as connection:
            await check_keyring(connection, Keyring(new_alone))

    with pytest.raises(CannotStart, match="'test' is still in use here"):
        await start()
    await rotated(one)
    await start()


async def told_by(*arguments: str, pool: Pool, keyring: Keyring) -> tuple[int, list[str]]:
    lines: list[str] = []
    one = KeyRotation(pool, keyring, settle_seconds=0.01)
    chosen = rotating.parse(arguments)
    code = await rotating.rotate(one, keyring.path, keyring.ids()[1:], chosen, Out(lines.append))
    return code, lines


async def test_the_command_tells_progress_and_which_keys_are_no_longer_needed(pool: Pool, key_path: Path) -> None:
    code, lines = await told_by("--new", pool=pool, keyring=Keyring(key_path))
    assert code == 0
    assert lines[0] == f"The new master key k1 is first in {key_path}."
    assert "100.0%" in lines[1] and "/s" in lines[1] and "left" in lines[1]
    assert "all are under the master key k1" in lines[-2]
    assert lines[-1].startswith(f"No longer needed in {key_path}: test.")


async def test_the_command_tells_machines_the_same(pool: Pool, key_path: Path) -> None:
    code, lines = await told_by("--new", "--json", pool=pool, keyring=Keyring(key_path))
    first, *progress, last = [msgspec.json.decode(line) for line in lines]
    assert (code, first) == (0, {"new_key": "k1"})
    assert progress[-1]["done"] == progress[-1]["total"] == last["rewrapped"]
    assert (last["current"], last["removable"]) == ("k1", ["test"])


async def test_the_command_has_nothing_to_do_a_second_time(pool: Pool, key_path: Path) -> None:
    await told_by("--new", pool=pool, keyring=Keyring(key_path))
    code, lines = await told_by(pool=pool, keyring=Keyring(key_path))
    assert (code, lines[0]) == (0, "Nothing to do: all are under the master key k1.")


async def test_keys_in_the_setting_itself_are_left_to_the_operator_with_instructions(
    pool: Pool, ground: Ground
) -> None:
    code, lines = await told_by("--new", pool=pool, keyring=Keyring(ground.master_key))
    assert code == 2
    assert "CAUSEWAY_MASTER_KEY" in lines[0] and "scripts/rotate_keys" in lines[0]
    assert ground.master_key.split(":")[1] not in "".join(lines)
    assert set(await under(pool)) == {"test"}


async def test_keys_in_the_setting_rotate_once_the_operator_put_a_new_one_in_front(pool: Pool, ground: Ground) -> None:
    keyring = Keyring(f"k2:{new_master_key()},{ground.master_key}")
    code, lines = await told_by(pool=pool, keyring=keyring)
    assert code == 0
    assert lines[-1].startswith("No longer needed in CAUSEWAY_MASTER_KEY: test.")
    assert set(await under(pool)) == {"k2"}
