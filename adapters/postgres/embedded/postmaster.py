"""The server process: found by what it left on disk, started, and stopped."""

import contextlib
import errno
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import structlog

from adapters.postgres.embedded.account import Account, run_as
from adapters.postgres.embedded.binaries import Binaries
from adapters.postgres.embedded.folders import PORT
from adapters.settings import CannotStart

RECOVERY_SECONDS = 300
LINGERING_SECONDS = 30
LINGERING = re.compile(r"pre-existing shared memory block|lock file .* already exists")  # left of a killed server
NEWEST_LOG = 'cd "$1" && tail -n 20 "$(ls -t | head -n 1)"'
STOP_SECONDS = 60
UNSEEN_SECONDS = 2  # a child of a killed server may hold the socket for a moment

log = structlog.get_logger(__name__)


def find_postmaster(data_dir: Path) -> int | None:
    """The process id of the server that runs on this data directory, or None."""
    pid = _pid_in(data_dir / "pg/postmaster.pid")
    return pid if pid and _is_server(pid, data_dir) else None


def start_postmaster(data_dir: Path, conf: Path, socket_folder: Path, binaries: Binaries, account: Account) -> int:
    """Start the server and wait for it (its crash recovery for five minutes at most); its process id.

    Call it under the start lock and when `find_postmaster` found none. Raises CannotStart when it does not start.
    """
    deadline = time.monotonic() + LINGERING_SECONDS
    told = False
    while True:
        _remove_stale_lock(data_dir / "pg/postmaster.pid", data_dir)
        _remove_stale_lock(socket_folder / f".s.PGSQL.{PORT}.lock", data_dir)
        begun = run_as(account, binaries.folder / "pg_ctl", "start", "-w", "-t", str(RECOVERY_SECONDS), "-D", conf)
        pid = find_postmaster(data_dir)
        if pid:  # even if it is not ready: it may still recover, or be the late child of a service killed in its start
            return pid
        log_folder = data_dir / "pg/log"
        if "redirecting log output" in begun.text:
            begun = run_as(account, "/bin/sh", "-c", NEWEST_LOG, "sh", log_folder)
        if time.monotonic() > deadline or not LINGERING.search(begun.text):
            raise CannotStart(f"PostgreSQL does not start in {data_dir} ({begun.reason()}): see {log_folder}")
        if not told:
            log.info("waiting for the processes of the killed PostgreSQL to end", data_dir=str(data_dir))
            told = True
        time.sleep(0.2)


def refuse_unseen_server(data_dir: Path, socket_folder: Path) -> None:
    """Raise CannotStart when a server answers at the socket although no process of it can be seen from here."""
    deadline = time.monotonic() + UNSEEN_SECONDS
    while _somebody_listens(socket_folder):
        if time.monotonic() > deadline:
            raise CannotStart(
                f"{data_dir} is in use by a PostgreSQL that cannot be seen from here, perhaps in another container: "
                "stop it, or name another folder in CAUSEWAY_DATA_DIR"
            )
        time.sleep(0.1)


def stop_postmaster(data_dir: Path) -> bool:
    """Stop the server: open transactions are rolled back, everything is written to disk. False if it still runs."""
    pid = find_postmaster(data_dir)
    return pid is None or _ends(pid, data_dir, signal.SIGINT, STOP_SECONDS)  # PostgreSQL's "fast shutdown"


def give_up_postmaster(data_dir: Path) -> bool:
    """End a server that does nothing any more; what was committed is recovered at the next start."""
    pid = find_postmaster(data_dir)
    return pid is None or _ends(pid, data_dir, signal.SIGQUIT, LINGERING_SECONDS)  # PostgreSQL's "immediate shutdown"


def recovers(pid: int) -> bool:
    """Whether a server that accepts nobody is at work on that: it has a child for it. Where /proc is missing: yes."""
    if sys.platform != "linux":
        return True
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return any("startup" in _process_on_linux(int(child))[1] for child in children.read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return True


def _ends(pid: int, data_dir: Path, word: signal.Signals, seconds: float) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, word)
    deadline = time.monotonic() + seconds
    while _is_server(pid, data_dir):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _somebody_listens(folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)  # a server with a full queue does not answer at once
        return probe.connect_ex(str(folder / f".s.PGSQL.{PORT}")) not in (errno.ENOENT, errno.ECONNREFUSED)


def _pid_in(lock: Path) -> int | None:
    """The process id that PostgreSQL wrote in its lock file: None without a file, 0 when it is empty."""
    try:
        first = lock.read_text().partition("\n")[0]
    except FileNotFoundError:
        return None
    return abs(int(first)) if first.strip().lstrip("-").isdecimal() else 0


def _remove_stale_lock(lock: Path, data_dir: Path) -> None:
    """PostgreSQL does not start while its lock file is empty or names a process, be it a dead one or another program's.

    Children of a killed server are not forgotten by this: PostgreSQL looks for their shared memory too.
    """
    pid = _pid_in(lock)
    if pid is not None and (pid == 0 or (_exists(pid) and not _is_server(pid, data_dir))):
        lock.unlink()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_server(pid: int, data_dir: Path) -> bool:
    """Whether the process lives and is the PostgreSQL of this data directory."""
    with contextlib.suppress(ChildProcessError):  # not our child, unless we are the first process of a container
        os.waitpid(pid, os.WNOHANG)
    state, command = _process_on_linux(pid) if sys.platform == "linux" else _process_by_ps(pid)
    folders = (data_dir / "conf", data_dir / "pg")
    return state not in ("", "Z", "X") and any(f"postgres -D {folder} " in f"{command} " for folder in folders)


def _process_on_linux(pid: int) -> tuple[str, str]:
    """The state letter (Z: dead, waiting to be collected) and the command line; empty when there is no such process."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return "", ""
    return state, os.fsdecode(command.replace(b"\0", b" "))


def _process_by_ps(pid: int) -> tuple[str, str]:
    """The same where there is no /proc, such as on macOS."""
    printed = run_as(None, "/bin/ps", "-ww", "-o", "stat=", "-o", "command=", "-p", str(pid))
    state, _, command = printed.text.strip().partition(" ")
    return state[:1], command.strip()
