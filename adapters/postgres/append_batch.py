"""Group commit: which appends go together, and how a batch of them becomes one call of append_batch()."""

from __future__ import annotations

from collections import deque
from typing import Any
from uuid import UUID

from domain.batching import Waiting
from domain.event_codec import encode_event, encode_metadata
from domain.ports import Append, Appended

Encoded = tuple[Append, list[tuple[UUID, int, str, bytes]], bytes]
"""An append, its events as (stream, version, topic, state), and its metadata: encoded before it queues."""

_BYTES_PER_CALL = 8 << 20

CALL = "select * from append_batch(" + ", ".join(f"${number}" for number in range(1, 39)) + ")"


def encode(append: Append) -> Encoded:
    events = [
        (stream.stream_id, stream.expected_version + offset, event.TOPIC, encode_event(event))
        for stream in append.streams
        for offset, event in enumerate(stream.events, start=1)
    ]
    return append, events, encode_metadata(append.metadata)


def choose(queue: deque[Waiting[Encoded, Appended]], limit: int) -> list[Waiting[Encoded, Appended]]:
    """Takes from the queue, in order, what may share a call: no two that touch the same stream, fact, command or
    subject, and nothing beside an append that closes its tenant. What must wait stays queued, in order.
    """
    chosen: list[Waiting[Encoded, Appended]] = []
    waiting: list[Waiting[Encoded, Appended]] = []
    busy: set[object] = set()
    tenants: set[UUID] = set()
    closing: set[UUID] = set()
    size = 0
    while queue and len(chosen) < limit and size < _BYTES_PER_CALL:
        item = queue.popleft()
        append, events, _ = item[0]
        touched = _touched(append)
        tenant = append.tenant_id
        if tenant in closing or (append.closes and tenant in tenants) or not busy.isdisjoint(touched):
            waiting.append(item)
        else:
            chosen.append(item)
            size += sum(len(event[3]) for event in events)
        busy.update(touched)
        tenants.add(tenant)
        if append.closes:
            closing.add(tenant)
    queue.extendleft(reversed(waiting))
    return chosen


def _touched(append: Append) -> list[object]:
    tenant = append.tenant_id
    touched: list[object] = [(tenant, stream.stream_id) for stream in append.streams]
    touched += [(tenant, change.fact) for change in append.facts]
    touched += [(tenant, key.subject_id) for key in append.data_keys]
    touched += [(tenant, credential.subject_id) for credential in append.credentials]
    touched += [(tenant, subject) for subject in append.forgets]
    if append.command:
        touched.append((tenant, append.command.command_key))
    return touched


def arguments(batch: list[Encoded]) -> list[list[Any]]:
    """The columns of append_batch(), in its order."""
    columns: list[list[Any]] = [[] for _ in range(38)]
    a, e, s, f = columns[0:8], columns[8:14], columns[14:19], columns[19:25]
    k, c, x, d = columns[25:29], columns[29:34], columns[34:36], columns[36:38]
    for number, (append, events, metadata) in enumerate(batch, start=1):
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
        for stream in append.streams:
            expected = stream.expected_version
            _row(s, number, stream.stream_id, stream.stream_type, expected, expected + len(stream.events))
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
    return columns


def _row(columns: list[list[Any]], *values: Any) -> None:
    for column, value in zip(columns, values, strict=True):
        column.append(value)
