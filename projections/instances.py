"""Instances: which there are, and what opens them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from domain.events import Recorded, Reveal
from domain.instances.instance import InstanceCreated, InstanceDeleted, InstanceKeyRotated
from projections.connections import GRANTS_TABLE
from projections.projection import unknown
from projections.reading import Pool
from projections.rows import Rows
from projections.tables import Table

INSTANCES_TABLE = Table(
    "read_instances_1",
    key={"instance_id": "uuid"},
    columns={
        "end_user_id": "uuid",
        "name": "text",
        "digest": "bytea",
        "created_at": "timestamptz",
        "rotated_at": "timestamptz",
    },
    indexes=("(tenant_id, generation, digest)", "(tenant_id, generation, end_user_id)"),
)


def fold_instance(rows: Rows, recorded: Recorded, reveal: Reveal) -> None:
    event, key = recorded.event, (recorded.stream_id,)
    match event:
        case InstanceCreated():
            text = reveal(event.sealed_name) if event.sealed_name is not None else event.name
            rows.put(
                INSTANCES_TABLE,
                key,
                end_user_id=event.end_user_id,
                name=text if isinstance(text, str) else "",
                digest=event.digest,
                created_at=recorded.recorded_at,
            )
        case InstanceKeyRotated():
            rows.change(INSTANCES_TABLE, key, digest=event.digest, rotated_at=recorded.recorded_at)
        case InstanceDeleted():
            rows.remove(INSTANCES_TABLE, key)
            rows.remove_where(GRANTS_TABLE, instance_id=recorded.stream_id)
        case _:
            raise unknown(recorded)


class InstanceRow(msgspec.Struct, frozen=True):
    """``end_user_id`` None: it belongs to the project. ``last_used_at`` is a mark that may lag by seconds."""

    instance_id: UUID
    name: str
    end_user_id: UUID | None
    created_at: datetime
    rotated_at: datetime | None
    last_used_at: datetime | None


_INSTANCES = """
select n.instance_id, n.name, n.end_user_id, n.created_at, n.rotated_at, m.last_used_at from checkpoints g
join read_instances_1 n on n.tenant_id = g.tenant_id and n.generation = g.generation
left join token_marks m on m.tenant_id = n.tenant_id and m.token_id = n.instance_id
where g.tenant_id = $1 and g.projection = 'end_users' and g.live
"""


class InstanceQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def list(self, project_id: UUID) -> list[InstanceRow]:
        rows = await self._pool.fetch(_INSTANCES + " order by n.created_at, n.instance_id", project_id)
        return [InstanceRow(*row) for row in rows]

    async def one(self, project_id: UUID, instance_id: UUID) -> InstanceRow | None:
        row = await self._pool.fetchrow(_INSTANCES + " and n.instance_id = $2", project_id, instance_id)
        return InstanceRow(*row) if row else None

    async def owner(self, project_id: UUID, digest: bytes) -> UUID | None:
        """The instance whose proxy key has that SHA-256."""
        row = await self._pool.fetchrow(_INSTANCES + " and n.digest = $2", project_id, digest)
        return row["instance_id"] if row else None
