"""Valid API tokens of projects: who is calling, and what the settings page lists."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from domain.batching import SharedQuery
from domain.events import Recorded, Reveal
from domain.ports import TenantKind
from domain.projects.project import ProjectChanged, ProjectCreated, ProjectDeleted
from domain.projects.token import ProjectTokenIssued, ProjectTokenRevoked
from projections.projection import Projection, unknown
from projections.reading import Listing, Page, Pool, live
from projections.rows import Rows
from projections.tables import Table

TOKENS_TABLE = Table(
    "read_project_tokens_1",
    key={"token_id": "uuid"},
    columns={"name": "text", "digest": "bytea", "created_at": "timestamptz"},
    indexes=("(tenant_id, generation, digest)",),
)


def fold(rows: Rows, recorded: Recorded, reveal: Reveal) -> None:
    event = recorded.event
    match event:
        case ProjectTokenIssued():
            rows.put(
                TOKENS_TABLE,
                (recorded.stream_id,),
                name=event.name,
                digest=event.digest,
                created_at=recorded.recorded_at,
            )
        case ProjectTokenRevoked():
            rows.remove(TOKENS_TABLE, (recorded.stream_id,))
        case ProjectCreated() | ProjectChanged():
            pass
        case ProjectDeleted():
            rows.remove_where(TOKENS_TABLE)
        case _:
            raise unknown(recorded)


PROJECT_TOKENS = Projection(
    name="project_tokens",
    kinds=frozenset({TenantKind.PROJECT}),
    reads=frozenset({"project_token", "project"}),
    tables=(TOKENS_TABLE,),
    fold=fold,
)


class TokenRow(msgspec.Struct, frozen=True):
    """``last_used_at`` is a mark that may lag a few seconds."""

    token_id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None


_BEARER = f"""
select q.i, t.token_id from unnest($1::uuid[], $2::bytea[]) with ordinality as q(tenant_id, digest, i)
{live("project_tokens", "g", "q.tenant_id")}
join read_project_tokens_1 t on t.tenant_id = q.tenant_id and t.generation = g.generation and t.digest = q.digest
"""
_SOURCE = """
from checkpoints g join read_project_tokens_1 t on t.tenant_id = g.tenant_id and t.generation = g.generation
left join token_marks m on m.tenant_id = t.tenant_id and m.token_id = t.token_id
where g.tenant_id = $1 and g.projection = 'project_tokens' and g.live
"""


class ProjectTokenQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._bearers = SharedQuery(pool.fetch, _BEARER)

    async def token_id(self, project_id: UUID, digest: bytes) -> UUID | None:
        """The valid token with that SHA-256, as of now in the database."""
        rows = await self._bearers.ask(project_id, digest)
        return rows[0][1] if rows else None

    async def list(self, project_id: UUID, page: Page) -> Listing[TokenRow]:
        rows = await self._pool.fetch(
            f"select t.token_id, t.name, t.created_at, m.last_used_at {_SOURCE}"
            " order by t.created_at, t.token_id limit $2 offset $3",
            project_id,
            page.size,
            page.offset,
        )
        total = await self._pool.fetchval(f"select count(*) {_SOURCE}", project_id)
        return Listing([TokenRow(*row) for row in rows], total, page)

    async def mark_used(self, marks: dict[tuple[UUID, UUID], datetime]) -> None:
        """Notes when tokens, by (project, token), were last used."""
        await self._pool.execute(
            "insert into token_marks (tenant_id, token_id, last_used_at)"
            " select u.* from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) as u(tenant_id, token_id, used_at)"
            " join tenant_heads h on h.tenant_id = u.tenant_id and h.closed_at is null for share of h"
            " on conflict (tenant_id, token_id) do update set last_used_at = greatest(token_marks.last_used_at, excluded.last_used_at)",
            [tenant for tenant, _ in marks],
            [token for _, token in marks],
            list(marks.values()),
        )
