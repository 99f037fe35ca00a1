"""Which account the embedded PostgreSQL runs as, and where its files are: private, and nothing else is opened."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.postgres.embedded import EmbeddedPostgres, account, binaries, folders
from tests.adapters.embedded_postgres import FAST, IS_ROOT, ask, reachable_folder, refused

as_root = pytest.mark.skipif(not IS_ROOT, reason="only root runs PostgreSQL as another account")
as_user = pytest.mark.skipif(IS_ROOT, reason="root runs PostgreSQL as another account")


@pytest.fixture
def parent() -> Iterator[Path]:
    with reachable_folder() as folder:
        yield folder


@pytest.fixture
def data_dir(parent: Path) -> Path:
    return parent / "data"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


async def test_a_data_directory_with_a_long_path_has_its_socket_in_a_short_one(parent: Path) -> None:
    data_dir = parent / ("long-" * 20) / "data"
    server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    assert await ask(server) == 1
    await server.stop()
    folder = folders.socket_folder(data_dir, account.choose_account(data_dir))
    assert parent not in folder.parents and mode(folder) == 0o700
    folder.chmod(0o755)
    try:
        assert str(folder) in await refused(data_dir)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["Ada's 100% ünï", "a,b"])
async def test_a_data_directory_may_have_an_unusual_name(parent: Path, name: str) -> None:
    server = await EmbeddedPostgres.start(parent / name, settings=FAST)
    folder = folders.socket_folder(parent / name, account.choose_account(parent / name))
    assert await ask(server) == 1
    await server.stop()
    shutil.rmtree(folder)


async def test_a_data_directory_with_a_name_that_a_shell_would_change_is_refused(parent: Path) -> None:
    assert "cannot take" in await refused(parent / "$(data)")
    assert not list(parent.iterdir())


async def test_data_of_another_postgresql_version_is_refused(data_dir: Path) -> None:
    (data_dir / "pg").mkdir(parents=True)
    data_dir.chmod(0o755)
    (data_dir / "pg/PG_VERSION").write_text("12\n")
    if IS_ROOT:
        nobody = account.choose_account(Path("/nowhere"))
        os.chown(data_dir / "pg", nobody.uid, nobody.gid)
    assert "was made by PostgreSQL 12" in await refused(data_dir)


async def test_a_folder_of_other_files_is_not_taken_for_a_cluster(data_dir: Path) -> None:
    (data_dir / "pg").mkdir(parents=True)
    data_dir.chmod(0o755)
    (data_dir / "pg/letter.txt").write_text("Dear reader")
    assert "not a PostgreSQL cluster" in await refused(data_dir)
    assert (data_dir / "pg/letter.txt").read_text() == "Dear reader"


async def test_a_data_directory_that_is_a_file_is_refused(data_dir: Path) -> None:
    data_dir.write_text("")
    assert f"{data_dir} is not a folder" in await refused(data_dir)


async def test_a_user_without_a_passwd_entry_is_told_of_the_database_url(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    assert "CAUSEWAY_DATABASE_URL" in await refused(data_dir)


@as_root
async def test_root_runs_it_as_an_unprivileged_account_in_private_folders(parent: Path, data_dir: Path) -> None:
    before = {folder: folder.stat().st_mode for folder in data_dir.parents}
    old_umask = os.umask(0o077)
    try:
        server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    finally:
        os.umask(old_umask)
    assert await ask(server) == 1
    assert os.stat(f"/proc/{server.pid}").st_uid == (data_dir / "pg").stat().st_uid != 0
    assert (data_dir.stat().st_uid, mode(data_dir)) == (0, 0o711)
    for private in ("pg", "socket"):
        assert (data_dir / private).stat().st_uid != 0 and mode(data_dir / private) == 0o700
    assert {folder: folder.stat().st_mode for folder in data_dir.parents} == before
    await server.stop()


@as_root
async def test_the_account_it_runs_as_may_not_connect(data_dir: Path) -> None:
    server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    nobody = account.choose_account(data_dir)
    programs = binaries.find_binaries(data_dir, nobody)
    asked = account.run_as(nobody, programs.folder / "psql", server.dsn, "-c", "SELECT 1")
    assert asked.code != 0 and "Peer authentication failed" in asked.text
    await server.stop()


@as_root
async def test_a_parent_that_the_account_cannot_enter_is_refused_and_left_as_it_is(parent: Path) -> None:
    home = parent / "home"
    home.mkdir(mode=0o700)
    line = await refused(home / "share/data")
    assert f"cannot enter {home}:" in line and "CAUSEWAY_DATA_DIR" in line
    assert mode(home) == 0o700 and not list(home.iterdir())


@as_root
async def test_programs_in_a_private_home_are_copied_once(
    parent: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = binaries.package_folder()
    home = parent / "home"
    home.mkdir(mode=0o700)
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.exists():
            (home / part.name).symlink_to(part)
    monkeypatch.setattr(binaries, "package_folder", lambda: home / package.name)
    data_dir.mkdir(mode=0o711)
    half_done = data_dir / "postgresql.unfinished/half"
    half_done.mkdir(parents=True)
    old_umask = os.umask(0o077)
    try:
        server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    finally:
        os.umask(old_umask)
    assert await ask(server) == 1
    (copy,) = data_dir.glob("postgresql*")
    assert copy.name == f"postgresql-{str(await ask(server, 'SHOW server_version')).split()[0]}"
    assert os.readlink(f"/proc/{server.pid}/exe").startswith(str(copy))
    assert {path.stat().st_uid for path in copy.rglob("*")} == {0}
    assert mode(home) == 0o700
    made = copy.stat().st_ino
    await server.stop()
    again = await EmbeddedPostgres.start(data_dir, settings=FAST)
    assert copy.stat().st_ino == made
    await again.stop()


@as_user
async def test_a_user_runs_it_as_themselves_in_a_private_folder(data_dir: Path) -> None:
    server = await EmbeddedPostgres.start(data_dir, settings=FAST)
    assert {path.stat().st_uid for path in (data_dir, data_dir / "pg", data_dir / "socket")} == {os.geteuid()}
    assert {mode(path) for path in (data_dir, data_dir / "pg", data_dir / "socket")} == {0o700}
    await server.stop()


@as_user
async def test_a_folder_that_the_user_cannot_write_in_is_refused(parent: Path) -> None:
    parent.chmod(0o500)
    try:
        assert f"cannot write in {parent}" in await refused(parent / "data")
    finally:
        parent.chmod(0o700)
