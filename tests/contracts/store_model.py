"""What an event store should do, said as plainly as possible: one dictionary per question, one append after the other."""

from __future__ import annotations

from uuid import UUID

from domain.facts import Fact
from domain.ports import (
    Append,
    CommandKnown,
    FactMissing,
    FactTaken,
    FactUse,
    StaleStream,
    StoredSnapshot,
    SubjectForgotten,
    TenantClosed,
)
from tests.sample_events import Counted


class ModelTenant:
    def __init__(self) -> None:
        self.closed = False
        self.streams: dict[UUID, list[int]] = {}
        self.facts: dict[Fact, tuple[UUID, UUID | None]] = {}
        self.commands: dict[bytes, tuple[bytes, bytes, UUID | None]] = {}
        self.keys: dict[UUID, bool] = {}
        self.credentials: dict[tuple[UUID, int], UUID] = {}
        self.snapshots: dict[UUID, StoredSnapshot] = {}

    def version(self, stream_id: UUID) -> int:
        return len(self.streams.get(stream_id, ()))

    def what_it_loses_to(self, append: Append) -> object:
        if self.closed:
            return TenantClosed
        if append.command and append.command.command_key in self.commands:
            request, answer, _ = self.commands[append.command.command_key]
            return CommandKnown, answer if request == append.command.request_hash else None
        for stream in append.streams:
            if self.version(stream.stream_id) != stream.expected_version:
                return StaleStream
        for change in append.facts:
            if change.use is FactUse.CLAIM and change.fact in self.facts:
                return FactTaken
        for change in append.facts:
            holder = self.facts.get(change.fact, (None, None))[0]
            if change.use is FactUse.REQUIRE and (holder is None or change.stream_id not in (None, holder)):
                return FactMissing
        return self._what_its_secrets_lose_to(append)

    def _what_its_secrets_lose_to(self, append: Append) -> object:
        if any(key.subject_id in self.keys for key in append.data_keys):
            return StaleStream
        if any((one.connection_id, one.version) in self.credentials for one in append.credentials):
            return StaleStream
        alive = {subject for subject, lives in self.keys.items() if lives} | {
            key.subject_id for key in append.data_keys
        }
        if any(one.subject_id not in alive for one in append.credentials):
            return SubjectForgotten
        subjects = {change.subject_id for change in append.facts if change.use is FactUse.CLAIM}
        if append.command:
            subjects.add(append.command.subject_id)
        if any(self.keys.get(subject) is False for subject in subjects if subject):
            return SubjectForgotten
        return None

    def store(self, append: Append) -> None:
        for stream in append.streams:
            numbers = self.streams.setdefault(stream.stream_id, [])
            numbers += [event.number for event in stream.events if isinstance(event, Counted)]
        for change in append.facts:
            if change.use is FactUse.RELEASE:
                self.facts.pop(change.fact, None)
            elif change.use is FactUse.CLAIM and change.stream_id:
                self.facts[change.fact] = (change.stream_id, change.subject_id)
        for key in append.data_keys:
            self.keys[key.subject_id] = True
        for one in append.credentials:
            self.credentials[one.connection_id, one.version] = one.subject_id
        if append.command:
            answer = append.command
            self.commands[answer.command_key] = (answer.request_hash, answer.sealed_answer, answer.subject_id)
        self.credentials = {key: one for key, one in self.credentials.items() if key[0] not in append.destroys}
        for subject in append.forgets:
            self.forget(subject)
        if append.closes:
            self.close()

    def forget(self, subject: UUID) -> None:
        if subject in self.keys:
            self.keys[subject] = False
        streams = {subject} | {key[0] for key, one in self.credentials.items() if one == subject}
        streams |= {holder for holder, held_for in self.facts.values() if held_for == subject}
        self.snapshots = {stream: one for stream, one in self.snapshots.items() if stream not in streams}
        self.credentials = {key: one for key, one in self.credentials.items() if one != subject}
        self.facts = {fact: held for fact, held in self.facts.items() if held[1] != subject}
        self.commands = {key: kept for key, kept in self.commands.items() if kept[2] != subject}

    def close(self) -> None:
        self.closed = True
        self.keys = dict.fromkeys(self.keys, False)
        for emptied in (self.facts, self.commands, self.credentials, self.snapshots):
            emptied.clear()

    def save_snapshot(self, stream_id: UUID, snapshot: StoredSnapshot) -> None:
        there = self.snapshots.get(stream_id)
        if not self.closed and (there is None or there.version <= snapshot.version):
            self.snapshots[stream_id] = snapshot


class ModelStore:
    def __init__(self) -> None:
        self.tenants: dict[UUID, ModelTenant] = {}

    def append(self, append: Append) -> object:
        """None when it is stored, else what it loses to."""
        tenant = self.tenants.get(append.tenant_id)
        if tenant is None:
            if append.opens is None:
                return TenantClosed
            tenant = ModelTenant()
        lost = tenant.what_it_loses_to(append)
        if lost is None:
            self.tenants[append.tenant_id] = tenant
            tenant.store(append)
        return lost
