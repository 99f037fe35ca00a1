"""What the domain asks of the outside: the event store, the vault, the clock, the password hasher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from domain.events import Event, Metadata, Recorded, Reveal
from domain.facts import Fact


class TenantKind(StrEnum):
    """What a tenant is; projections choose the kinds whose events they read."""

    INSTALLATION = "installation"
    COMPANY = "company"
    PROJECT = "project"


class StreamEvents(msgspec.Struct, frozen=True):
    """New events for one stream, which must be at ``expected_version`` (0: it must not exist)."""

    stream_id: UUID
    stream_type: str
    expected_version: int
    events: tuple[Event, ...]


class FactUse(IntEnum):
    """What an append does with a fact: take a free one, let go of a taken one, or insist that it is taken."""

    CLAIM = 1
    RELEASE = 2
    REQUIRE = 3


class FactChange(msgspec.Struct, frozen=True):
    """``stream_id`` is who holds it (for REQUIRE: None is anybody); ``subject_id`` whose erasure lets go of it."""

    use: FactUse
    fact: Fact
    stream_id: UUID | None = None
    subject_id: UUID | None = None


class WrappedKey(msgspec.Struct, frozen=True):
    """A subject's data key, wrapped by the master key of that id."""

    subject_id: UUID
    wrapped: bytes
    master_key_id: str


class SealedCredential(msgspec.Struct, frozen=True):
    """One immutable version of a connection's secret. Versions start at 1; the newest eight are kept."""

    connection_id: UUID
    version: int
    subject_id: UUID
    sealed: bytes


class CommandAnswer(msgspec.Struct, frozen=True):
    """An idempotent command: its key, a keyed hash of the request, and the sealed answer to repeat for 24 hours.

    ``subject_id`` is whose erasure takes the answer along.
    """

    command_key: bytes
    request_hash: bytes
    sealed_answer: bytes
    subject_id: UUID | None = None


class Announcement(msgspec.Struct, frozen=True):
    """A message to the project's webhook about an event, which is all that waits of it. ``kind`` is its type, for example
    ``connection.created``; ``subject_id`` whose erasure takes it along.
    """

    message_id: UUID
    stream_id: UUID
    version: int
    kind: str
    subject_id: UUID | None = None


