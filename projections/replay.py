"""Folding a tenant's whole history again, in memory, as one transaction sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from domain.events import Recorded
from domain.ports import TenantKind
from projections.folding import BATCH, EVENT_COLUMNS, Checkpoint, Folding, RawEvent, Revealer, fold_into
from projections.projection import Projection
from projections.reading import Connection
from projections.rows import MemoryRows
from projections.tables import Key, Table, Values

_HISTORY = f"select {EVENT_COLUMNS} from all_events e where e.tenant_id = $1 order by e.position"
_HISTORY_UNTIL = _HISTORY.replace(" order by", " and e.recorded_at <= $2 order by")
_STREAM = (
    f"select {EVENT_COLUMNS} from all_events e where e.tenant_id = $1 and e.stream_id = $2"
    " and e.recorded_at <= $3 order by e.version"
)
_TENANTS = """
select tenant_id, kind, position, closed_at is not null as is_closed from tenant_heads
where tenant_id > $1 and ($2::uuid is null or tenant_id = $2) order by tenant_id limit 500
"""


VaultOn = Callable[[Connection], Revealer]
"""A vault that reads its keys in the given transaction, so that an erasure in the meantime is no difference."""


class Tenant(msgspec.Struct, frozen=True):
    """``position`` is its head's: how many events it has."""

    tenant_id: UUID
    kind: TenantKind
    position: int
    is_closed: bool = False


async def tenants(connection: Connection, only: UUID | None = None) -> AsyncIterator[Tenant]:
    """All tenants, or that one, by id."""
    after = UUID(int=0)
    while rows := await connection.fetch(_TENANTS, after, only):
        for row in rows:
            yield Tenant(row["tenant_id"], TenantKind(row["kind"]), row["position"], row["is_closed"])
        after = rows[-1]["tenant_id"]


async def history(
    connection: Connection, tenant_id: UUID, until: datetime | None = None
) -> AsyncIterator[list[RawEvent]]:
    """The tenant's events in order, archived ones too, batch by batch; those recorded ``until`` then."""
    arguments: list[Any] = [tenant_id] if until is None else [tenant_id, until]
    cursor = await connection.cursor(_HISTORY if until is None else _HISTORY_UNTIL, *arguments)
    while rows := await cursor.fetch(BATCH):
        yield [RawEvent(*row) for row in rows]


async def stream_events(connection: Connection, tenant_id: UUID, stream_id: UUID, until: datetime) -> list[RawEvent]:
    """One stream's events in order, archived ones too."""
    return [RawEvent(*row) for row in await connection.fetch(_STREAM, tenant_id, stream_id, until)]


async def tenants_of_stream(connection: Connection, stream_id: UUID, only: UUID | None = None) -> list[UUID]:
    """Whose the stream is. Without ``only`` every tenant is asked, which takes a while where there are many."""
    rows = await connection.fetch(
        "select tenant_id from streams where stream_id = $1 and ($2::uuid is null or tenant_id = $2) order by 1",
        stream_id,
        only,
    )
    return [row["tenant_id"] for row in rows]


class Replay:
    """Read models of one tenant in memory. ``limits`` says how far each projection goes; without it, to the end."""

    def __init__(
        self,
        tenant: Tenant,
        projections: Sequence[Projection],
        vault: Revealer,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self.projections = [projection for projection in projections if tenant.kind in projection.kinds]
        self.rows = {projection.name: MemoryRows() for projection in self.projections}
        self.reached = {p.name: Checkpoint(tenant.tenant_id, p.name, 0, 0) for p in self.projections}
        self._tenant_id = tenant.tenant_id
        self._limits = limits
        self._vault = vault
        self._folding = Folding(self.projections, vault, lambda *_, **__: None)

    async def take(self, events: Sequence[RawEvent]) -> None:
        """Folds the next events; a projection that cannot go on says so in ``reached``."""
        decoded = self._folding.decode({self._tenant_id: events}, list(self.reached.values()))
        reveal = await self._vault.revealer([one for one in decoded.values() if isinstance(one, Recorded)])
        for projection in self.projections:
            checkpoint, rows = self.reached[projection.name], self.rows[projection.name]
            wanted = events
            if self._limits is not None:
                wanted = [event for event in events if event.position <= self._limits.get(projection.name, 0)]
            if checkpoint.stopped is None:
                fold_into(rows, projection, checkpoint, wanted, decoded, reveal)

    def tables(self, now: datetime) -> list[tuple[Projection, Table, dict[Key, Values]]]:
        """What was folded and has not expired by then, table by table."""
        return [
            (projection, table, self.unexpired(projection, table, now))
            for projection in self.projections
            for table in projection.tables
        ]

    def unexpired(self, projection: Projection, table: Table, now: datetime) -> dict[Key, Values]:
        """Rows of a table that was folded, without those that have expired by then."""
        rows = self.rows[projection.name].tables[table.name]
        if table.expires is None:
            return rows
        return {key: values for key, values in rows.items() if not table.has_expired(values, now)}
