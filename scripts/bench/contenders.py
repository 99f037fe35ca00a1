"""What a store must offer to be measured, and the list of all stores that are measured."""

import importlib
import importlib.util
import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import msgspec

SCRIPTS = Path(__file__).resolve().parent.parent
PEERS = Path(__file__).resolve().parent / "peers"
NODE_MODULES = PEERS / "node_modules"
OURS = "causeway"

READ_TABLES = """
CREATE TABLE IF NOT EXISTS public.read_model (
    stream uuid PRIMARY KEY, events bigint NOT NULL, last_value bigint NOT NULL, updated_at_ms bigint NOT NULL);
CREATE TABLE IF NOT EXISTS public.checkpoint (name text PRIMARY KEY, position bigint NOT NULL);
TRUNCATE public.read_model, public.checkpoint;
"""

UPSERT = """
INSERT INTO public.read_model AS r (stream, events, last_value, updated_at_ms)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[])
ON CONFLICT (stream) DO UPDATE SET
    events = r.events + excluded.events, last_value = excluded.last_value, updated_at_ms = excluded.updated_at_ms
"""


class Payload(msgspec.Struct):
    """The one event of all measurements; about 200 bytes as JSON."""

    value: int
    at_ms: int
    text: str


_TEXT = "An end user has connected an account; this sentence stands for what such an event says. " * 2
_decode = msgspec.json.Decoder(Payload).decode


def payload(value: int) -> bytes:
    """One event as JSON, 200 bytes give or take the digits of `value`."""
    return msgspec.json.encode(Payload(value=value, at_ms=1_700_000_000_000 + value, text=_TEXT[:154]))


class Fold:
    """The projection of the catch-up: for each stream its count of events, last value and last change."""

    def __init__(self) -> None:
        self.rows: dict[UUID, tuple[int, int, int]] = {}

    def add(self, stream: UUID, data: bytes | str) -> None:
        event = _decode(data)
        known = self.rows.get(stream)
        self.rows[stream] = ((known[0] if known else 0) + 1, event.value, event.at_ms)

    def columns(self) -> tuple[list[UUID], list[int], list[int], list[int]]:
        """The four arrays that UPSERT takes."""
        rows = self.rows.values()
        return list(self.rows), [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


class Contender(ABC):
    """A store under measurement. `install` is called once per database, everything else in each driving process."""

    @abstractmethod
    async def install(self, dsn: str) -> None:
        """Make the schema in an empty database."""

    @abstractmethod
    async def open(self, dsn: str, connections: int) -> None:
        """Connect with at most `connections` connections."""

    @abstractmethod
    async def append(self, stream: UUID, tenant: int, expected_version: int, payload: bytes) -> None:
        """Store one event durably, or raise when the stream has not exactly `expected_version` events."""

    @abstractmethod
    async def close(self) -> None:
        """Close all connections."""

    async def seed(self, tenant: int, streams: Mapping[UUID, Sequence[bytes]]) -> None:
        """Store whole new streams; not measured."""
        raise TypeError(f"{type(self).__name__} takes part in the append cells only")

    async def load(self, stream: UUID, tenant: int) -> int:
        """Read and decode all events of a stream; returns how many there are."""
        raise TypeError(f"{type(self).__name__} takes part in the append cells only")

    async def project(self, tenant: int, seconds: float) -> tuple[int, float]:
        """Fill public.read_model and a checkpoint from the first event on, for at most `seconds`.

        Returns how many events are in the committed read model, and the seconds it took.
        """
        raise TypeError(f"{type(self).__name__} takes part in the append cells only")


class ThreadedContender(Contender):
    """A store with a synchronous API: its callers are threads that call `append_now`, with no event loop between."""

    @abstractmethod
    def append_now(self, stream: UUID, tenant: int, expected_version: int, payload: bytes) -> None:
        """The synchronous twin of `append`."""

    async def append(self, stream: UUID, tenant: int, expected_version: int, payload: bytes) -> None:
        self.append_now(stream, tenant, expected_version, payload)


@dataclass(frozen=True)
class Entry:
    """A contender in the list: how its driving process is started and how its stored events are counted."""

    name: str
    implementation: str  # "module:Class" of a Python contender, or a program for node
    count_events: str  # SQL that counts all stored events
    kinds: frozenset[str] = frozenset({"append", "lonely", "catch_up", "load"})

    @property
    def command(self) -> list[str]:
        """The program that is driven over standard input and output."""
        if self.implementation.endswith(".mjs"):
            return [shutil.which("node") or "node", str(PEERS / self.implementation)]
        return [sys.executable, "-m", "bench.worker", self.implementation]

    def missing(self) -> str | None:
        """Why this contender cannot run here, in one line; None when it can."""
        if self.implementation.endswith(".mjs"):
            if shutil.which("node") is None:
                return "not available: needs Node.js"
            return (
                None if (NODE_MODULES / "@event-driven-io").is_dir() else "not available: needs npm ci in bench/peers"
            )
        module = self.implementation.partition(":")[0]
        if importlib.util.find_spec(module) is None:
            return "not found"
        if module == "bench.message_db" and not (NODE_MODULES / "@eventide").is_dir():
            return "not available: needs npm ci in bench/peers"
        try:
            importlib.import_module(module)
        except ImportError as error:
            return f"not available: {error}"
        return None


ALL = [
    Entry(OURS, "bench.causeway:Causeway", "SELECT count(*) FROM events"),
    Entry("eventsourcing", "bench.eventsourcing_peer:EventSourcing", "SELECT count(*) FROM measurements_events"),
    Entry("message-db", "bench.message_db:MessageDb", "SELECT count(*) FROM message_store.messages"),
    Entry("emmett", "emmett.mjs", "SELECT count(*) FROM emt_messages"),
    Entry("bare-insert", "bench.bare_insert:BareInsert", "SELECT count(*) FROM bare_events", frozenset({"lonely"})),
]


def environment() -> dict[str, str]:
    """The environment of a driving process: it finds this package, wherever it is started."""
    paths = [str(SCRIPTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
