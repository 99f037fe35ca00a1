"""The database cluster on disk: how it is made, all or nothing, and how it is configured."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from adapters.postgres.embedded.account import Account, run_as, service_user
from adapters.postgres.embedded.binaries import Binaries
from adapters.postgres.embedded.folders import PORT, give_to, make_folder
from adapters.settings import CannotStart

NAME = "causeway"  # of the database and of the one database user
CONFIGURATION = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "cluster_name": NAME,
    "max_connections": "200",
    "timezone": "UTC",
    "lc_messages": "C",
    "jit": "off",
    "shared_buffers": "256MB",
    "random_page_cost": "1.1",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    # Queues and read models turn over quickly: small, frequent clean-ups keep their tables and plans good.
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_vacuum_insert_scale_factor": "0.1",
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_vacuum_cost_limit": "2000",
    # A week of log files, without statements and row values: those may hold customers' data.
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_timezone": "UTC",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


def make_cluster(data_dir: Path, binaries: Binaries, account: Account, *, sync: bool) -> None:
    """Make `pg` with an empty database, unless it exists; a kill in the middle leaves nothing that is taken for it.

    With `sync` off the files may be lost with the machine's power (for tests). Raises CannotStart when it fails.
    """
    cluster = data_dir / "pg"
    if (cluster / "PG_VERSION").exists():
        return
    if cluster.exists() and any(cluster.iterdir()):
        raise CannotStart(f"{cluster} holds files that are not a PostgreSQL cluster: move them away and start again")
    for left in data_dir.glob("pg.unfinished.*"):
        shutil.rmtree(left, ignore_errors=True)  # the initdb of a killed service may still write; it fails now
    unfinished = Path(tempfile.mkdtemp(prefix="pg.unfinished.", dir=data_dir))
    give_to(account, unfinished)
    locale = ["--locale=C"]
    if binaries.major >= 17:
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    made = run_as(
        account,
        binaries.folder / "initdb",
        f"--pgdata={unfinished}",
        f"--username={NAME}",
        "--encoding=UTF8",
        *locale,
        "--data-checksums",
        "--auth-local=peer",
        "--auth-host=reject",
        *([] if sync else ["--no-sync"]),
    )
    if made.code:
        raise CannotStart(f"PostgreSQL could not make its data folder in {data_dir}: {made.reason()}")
    alone: list[str | Path] = [
        "--single",
        "-D",
        unfinished,
        "-c",
        f"fsync={'on' if sync else 'off'}",
        "-c",
        "exit_on_error=on",
        "postgres",
    ]
    made = run_as(account, binaries.folder / "postgres", *alone, stdin=f"CREATE DATABASE {NAME}\n")
    if made.code:
        raise CannotStart(f"PostgreSQL could not make its database in {data_dir}: {made.reason()}")
    unfinished.rename(cluster)
    _sync_folder(data_dir)


def write_configuration(data_dir: Path, socket: Path, settings: Mapping[str, str]) -> Path:
    """Write the server's configuration and who may connect: this service's user alone; the folder it is in.

    It is kept outside `pg`, so that the account PostgreSQL runs as cannot change who may connect.
    """
    folder = data_dir / "conf"
    if not folder.exists():
        make_folder(folder, 0o755)
    places = {
        "data_directory": str(data_dir / "pg"),
        "hba_file": str(folder / "pg_hba.conf"),
        "ident_file": str(folder / "pg_ident.conf"),
        "unix_socket_directories": '"' + str(socket).replace('"', '""') + '"',
    }
    lines = [f"{name} = {_quoted(value)}" for name, value in {**CONFIGURATION, **settings, **places}.items()]
    _replace(folder / "postgresql.conf", lines)
    _replace(folder / "pg_hba.conf", [f"local all {NAME} peer map=service"])
    _replace(folder / "pg_ident.conf", [f'service "{service_user()}" {NAME}'])
    return folder


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _replace(path: Path, lines: list[str]) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text("# Written at every start of the service.\n" + "\n".join(lines) + "\n")
    unfinished.chmod(0o644)
    unfinished.rename(path)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
