"""The data directory, the socket folder and the locks that several services share."""

import contextlib
import fcntl
import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from adapters.postgres.embedded.account import Account, run_as
from adapters.settings import CannotStart

PORT = 5432  # part of the socket's name only: nothing listens on TCP
LONGEST_SOCKET_PATH = 107 if sys.platform == "linux" else 103
FIRST_CLOSED = 'for folder; do [ -x "$folder" ] || { printf %s "$folder"; exit 1; }; done'


def make_data_directory(data_dir: Path, account: Account) -> None:
    """Make the data directory and what is missing above it; what existed keeps its mode.

    Raises CannotStart when the path is not usable, the account cannot reach it or the service cannot write in it.
    """
    if not str(data_dir).isprintable() or set(str(data_dir)) & set('"$`\\'):
        raise CannotStart(  # pg_ctl hands the path to a shell
            f"the path {str(data_dir)!r} holds a character that PostgreSQL's programs cannot take: "
            "name another folder in CAUSEWAY_DATA_DIR"
        )
    missing = [folder for folder in (data_dir, *data_dir.parents) if not folder.exists()]
    existing = missing[-1].parent if missing else data_dir
    if not existing.is_dir():
        raise CannotStart(f"{existing} is not a folder: name another one in CAUSEWAY_DATA_DIR")
    closed = first_closed_folder(account, existing)
    if closed:
        raise CannotStart(
            f"{account.name}, which PostgreSQL runs as, cannot enter {closed}: allow it (chmod o+x), "
            "or name another folder in CAUSEWAY_DATA_DIR"
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise CannotStart(f"cannot write in {existing}: change its owner, or name another folder in CAUSEWAY_DATA_DIR")
    for folder in reversed(missing):
        try:
            make_folder(folder, 0o711 if account.switch else 0o700)
        except FileExistsError:
            time.sleep(0.1)  # another service makes it: let it set the mode


def make_folder(path: Path, mode: int) -> None:
    """Make a folder with exactly this mode, whatever the umask is."""
    path.mkdir(mode=mode)
    path.chmod(mode)


def give_to(account: Account, path: Path) -> None:
    """Make the account the owner of a folder that was just made."""
    if account.switch:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def first_closed_folder(account: Account, folder: Path) -> str:
    """The topmost folder on the way to (and with) `folder` that the account cannot traverse, or an empty string."""
    checked = run_as(account, "/bin/sh", "-c", FIRST_CLOSED, "sh", *reversed(folder.parents), folder)
    return checked.text if checked.code else ""


def socket_folder(data_dir: Path, account: Account) -> Path:
    """The private folder of the server's socket, made if missing: in the data directory, or where its path is short.

    Raises CannotStart when a folder of that name is not the account's own private one.
    """
    folder = data_dir / "socket"
    if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) > LONGEST_SOCKET_PATH or "," in str(folder):
        name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:20]
        folder = _short_parent() / f"causeway-{name}"
    with contextlib.suppress(FileExistsError):  # checked below, whoever made it
        make_folder(folder, 0o700)
        give_to(account, folder)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or stat.S_IMODE(found.st_mode) != 0o700:
        raise CannotStart(f"{folder} is not a private folder (mode 0700) of {account.name}: remove it and start again")
    return folder


def _short_parent() -> Path:
    """Where other users cannot remove our folder; the same in every service's environment."""
    return Path("/run") if os.geteuid() == 0 and Path("/run").is_dir() else Path("/tmp")  # noqa: S108 (name checked)


class FileLock:
    """A lock on a file between processes, and between owners in one process; freed when its process dies."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def take(self, *, shared: bool) -> bool:
        """Take the lock, or change how it is held, if that is possible at once. A failed change gives the lock up."""
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Give the lock up; it cannot be taken again."""
        os.close(self._descriptor)


def hold_services(data_dir: Path) -> FileLock:
    """The lock that every service on this data directory shares; call it under the start lock.

    Who can take it alone is the last.
    """
    lock = FileLock(data_dir / "services.lock")
    if not lock.take(shared=True):
        lock.close()
        raise TimeoutError(f"another program keeps {data_dir / 'services.lock'} locked")
    return lock


@contextlib.contextmanager
def start_lock(data_dir: Path, seconds: float) -> Iterator[None]:
    """One at a time: to look for, start or stop the server. Raises TimeoutError when others keep it so long."""
    lock = FileLock(data_dir / "start.lock")
    try:
        deadline = time.monotonic() + seconds
        while not lock.take(shared=False):
            if time.monotonic() > deadline:
                raise TimeoutError(f"another service is busy with the database in {data_dir}")
            time.sleep(0.05)
        yield
    finally:
        lock.close()
