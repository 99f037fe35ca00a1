"""Read, fold, decide, append; decide again when another writer was first; answer a repeated command as before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, TypeVar, cast
from uuid import UUID
from weakref import WeakValueDictionary

import msgspec

from domain.code_hash import code_hash
from domain.deliveries.announcements import announcements
from domain.errors import Conflict, IdempotencyKeyReused, NotFound, Refusal, TooContended
from domain.events import Event, Metadata
from domain.ids import new_id
from domain.ports import (
    Announcement,
    Append,
    CommandAnswer,
    CommandKnown,
    EventStore,
    FactChange,
    FactMissing,
    FactTaken,
    ReadModels,
    SealedCredential,
    StaleStream,
    StoredSnapshot,
    StreamEvents,
    SubjectForgotten,
    TenantClosed,
    TenantKind,
    Vault,
    WrappedKey,
)

State = TypeVar("State")
Answer = TypeVar("Answer")

_ATTEMPTS = 50
_ANSWER = "answer"


class Decider(msgspec.Struct, Generic[State], frozen=True, dict=True):
    """How a stream of one type becomes a state. ``snapshot_every`` events the state is kept, for streams that can be
    long; the state is then a msgspec Struct. A snapshot made by other code is ignored.
    """

    stream_type: str
    initial: State
    evolve: Callable[[State, Event], State]
    snapshot_every: int = 0

    @cached_property
    def code_hash(self) -> bytes:
        return code_hash(self.evolve)


class Idempotency(msgspec.Struct, frozen=True):
    """The caller's Idempotency-Key, and the request as bytes: method, path and body."""

    key: str
    request: bytes


class Caller(msgspec.Struct, frozen=True):
    """Who asks: ``actor`` reads ``<kind>:<id>``."""

    actor: str
    request_id: str = ""
    correlation_id: UUID | None = None
    idempotency: Idempotency | None = None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision writes, as in Append; ``subject_id`` is whose erasure takes the stored answer along. What the events
    announce is added to the ``outbox``.
    """

    streams: tuple[StreamEvents, ...]
    opens: TenantKind | None = None
    closes: bool = False
    facts: tuple[FactChange, ...] = ()
    data_keys: tuple[WrappedKey, ...] = ()
    credentials: tuple[SealedCredential, ...] = ()
    forgets: tuple[UUID, ...] = ()
    destroys: tuple[UUID, ...] = ()
    outbox: tuple[Announcement, ...] = ()
    subject_id: UUID | None = None


class TenantGone(NotFound):
    """What the request belongs to was deleted."""

    code = "tenant_gone"


async def load(store: EventStore, decider: Decider[State], tenant_id: UUID, stream_id: UUID) -> tuple[State, int]:
    """The stream's state and version; the initial state and 0 when there is no such stream."""
    state, version = decider.initial, 0
    if decider.snapshot_every:
        snapshot = await store.read_snapshot(tenant_id, stream_id)
        if snapshot and snapshot.code_hash == decider.code_hash:
            state, version = msgspec.json.decode(snapshot.state, type=type(decider.initial)), snapshot.version
    events = await store.events_of(tenant_id, stream_id, version)
    for event in events:
        state = decider.evolve(state, event)
    version += len(events)
    if decider.snapshot_every and len(events) >= decider.snapshot_every:
        kept = StoredSnapshot(version, decider.stream_type, msgspec.json.encode(state), decider.code_hash)
        await store.save_snapshot(tenant_id, stream_id, kept)
    return state, version


