"""The file of master keys: 0600, written in one step, by one program at a time."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.settings import CannotStart

Stamp = tuple[int, int, int, int]
"""Tells one content of the file from the next: device, inode, size and time of change."""


def new_master_key() -> str:
    """32 random bytes in URL-safe base64."""
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


def read_key_file(path: Path) -> str:
    """The file's text; CannotStart when it cannot be read or is open to others."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii")
    except OSError as error:
        raise CannotStart(f"the master key file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CannotStart(f"the master key file {path} holds something else than keys") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CannotStart(f"the master key file {path} is open to others; run: chmod 600 {path}")
    return text


def stamp_of(path: Path) -> Stamp | None:
    """None while the file cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def make_key_file(path: Path, text: Callable[[], str]) -> None:
    """Makes the file, and its folder, unless it is there: of several programs at once, one makes it."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(path):
            if not path.exists():
                _write(path, text())
    except OSError as error:
        raise CannotStart(f"the master key file {path} cannot be made: {error.strerror}") from None


def change_key_file(path: Path, change: Callable[[str], str]) -> None:
    """Replaces the file's text by what ``change`` makes of it; no key that another program adds meanwhile is lost."""
    try:
        with _alone(path):
            _write(path, change(read_key_file(path)))
    except OSError as error:
        raise CannotStart(f"the master key file {path} cannot be changed: {error.strerror}") from None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Freed when its holder dies."""
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _write(path: Path, text: str) -> None:
    """A reader sees the old text or the new one, and so does who comes after a power failure."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)  # left by a killed program, perhaps
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
