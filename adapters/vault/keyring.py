"""The master keys: a list of id:key, the first is current; read from the environment or a 0600 file, and again on demand."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from adapters.settings import CannotStart

FILE_NAME = "master.key"
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_HOW = "CAUSEWAY_MASTER_KEY is id:key[,id:key...] with keys of 32 bytes in URL-safe base64, or file:<path> of a file that holds such a list"


class Keyring:
    """Master keys by id. ``key(id)`` reads the source again before it gives up on an unknown id, so that a running
    service learns of a key that rotation added.
    """

    def __init__(self, source: str | Path) -> None:
        self._source = source
        self._keys: dict[str, bytes] = {}
        self.reload()

    @classmethod
    def open(cls, setting: str | None, data_dir: Path) -> Keyring:
        """From the setting, or else from the data directory, where a key is made once."""
        if setting and setting.startswith("file:"):
            return cls(Path(setting.removeprefix("file:")))
        if setting:
            return cls(setting)
        path = data_dir / FILE_NAME
        if not path.exists():
            write_key_file(path, f"k1:{new_master_key()}\n", exclusive=True)
        return cls(path)

    @property
    def current(self) -> str:
        """The id of the key that wraps new data keys."""
        return next(iter(self._keys))

    @property
    def path(self) -> Path | None:
        """The file that the keys come from, if they come from one."""
        return self._source if isinstance(self._source, Path) else None

    def ids(self) -> list[str]:
        return list(self._keys)

    def key(self, key_id: str) -> bytes:
        """The key of that id; LookupError when the list does not have it."""
        if key_id not in self._keys:
            self.reload()
        try:
            return self._keys[key_id]
        except KeyError:
            raise LookupError(f"the master key {key_id!r} is not in CAUSEWAY_MASTER_KEY") from None

    def reload(self) -> None:
        """Reads the source again; a source that has become unreadable or wrong changes nothing."""
        if isinstance(self._source, Path):
            try:
                mode = self._source.stat().st_mode
                text = self._source.read_text()
            except OSError as error:
                raise CannotStart(f"the master key file {self._source} cannot be read: {error.strerror}") from None
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise CannotStart(
                    f"the master key file {self._source} is open to others; run: chmod 600 {self._source}"
                )
        else:
            text = self._source
        self._keys = _parse(text)

    def fingerprints(self) -> Mapping[str, bytes]:
        """What the database keeps of each key to notice a wrong one: an HMAC, never the key."""
        return {key_id: hmac.digest(key, b"causeway master key", hashlib.sha256) for key_id, key in self._keys.items()}


def new_master_key() -> str:
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


def write_key_file(path: Path, text: str, *, exclusive: bool = False) -> None:
    """Writes a 0600 file in one step: a reader sees the old list or the new one."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if exclusive:
        try:
            os.link(draft, path)
        except FileExistsError:
            return  # another process was first: its key is the one
        finally:
            draft.unlink()
    else:
        draft.replace(path)


def _parse(text: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for entry in re.split(r"[,\s]+", text.strip()):
        key_id, _, encoded = entry.partition(":")
        try:
            key = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        except ValueError:
            key = b""
        if not _ID.fullmatch(key_id) or len(key) != 32 or key_id in keys:
            raise CannotStart(_HOW)
        keys[key_id] = key
    return keys