class Desk:
    """Where commands are executed: the one place that knows about trying again, idempotency and read-your-writes."""

    def __init__(self, store: EventStore, vault: Vault, read_models: ReadModels) -> None:
        self.store = store
        self.vault = vault
        self._read_models = read_models
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def execute(
        self,
        tenant_id: UUID,
        caller: Caller,
        decide: Callable[[], Awaitable[tuple[Changes | None, Answer]]],
        answer_type: Any = None,
    ) -> Answer:
        """Runs ``decide``, which gathers facts and answers (what to write, what to say), until its changes are stored.

        Nothing to write is a fine answer. With an Idempotency-Key the first answer is repeated for 24 hours, also when
        nothing was written; ``answer_type`` is what it decodes to.
        """
        keys = await self._idempotency(tenant_id, caller)
        if keys and (known := await self._known(tenant_id, keys, answer_type)):
            return cast(Answer, known[0])
        if done := await self._attempt(tenant_id, caller, decide, keys, answer_type):
            return done[0]
        # Whoever lost once waits for its turn: many that decide again at the same moment only make each other lose.
        async with self._turns.setdefault(tenant_id, asyncio.Lock()):
            for _ in range(_ATTEMPTS):
                if done := await self._attempt(tenant_id, caller, decide, keys, answer_type):
                    return done[0]
        raise TooContended

    async def recorded_at(self, tenant_id: UUID, stream_id: UUID, version: int = 1) -> datetime:
        """When that event was recorded: what an answer tells of it is the same whenever it is given."""
        return (await self.store.read_stream(tenant_id, stream_id, version - 1))[0].recorded_at

    async def _attempt(
        self,
        tenant_id: UUID,
        caller: Caller,
        decide: Callable[[], Awaitable[tuple[Changes | None, Answer]]],
        keys: tuple[bytes, bytes] | None,
        answer_type: Any,
    ) -> tuple[Answer] | None:
        """The answer, or None when another writer was first."""
        try:
            changes, answer = await decide()
        except Refusal as refusal:
            if keys and (known := await self._known(tenant_id, keys, answer_type)):
                return known  # the same command was stored while this one was deciding
            if isinstance(refusal, NotFound) and await self._is_gone(tenant_id):
                raise TenantGone from None  # it was deleted meanwhile, and what was looked for with it
            if isinstance(refusal, Conflict):
                await self._read_models.follow(tenant_id, 0)  # what it conflicts with shall be seen by the next read
            raise
        except SubjectForgotten:
            return None
        except TenantClosed:
            raise TenantGone from None
        if changes is None and keys is None:
            await self._read_models.follow(tenant_id, 0)  # another caller's event may have made this needless just now
            return (answer,)
        try:
            append = await self._append(tenant_id, caller, changes or Changes(streams=()), keys, answer)
            appended = await self.store.append(append)
        except (StaleStream, FactTaken, FactMissing, SubjectForgotten):
            return None
        except CommandKnown as known_command:
            return (cast(Answer, await self._opened(tenant_id, known_command.sealed_answer, answer_type)),)
        except TenantClosed:
            raise TenantGone from None
        await self._read_models.follow(tenant_id, appended.position)
        return (answer,)

    async def _is_gone(self, tenant_id: UUID) -> bool:
        try:
            await self.vault.key(tenant_id, tenant_id)
        except SubjectForgotten:
            return True
        return False

    async def _append(
        self, tenant_id: UUID, caller: Caller, changes: Changes, keys: tuple[bytes, bytes] | None, answer: object
    ) -> Append:
        command = None
        if keys:
            sealed = (await self.vault.tenant_key(tenant_id)).seal(_ANSWER, msgspec.json.encode(answer))
            command = CommandAnswer(*keys, sealed, changes.subject_id)
        return Append(
            tenant_id=tenant_id,
            streams=changes.streams,
            metadata=Metadata(caller.actor, new_id(), caller.correlation_id, request_id=caller.request_id),
            opens=changes.opens,
            closes=changes.closes,
            facts=changes.facts,
            data_keys=changes.data_keys,
            credentials=changes.credentials,
            forgets=changes.forgets,
            destroys=changes.destroys,
            outbox=(*changes.outbox, *announcements(changes.streams, changes.subject_id)),
            command=command,
        )

    async def _idempotency(self, tenant_id: UUID, caller: Caller) -> tuple[bytes, bytes] | None:
        if caller.idempotency is None:
            return None
        try:
            key = await self.vault.tenant_key(tenant_id)
        except TenantClosed:
            raise TenantGone from None
        named = f"{caller.actor}\0{caller.idempotency.key}".encode()
        return key.digest("command", named), key.digest("request", caller.idempotency.request)

    async def _known(self, tenant_id: UUID, keys: tuple[bytes, bytes], answer_type: Any) -> tuple[Any] | None:
        try:
            sealed = await self.store.command_answer(tenant_id, *keys)
        except CommandKnown:
            raise IdempotencyKeyReused from None
        return None if sealed is None else (await self._opened(tenant_id, sealed, answer_type),)

    async def _opened(self, tenant_id: UUID, sealed: bytes | None, answer_type: Any) -> Any:
        if sealed is None:
            raise IdempotencyKeyReused
        await self._read_models.follow(tenant_id, 0)  # the first sender may have died before it followed
        try:
            key = await self.vault.tenant_key(tenant_id)
        except TenantClosed:
            raise TenantGone from None
        return msgspec.json.decode(key.open(_ANSWER, sealed), type=answer_type if answer_type is not None else Any)
