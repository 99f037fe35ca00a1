"""The event store in memory: the same answers as PostgreSQL's, without durability."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from adapters.memory.messages import Logged, Queued
from domain.event_codec import encode_event
from domain.events import Event, Recorded
from domain.facts import Fact
from domain.ports import (
    Append,
    Appended,
    CommandAnswer,
    CommandKnown,
    FactMissing,
    FactTaken,
    FactUse,
    Lost,
    SealedCredential,
    StaleStream,
    StoredSnapshot,
    SubjectForgotten,
    TenantClosed,
    WrappedKey,
)

_VERSIONS_KEPT = 8
"""Credentials of a connection, the newest ones."""


class _Tenant:
    """One tenant's share of every table."""

    def __init__(self) -> None:
        self.closed = False
        self.events: list[Recorded] = []
        self.streams: dict[UUID, list[Recorded]] = defaultdict(list)
        self.facts: dict[Fact, tuple[UUID, UUID | None]] = {}
        self.commands: dict[bytes, CommandAnswer] = {}
        self.data_keys: dict[UUID, WrappedKey | None] = {}
        self.credentials: dict[tuple[UUID, int], SealedCredential] = {}
        self.snapshots: dict[UUID, StoredSnapshot] = {}
        self.outbox: dict[UUID, Queued] = {}
        self.deliveries: dict[UUID, Logged] = {}
        self.failing: tuple[bytes, datetime] | None = None


class MemoryEventStore:
    """EventStore. One event loop's, so that an append needs no lock."""

    def __init__(self) -> None:
        self.tenants: dict[UUID, _Tenant] = {}

    async def append(self, append: Append) -> Appended:
        for stream in append.streams:
            for event in stream.events:
                encode_event(event)  # what cannot be written is refused here too
        await asyncio.sleep(0)  # others get their turn, as they would during a call
        tenant = self.tenants.get(append.tenant_id)
        if tenant is None:
            if append.opens is None:
                raise TenantClosed
            tenant = _Tenant()
        lost = _check(tenant, append)
        if lost is not None:
            raise lost
        self.tenants[append.tenant_id] = tenant
        return _store(tenant, append)

    async def drain(self) -> None:
        await asyncio.sleep(0)

    async def events_of(self, tenant_id: UUID, stream_id: UUID, after: int = 0) -> list[Event]:
        return [recorded.event for recorded in await self.read_stream(tenant_id, stream_id, after)]

    async def read_stream(self, tenant_id: UUID, stream_id: UUID, after: int = 0) -> list[Recorded]:
        tenant = self.tenants.get(tenant_id)
        return tenant.streams[stream_id][after:] if tenant and stream_id in tenant.streams else []

    async def read_tenant(self, tenant_id: UUID, after: int = 0, limit: int = 1000) -> list[Recorded]:
        tenant = self.tenants.get(tenant_id)
        return tenant.events[after : after + limit] if tenant else []

    async def holders(self, tenant_id: UUID, facts: Sequence[Fact]) -> Mapping[Fact, UUID]:
        tenant = self._open(tenant_id)
        return {fact: tenant.facts[fact][0] for fact in facts if fact in tenant.facts} if tenant else {}

    async def command_answer(self, tenant_id: UUID, command_key: bytes, request_hash: bytes) -> bytes | None:
        tenant = self._open(tenant_id)
        known = tenant.commands.get(command_key) if tenant else None
        if known is None:
            return None
        if known.request_hash != request_hash:
            raise CommandKnown(None)
        return known.sealed_answer

    async def read_snapshot(self, tenant_id: UUID, stream_id: UUID) -> StoredSnapshot | None:
        tenant = self._open(tenant_id)
        return tenant.snapshots.get(stream_id) if tenant else None

    async def save_snapshot(self, tenant_id: UUID, stream_id: UUID, snapshot: StoredSnapshot) -> None:
        tenant = self._open(tenant_id)
        if tenant is None:
            return
        there = tenant.snapshots.get(stream_id)
        if there is None or there.version <= snapshot.version:
            tenant.snapshots[stream_id] = snapshot

    async def empty(self, tenant_id: UUID) -> None:
        await asyncio.sleep(0)
        tenant = self.tenants.get(tenant_id)
        if tenant is None or not tenant.closed:
            return
        tenant.data_keys = dict.fromkeys(tenant.data_keys)
        tenant.credentials.clear()
        tenant.facts.clear()
        tenant.commands.clear()
        tenant.snapshots.clear()
        tenant.outbox.clear()
        tenant.deliveries.clear()
        tenant.failing = None

    def _open(self, tenant_id: UUID) -> _Tenant | None:
        tenant = self.tenants.get(tenant_id)
        return tenant if tenant and not tenant.closed else None


