"""The master keys: a list of id:key, the first is current; read from the environment or a 0600 file, and again on demand."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from pathlib import Path

import structlog

from adapters.settings import CannotStart
from adapters.vault.key_file import change_key_file, make_key_file, new_master_key, read_key_file, stamp_of

FILE_NAME = "master.key"
_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_KEY = re.compile(r"[A-Za-z0-9_-]{43}=?")
_NAME = "CAUSEWAY_MASTER_KEY"
_LIST = "id:key[,id:key...] with ids of 1 to 32 letters, digits, - or _ and keys of 32 bytes in base64"
_HOW = f"write {_LIST}, or file:<path> of a file that holds such a list"


class Keyring:
    """Master keys by id, from a text or a file. A file is read again when it has changed by the time a new key is
    wrapped, when an unknown id is asked for, and by ``refresh``: so a running service learns of what rotation added.
    """

    def __init__(self, source: str | Path) -> None:
        self._source = source
        self._keys: dict[str, bytes] = {}
        self._stamp = self._current_stamp()
        self._log = structlog.get_logger("keyring")
        self.reload()

    @classmethod
    def open(cls, setting: str | None, data_dir: Path) -> Keyring:
        """From the setting, or else from the data directory, where a key is made once. CannotStart in one line."""
        if setting and setting.startswith("file:"):
            return cls(Path(setting.removeprefix("file:")))
        if setting:
            return cls(setting)
        path = data_dir / FILE_NAME
        if not path.exists():
            make_key_file(path, lambda: f"k1:{new_master_key()}\n")
        return cls(path)

    @property
    def current(self) -> str:
        """The id of the key that wraps new data keys."""
        stamp = self._current_stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self.refresh()
        return next(iter(self._keys))

    @property
    def path(self) -> Path | None:
        """The file that the keys come from, if they come from one."""
        return self._source if isinstance(self._source, Path) else None

    def ids(self) -> list[str]:
        """The current one first."""
        return list(self._keys)

    def key(self, key_id: str) -> bytes:
        """The key of that id; LookupError when the list does not have it."""
        if key_id not in self._keys and self.path:
            self.refresh()
        try:
            return self._keys[key_id]
        except KeyError:
            raise LookupError(f"the master key {key_id!r} is not in {_NAME}") from None

    def refresh(self) -> None:
        """Reads the source again; one that has become unreadable or wrong is told in the log and changes nothing."""
        before = self.ids()
        try:
            self.reload()
        except CannotStart as reason:
            self._log.error("master_keys_kept", reason=str(reason))
            return
        if self.ids() != before:
            self._log.info("master_keys_changed", current=self.ids()[0], ids=self.ids())

    def reload(self) -> None:
        """As ``refresh``, but raises CannotStart. A known id must not come back with another key: what either wrapped
        would be lost with the next change.
        """
        path = self.path
        where = f"the master key file {path}" if path else _NAME
        keys = _parse(read_key_file(path) if path else str(self._source), where)
        for key_id, key in keys.items():
            if self._keys.get(key_id, key) != key:
                raise CannotStart(f"{where} now has another key under the id {key_id!r}; give the new key a new id")
        self._keys = keys

    def add_key(self, taken: Iterable[str]) -> str:
        """Puts a new key in front of the file's list, under an id that is neither there nor in ``taken``; answers
        the id. LookupError when the keys do not come from a file.
        """
        path = self.path
        if path is None:
            raise LookupError(f"the keys are in {_NAME} itself")
        used = {*taken}

        def add(text: str) -> str:
            there = _parse(text, f"the master key file {path}")
            key_id = next(name for n in range(1, 1_000_000) if (name := f"k{n}") not in used | there.keys())
            return f"{key_id}:{new_master_key()}\n{text.lstrip()}"

        change_key_file(path, add)
        self.reload()
        return self.ids()[0]

    def fingerprints(self) -> Mapping[str, bytes]:
        """What the database keeps of each key to notice a wrong one: an HMAC, never the key."""
        return {key_id: hmac.digest(key, b"causeway master key", hashlib.sha256) for key_id, key in self._keys.items()}

    def _current_stamp(self) -> object:
        return stamp_of(self._source) if isinstance(self._source, Path) else None


def _parse(text: str, where: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    entries = re.split(r"[,\s]+", text.strip(", \t\r\n"))
    for number, entry in enumerate(entries, start=1):
        key_id, _, encoded = entry.partition(":")
        encoded = encoded.replace("+", "-").replace("/", "_")  # base64 as most tools write it
        if not _ID.fullmatch(key_id) or not _KEY.fullmatch(encoded):
            raise CannotStart(f"{where} is wrong at entry {number} of {len(entries)}; {_HOW}")
        if key_id in keys:
            raise CannotStart(f"{where} has the id {key_id!r} twice; {_HOW}")
        keys[key_id] = urlsafe_b64decode(encoded[:43] + "=")
    return keys
