"""Group commit: which appends go together, and how a batch of them becomes one call of append_batch()."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
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
_NO_ANSWER = (None,) * 4


def call(columns: int) -> str:
    """The statement that takes so many columns; the function fills in what is left out."""
    return f"select * from append_batch({', '.join(f'${number}' for number in range(1, columns + 1))})"


PLAIN_CALL, WHOLE_CALL = call(18), call(49)


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
    writes += [(tenant, message.message_id) for message in append.outbox]
    if append.command:
        writes.append((tenant, append.command.command_key))
    return writes


def _needs(append: Append) -> list[object]:
    tenant = append.tenant_id
    needs: list[object] = [(tenant, change.fact) for change in append.facts if change.use is FactUse.REQUIRE]
    needs += [(tenant, one.subject_id) for one in append.credentials]
    return needs


def arguments(batch: list[Encoded]) -> tuple[str, list[Sequence[Any]]]:
    """The call of append_batch() and its columns; most batches have events and nothing beside them."""
    tenants = sorted({append.tenant_id for append, _, _, _ in batch}, key=lambda tenant: tenant.int)
    slots = {tenant: slot for slot, tenant in enumerate(tenants)}
    counts = [0] * len(tenants)
    a: list[tuple[Any, ...]] = []
    e: list[tuple[Any, ...]] = []
    s: list[tuple[Any, ...]] = []
    for number, (append, events, streams, metadata) in enumerate(batch, start=1):
        slot = slots[append.tenant_id]
        a.append((append.tenant_id, slot + 1, counts[slot], len(events)))
        counts[slot] += len(events)
        for place, event in enumerate(events, start=1):
            e.append((number, place, *event, metadata))
        for stream in streams:
            s.append((number, *stream))
    columns: list[Sequence[Any]] = [tenants, counts, *_columns(a, 4), *_columns(e, 7), *_columns(s, 5)]
    appends = [append for append, _, _, _ in batch]
    if all(map(_is_plain, appends)):
        return PLAIN_CALL, columns
    return WHOLE_CALL, columns + _companions(appends)


def _is_plain(append: Append) -> bool:
    return not (
        append.facts
        or append.command
        or append.data_keys
        or append.credentials
        or append.outbox
        or append.destroys
        or append.forgets
        or append.closes
        or append.opens
    )


def _companions(appends: list[Append]) -> list[Sequence[Any]]:
    """What is written beside the events, in the order of the function's parameters."""
    alone, f, k, c, x, d, o = ([] for _ in range(7))
    for number, append in enumerate(appends, start=1):
        command = append.command
        answer = (
            (command.command_key, command.request_hash, command.sealed_answer, command.subject_id) if command else ()
        )
        alone.append((append.opens and append.opens.value, append.closes, *(answer or _NO_ANSWER)))
        for change in append.facts:
            f.append((number, change.use, change.fact.kind, change.fact.key, change.stream_id, change.subject_id))
        for key in append.data_keys:
            k.append((number, key.subject_id, key.wrapped, key.master_key_id))
        for credential in append.credentials:
            c.append((number, credential.connection_id, credential.version, credential.subject_id, credential.sealed))
        x += [(number, subject) for subject in append.forgets]
        d += [(number, connection) for connection in append.destroys]
        for message in append.outbox:
            o.append((number, message.message_id, message.stream_id, message.version, message.kind, message.subject_id))
    rows = ((alone, 6), (f, 6), (k, 4), (c, 5), (x, 2), (d, 2), (o, 6))
    return [column for some, width in rows for column in _columns(some, width)]


def _columns(rows: list[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    return list(zip(*rows, strict=True)) or [()] * width