def _check(tenant: _Tenant, append: Append) -> Lost | None:
    """What the append loses to, looked at in the order of append_batch()."""
    if tenant.closed:
        return TenantClosed()
    if append.command and (known := tenant.commands.get(append.command.command_key)):
        same = known.request_hash == append.command.request_hash
        return CommandKnown(known.sealed_answer if same else None)
    if any(len(tenant.streams.get(stream.stream_id, ())) != stream.expected_version for stream in append.streams):
        return StaleStream()
    if any(change.use is FactUse.CLAIM and change.fact in tenant.facts for change in append.facts):
        return FactTaken()
    for change in append.facts:
        taken = tenant.facts.get(change.fact)
        if change.use is FactUse.REQUIRE and (not taken or change.stream_id not in (None, taken[0])):
            return FactMissing()
    new_keys = {key.subject_id for key in append.data_keys}
    if not new_keys.isdisjoint(tenant.data_keys):
        return StaleStream()
    if any((credential.connection_id, credential.version) in tenant.credentials for credential in append.credentials):
        return StaleStream()
    if any(
        tenant.data_keys.get(one.subject_id) is None for one in append.credentials if one.subject_id not in new_keys
    ):
        return SubjectForgotten()
    subjects = [change.subject_id for change in append.facts if change.use is FactUse.CLAIM]
    subjects += [append.command.subject_id] if append.command else []
    if any(subject in tenant.data_keys and tenant.data_keys[subject] is None for subject in subjects if subject):
        return SubjectForgotten()
    return None


def _store(tenant: _Tenant, append: Append) -> Appended:
    now = max(datetime.now(UTC), tenant.events[-1].recorded_at) if tenant.events else datetime.now(UTC)
    for stream in append.streams:
        of_stream = tenant.streams[stream.stream_id]
        for event in stream.events:
            recorded = Recorded(
                append.tenant_id,
                stream.stream_id,
                len(of_stream) + 1,
                len(tenant.events) + 1,
                now,
                event,
                append.metadata,
            )
            of_stream.append(recorded)
            tenant.events.append(recorded)
    for change in append.facts:
        if change.use is FactUse.RELEASE:
            tenant.facts.pop(change.fact, None)
    for change in append.facts:
        if change.use is FactUse.CLAIM and change.stream_id is not None:
            tenant.facts[change.fact] = (change.stream_id, change.subject_id)
    tenant.data_keys.update({key.subject_id: key for key in append.data_keys})
    tenant.credentials.update({(one.connection_id, one.version): one for one in append.credentials})
    for one in append.credentials:
        for version in range(1, one.version - _VERSIONS_KEPT + 1):
            tenant.credentials.pop((one.connection_id, version), None)
    for message in append.outbox:
        tenant.outbox[message.message_id] = Queued.again(message, tenant.outbox.get(message.message_id), now)
    if append.command:
        tenant.commands[append.command.command_key] = append.command
    tenant.credentials = {
        key: one for key, one in tenant.credentials.items() if one.connection_id not in append.destroys
    }
    for subject_id in append.forgets:
        _forget(tenant, subject_id)
    if append.closes:
        _close(tenant, append.tenant_id)
    return Appended(len(tenant.events), now)


def _forget(tenant: _Tenant, subject_id: UUID) -> None:
    if subject_id in tenant.data_keys:
        tenant.data_keys[subject_id] = None
    streams = {one.connection_id for one in tenant.credentials.values() if one.subject_id == subject_id}
    streams |= {stream_id for stream_id, held_for in tenant.facts.values() if held_for == subject_id}
    for stream_id in streams | {subject_id}:
        tenant.snapshots.pop(stream_id, None)
    announced = [queued.announcement for queued in tenant.outbox.values()]
    announced += [logged.announcement for logged in tenant.deliveries.values()]
    for one in announced:
        if one.subject_id == subject_id or one.stream_id in streams:
            tenant.outbox.pop(one.message_id, None)
            tenant.deliveries.pop(one.message_id, None)
    tenant.credentials = {key: one for key, one in tenant.credentials.items() if one.subject_id != subject_id}
    tenant.facts = {fact: held for fact, held in tenant.facts.items() if held[1] != subject_id}
    tenant.commands = {key: one for key, one in tenant.commands.items() if one.subject_id != subject_id}


def _close(tenant: _Tenant, tenant_id: UUID) -> None:
    tenant.closed = True
    if tenant_id in tenant.data_keys:
        tenant.data_keys[tenant_id] = None
    tenant.outbox.clear()
    tenant.deliveries.clear()
    tenant.failing = None
