"""Read models as they were at a time, folded from the history."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from projections.findings import Finding
from projections.projection import Projection
from projections.reading import Pool
from projections.replay import Replay, VaultOn, history, tenants
from projections.tables import Values


class RowAsOf(msgspec.Struct, frozen=True):
    """A row as the history says it was."""

    tenant_id: UUID
    projection: str
    table: str
    key: Mapping[str, Any]
    values: Values


async def rows_as_of(
    pool: Pool, projections: Sequence[Projection], vault_on: VaultOn, at: datetime, only: UUID | None = None
) -> AsyncIterator[RowAsOf | Finding]:
    """Every row of every read model as it was then, by tenant and table; texts of people erased since are gone. A Finding
    where a projection cannot be folded that far.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        found = [tenant async for tenant in tenants(connection, only)]
        for tenant in found:
            replay = Replay(tenant, projections, vault_on(connection))
            async for batch in history(connection, tenant.tenant_id, at):
                await replay.take(batch)
            for checkpoint in replay.reached.values():
                if checkpoint.stopped is not None:
                    yield Finding(tenant.tenant_id, f"cannot be folded: {checkpoint.stopped}", checkpoint.projection)
            for projection, table, rows in replay.tables(at):
                for key in sorted(rows, key=str):
                    named = dict(zip(table.key, key, strict=True))
                    yield RowAsOf(tenant.tenant_id, projection.name, table.name, named, rows[key])