class Append(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one command writes in one tenant: stored whole or not at all.

    ``opens`` makes the tenant, as this kind. ``closes`` ends it: its head refuses from then on, its own key is destroyed,
    and no secret, fact or stored answer of it is found any more; EventStore.empty destroys them. ``forgets`` destroys the
    data keys, credentials and facts of subjects; ``destroys`` the credentials of connections. ``outbox`` are messages to
    send; one that is known is sent again.
    """

    tenant_id: UUID
    streams: tuple[StreamEvents, ...]
    metadata: Metadata
    opens: TenantKind | None = None
    closes: bool = False
    facts: tuple[FactChange, ...] = ()
    data_keys: tuple[WrappedKey, ...] = ()
    credentials: tuple[SealedCredential, ...] = ()
    forgets: tuple[UUID, ...] = ()
    destroys: tuple[UUID, ...] = ()
    outbox: tuple[Announcement, ...] = ()
    command: CommandAnswer | None = None


class Appended(msgspec.Struct, frozen=True):
    """The position of the append's last event, and when it was recorded."""

    position: int
    recorded_at: datetime


class Lost(Exception):
    """An append that the store did not take: what it lost to. Nothing of it was stored."""


class StaleStream(Lost):
    """A stream is not at the expected version, or a key or credential is there already: read and decide again."""


class FactTaken(Lost):
    """A claimed fact belongs to somebody already."""


class FactMissing(Lost):
    """A required fact is gone."""


class TenantClosed(Lost):
    """The tenant was deleted, or never opened."""


class SubjectForgotten(Lost):
    """Something was sealed for a subject that has been erased."""


class CommandKnown(Lost):
    """The command key was used before: by the same request (its sealed answer is here), or by another (None)."""

    def __init__(self, sealed_answer: bytes | None) -> None:
        super().__init__("the command is known")
        self.sealed_answer = sealed_answer


class StorageAway(Exception):
    """The storage was lost, refused or is just restarting, and did not come back in time. Whether a write arrived is
    unknown; reads were repeated for a while.
    """


class StoredSnapshot(msgspec.Struct, frozen=True):
    """A stream's state at a version, as its decider encoded it, and the hash of the code that made it."""

    version: int
    topic: str
    state: bytes
    code_hash: bytes


class EventStore(Protocol):
    """Streams of events in tenants. Positions are gapless, in commit order, per tenant."""

    async def append(self, append: Append) -> Appended:
        """Stores the append, or raises what it Lost to, or StorageAway. Returns only after commit."""

    async def events_of(self, tenant_id: UUID, stream_id: UUID, after: int = 0) -> list[Event]:
        """The stream's events without their envelopes, from version ``after`` + 1 on: what folds need."""

    async def read_stream(self, tenant_id: UUID, stream_id: UUID, after: int = 0) -> list[Recorded]:
        """The stream's events with a version over ``after``, in order; archived ones too."""

    async def read_tenant(self, tenant_id: UUID, after: int = 0, limit: int = 1000) -> list[Recorded]:
        """The tenant's events with a position over ``after``, in order."""

    async def holders(self, tenant_id: UUID, facts: Sequence[Fact]) -> Mapping[Fact, UUID]:
        """Which of these facts are taken, and by which stream."""

    async def command_answer(self, tenant_id: UUID, command_key: bytes, request_hash: bytes) -> bytes | None:
        """The sealed answer of a known command, or None; CommandKnown(None) when the key had another request."""

    async def read_snapshot(self, tenant_id: UUID, stream_id: UUID) -> StoredSnapshot | None: ...

    async def save_snapshot(self, tenant_id: UUID, stream_id: UUID, snapshot: StoredSnapshot) -> None: ...

    async def empty(self, tenant_id: UUID) -> None:
        """Returns when a closed tenant's keys, credentials, facts, answers, snapshots, messages and marks are destroyed, in steps
        while others write on: its history is left. Nothing happens to a tenant that is open.
        """


class DataKey(Protocol):
    """A subject's opened data key. Everything sealed is bound to its tenant, its subject and a context."""

    def seal(self, context: str, plaintext: bytes) -> bytes: ...

    def open(self, context: str, box: bytes) -> bytes: ...

    def digest(self, context: str, value: bytes) -> bytes:
        """A keyed hash of 16 bytes: finds a value again without telling it."""


PERSONAL = "personal"
"""The context in which personal texts of events are sealed."""


def credential_context(connection_id: UUID, version: int) -> str:
    """The context in which a version of a connection's secret is sealed."""
    return f"credential:{connection_id}:{version}"


class Vault(Protocol):
    """Data keys per subject, wrapped by the master key; credentials sealed with them."""

    def new_key(self, tenant_id: UUID, subject_id: UUID) -> tuple[WrappedKey, DataKey]:
        """A fresh key, to be stored by the append that first seals with it."""

    async def key(self, tenant_id: UUID, subject_id: UUID) -> DataKey:
        """The subject's key; SubjectForgotten when it was erased or never was."""

    async def tenant_key(self, tenant_id: UUID) -> DataKey:
        """The key of a project, company or the installation itself; TenantClosed when it is gone."""

    async def revealer(self, recorded: Sequence[Recorded]) -> Reveal:
        """What opens the personal texts of these events."""

    async def credential(self, tenant_id: UUID, connection_id: UUID) -> tuple[int, bytes] | None:
        """The newest version of a connection's secret, opened."""

    async def newest_version(self, tenant_id: UUID, connection_id: UUID) -> int:
        """The newest stored version, 0 when there is none."""


class Clock(Protocol):
    def __call__(self) -> datetime:
        """Now, in UTC."""


class PasswordHasher(Protocol):
    """Slow on purpose, off the event loop."""

    async def hash(self, password: str) -> str: ...

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """False for a wrong password; takes as long when there is no hash, so that accounts cannot be probed."""


class ReadModels(Protocol):
    """Read-your-writes: the read models of a tenant, as far as the caller's own write."""

    async def follow(self, tenant_id: UUID, position: int) -> None:
        """Returns when the tenant's read models have passed the position, and all that was stored before the call."""
