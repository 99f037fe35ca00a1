"""From stored events to row changes and moved checkpoints, in the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from domain.event_codec import UnknownEvent, decode_event, decode_metadata
from domain.events import Recorded, Reveal, stream_type_of
from projections.projection import Projection
from projections.rows import PendingRows, Rows
from projections.statements import Statement

BATCH = 5_000
"""Events per tenant and transaction."""

EVENT_COLUMNS = "e.tenant_id, e.stream_id, e.version, e.position, e.recorded_at, e.topic, e.state, e.metadata"

ALL_EVENTS = f"""
select {EVENT_COLUMNS} from unnest($1::uuid[], $2::bigint[]) as t(tenant_id, after) cross join lateral (
    select * from all_events e where e.tenant_id = t.tenant_id and e.position > t.after order by e.position limit $3
) e
"""
_ADVANCE = """
update checkpoints c set position = u.position, stopped = u.stopped
from unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::text[])
    as u(tenant_id, projection, generation, position, stopped)
where c.tenant_id = u.tenant_id and c.projection = u.projection and c.generation = u.generation
"""


class Revealer(Protocol):
    """The part of the vault that folds need."""

    async def revealer(self, recorded: Sequence[Recorded]) -> Reveal: ...


Complain = Callable[..., object]
"""Tells operators of trouble: a name, then what there is to know, as keywords."""


class RawEvent(msgspec.Struct, frozen=True):
    """An event row before it is decoded."""

    tenant_id: UUID
    stream_id: UUID
    version: int
    position: int
    recorded_at: datetime
    topic: str
    state: bytes
    metadata: bytes

    def decoded(self) -> Recorded:
        return Recorded(
            self.tenant_id,
            self.stream_id,
            self.version,
            self.position,
            self.recorded_at,
            decode_event(self.topic, self.state),
            decode_metadata(self.metadata),
        )

    def tried(self) -> Recorded | Exception:
        """Decoded, or what is in the way of that."""
        try:
            return self.decoded()
        except Exception as error:  # whoever folds it stops there
            return error


class Checkpoint(msgspec.Struct):
    """How far a tenant's projection has come; ``stopped`` says why it goes no further."""

    tenant_id: UUID
    projection: str
    generation: int
    position: int
    stopped: str | None = None

    def stop(self, position: int, error: Exception) -> None:
        """Only what UnknownEvent says is safe to show: other messages may repeat what the event holds."""
        self.stopped = f"position {position}: {error if isinstance(error, UnknownEvent) else type(error).__name__}"

    def miss(self, position: int) -> None:
        self.stopped = f"position {position}: the event is missing, the history is damaged"


def fold_into(
    rows: Rows,
    projection: Projection,
    checkpoint: Checkpoint,
    events: Sequence[RawEvent],
    decoded: Mapping[tuple[UUID, int], Recorded | Exception],
    reveal: Reveal,
) -> None:
    """Moves the checkpoint over the events that follow it, as far as positions are gapless and the fold knows them."""
    for event in events:
        if event.position <= checkpoint.position:
            continue
        if event.position != checkpoint.position + 1:
            checkpoint.miss(checkpoint.position + 1)
            return
        if stream_type_of(event.topic) in projection.reads:
            one = decoded[event.tenant_id, event.position]
            try:
                if isinstance(one, Exception):
                    raise one
                projection.fold(rows, one, reveal)
            except Exception as error:  # it stops here, loudly; others go on
                checkpoint.stop(event.position, error)
                return
        checkpoint.position = event.position


def advanced(checkpoints: Sequence[Checkpoint]) -> Statement:
    """Writes how far they have come."""
    return _ADVANCE, [
        [c.tenant_id for c in checkpoints],
        [c.projection for c in checkpoints],
        [c.generation for c in checkpoints],
        [c.position for c in checkpoints],
        [c.stopped for c in checkpoints],
    ]


class Folding:
    """Folds by these projections, with what this vault opens."""

    def __init__(self, projections: Sequence[Projection], vault: Revealer, complain: Complain) -> None:
        self.projections = {projection.name: projection for projection in projections}
        self._vault = vault
        self._complain = complain

    async def fold(
        self,
        events: Mapping[UUID, Sequence[RawEvent]],
        heads: Mapping[UUID, int],
        checkpoints: Sequence[Checkpoint],
    ) -> PendingRows:
        """Moves the checkpoints over the events after them; answers what changes, to be written beside ``advanced``. Fewer
        than BATCH events of a tenant are all that it has: they must reach its head.
        """
        decoded = self.decode(events, checkpoints)
        reveal = await self._vault.revealer([one for one in decoded.values() if isinstance(one, Recorded)])
        pending = PendingRows()
        for checkpoint in checkpoints:
            tenant = checkpoint.tenant_id
            rows = pending.of(tenant, checkpoint.generation)
            fold_into(rows, self.projections[checkpoint.projection], checkpoint, events[tenant], decoded, reveal)
            if checkpoint.stopped is None and len(events[tenant]) < BATCH and checkpoint.position < heads[tenant]:
                checkpoint.miss(checkpoint.position + 1)
            if checkpoint.stopped is not None:
                self._complain(
                    "projection_stopped",
                    projection=checkpoint.projection,
                    tenant=str(tenant),
                    why=checkpoint.stopped,
                )
        return pending

    def decode(
        self, events: Mapping[UUID, Sequence[RawEvent]], checkpoints: Sequence[Checkpoint]
    ) -> dict[tuple[UUID, int], Recorded | Exception]:
        """What somebody reads, decoded once."""
        wanted: dict[UUID, set[str]] = defaultdict(set)
        for checkpoint in checkpoints:
            wanted[checkpoint.tenant_id] |= self.projections[checkpoint.projection].reads
        return {
            (tenant, event.position): event.tried()
            for tenant, of_tenant in events.items()
            for event in of_tenant
            if stream_type_of(event.topic) in wanted[tenant]
        }
