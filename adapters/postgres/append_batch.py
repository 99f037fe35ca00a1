"""Group commit: which appends go together, and how a batch of them becomes one call of append_batch()."""

from __future__ import annotations

from collections import deque
from typing import Any
from uuid import UUID

from domain.batching import Waiting
from domain.event_codec import encode_event, encode_metadata
from domain.ports import Append, Appended, FactUse

EventRow = tuple[UUID, int, str, bytes]
StreamRow = tuple[UUID, str, int, int]
Encoded = tuple[Append, list[EventRow], list[StreamRow], bytes]
"""An append, encoded before it queues: its events as (stream, version, topic, state), its streams as (stream, type, expected
version, new version), and its metadata.
"""

_BYTES_PER_CALL = 8 << 20
_LOOK_AHEAD = 4

_ALL, _ALWAYS = 38, 19


def call(columns: int) -> str:
    """The statement that takes so many columns; the function fills in what is left out."""
    return f"select * from append_batch({', '.join(f'${number}' for number in range(1, columns + 1))})"


PLAIN_CALL, WHOLE_CALL = call(_ALWAYS), call(_ALL)


def encode(append: Append) -> Encoded:
    events = [
        (stream.stream_id, stream.expected_version + offset, event.TOPIC, encode_event(event))
        for stream in append.streams
        for offset, event in enumerate(stream.events, start=1)
    ]
    streams = [
        (stream.stream_id, stream.stream_type, stream.expected_version, stream.expected_version + len(stream.events))
        for stream in append.streams
    ]
    return append, events, streams, encode_metadata(append.metadata)


def choose(queue: deque[Waiting[Encoded, Appended]], limit: int) -> list[Waiting[Encoded, Appended]]:
    """Takes from the queue, in order, what may share a call, so that a batch's checks may all look at the state before
    it: no two that write the same stream, fact, command, key or connection, none that needs what another writes, and
    nothing beside an append that opens or closes its tenant or forgets a subject. What must wait stays queued, in order.
    """
    chosen: list[Waiting[Encoded, Appended]] = []
    waiting: list[Waiting[Encoded, Appended]] = []
    written: set[object] = set()
    needed: set[object] = set()
    tenants: set[UUID] = set()
    taken: set[UUID] = set()
    size = 0
    while queue and len(chosen) < limit and len(waiting) < limit * _LOOK_AHEAD and size < _BYTES_PER_CALL:
        item = queue.popleft()
        append, events, _, _ = item[0]
        tenant = append.tenant_id
        writes, needs = _writes(append), _needs(append)
        is_alone = append.closes or append.opens is not None or bool(append.forgets)
        if (
            tenant in taken
            or (is_alone and tenant in tenants)
            or not written.isdisjoint(writes)
            or not written.isdisjoint(needs)
            or not needed.isdisjoint(writes)
        ):
            waiting.append(item)
        else:
            chosen.append(item)
            size += sum(len(event[3]) for event in events)
        written.update(writes)
        needed.update(needs)
        tenants.add(tenant)
        if is_alone:
            taken.add(tenant)
    queue.extendleft(reversed(waiting))
    return chosen


def _writes(append: Append) -> list[object]:
    tenant = append.tenant_id
    writes: list[object] = [(tenant, stream.stream_id) for stream in append.streams]
    writes += [(tenant, change.fact) for change in append.facts if change.use is not FactUse.REQUIRE]
    writes += [(tenant, key.subject_id) for key in append.data_keys]
    writes += [(tenant, credential.connection_id) for credential in append.credentials]
    writes += [(tenant, connection) for connection in append.destroys]
    if append.command:
        writes.append((tenant, append.command.command_key))
    return writes


def _needs(append: Append) -> list[object]:
    tenant = append.tenant_id
    needs: list[object] = [(tenant, change.fact) for change in append.facts if change.use is FactUse.REQUIRE]
    needs += [(tenant, one.subject_id) for one in append.credentials]
    return needs


def arguments(batch: list[Encoded]) -> tuple[str, list[list[Any]]]:
    """The call of append_batch() and its columns; most batches have events and nothing beside them."""
    columns: list[list[Any]] = [[] for _ in range(_ALL)]
    a, e, s, f = columns[0:8], columns[8:14], columns[14:19], columns[19:25]
    k, c, x, d = columns[25:29], columns[29:34], columns[34:36], columns[36:38]
    for number, (append, events, streams, metadata) in enumerate(batch, start=1):
        command = append.command
        _row(
            a,
            append.tenant_id,
            append.opens.value if append.opens else None,
            append.closes,
            len(events),
            command.command_key if command else None,
            command.request_hash if command else None,
            command.sealed_answer if command else None,
            command.subject_id if command else None,
        )
        for stream_id, version, topic, state in events:
            _row(e, number, stream_id, version, topic, state, metadata)
        for stream in streams:
            _row(s, number, *stream)
        for change in append.facts:
            _row(f, number, change.use, change.fact.kind, change.fact.key, change.stream_id, change.subject_id)
        for key in append.data_keys:
            _row(k, number, key.subject_id, key.wrapped, key.master_key_id)
        for credential in append.credentials:
            _row(c, number, credential.connection_id, credential.version, credential.subject_id, credential.sealed)
        for subject in append.forgets:
            _row(x, number, subject)
        for connection in append.destroys:
            _row(d, number, connection)
    if any(columns[_ALWAYS:]):
        return WHOLE_CALL, columns
    return PLAIN_CALL, columns[:_ALWAYS]


def _row(columns: list[list[Any]], *values: Any) -> None:
    for column, value in zip(columns, values, strict=True):
        column.append(value)
