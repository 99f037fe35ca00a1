"""Companies, the projects they list, and what may act for them: API keys and sessions."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from domain.batching import SharedQuery
from domain.companies.access import ApiKeyIssued, CompanyEntered
from domain.companies.company import CompanyFounded, ProjectListed, ProjectUnlisted
from domain.events import Recorded, Reveal
from domain.ports import TenantKind
from projections.projection import Projection, unknown
from projections.reading import Pool, live
from projections.rows import Rows
from projections.tables import Table

COMPANIES_TABLE = Table("read_companies_1", key={}, columns={"name": "text", "logo_url": "text"})
LISTED_TABLE = Table("read_company_projects_1", key={"project_id": "uuid"}, columns={"listed_at": "timestamptz"})
ACCESS_TABLE = Table(
    "read_company_access_1",
    key={"access_id": "uuid"},
    columns={"account_id": "uuid", "name": "text", "digest": "bytea", "expires_at": "timestamptz"},
    indexes=("(tenant_id, generation, digest)",),
    expires="expires_at",
)


def fold(rows: Rows, recorded: Recorded, reveal: Reveal) -> None:
    event = recorded.event
    match event:
        case CompanyFounded():
            rows.put(COMPANIES_TABLE, (), name=event.name, logo_url=event.logo_url)
        case ProjectListed():
            rows.put(LISTED_TABLE, (event.project_id,), listed_at=recorded.recorded_at)
        case ProjectUnlisted():
            rows.remove(LISTED_TABLE, (event.project_id,))
        case ApiKeyIssued():
            rows.put(
                ACCESS_TABLE,
                (recorded.stream_id,),
                name=event.name,
                digest=event.digest,
                expires_at=event.expires_at,
            )
        case CompanyEntered():
            rows.put(
                ACCESS_TABLE,
                (recorded.stream_id,),
                account_id=event.account_id,
                digest=event.digest,
                expires_at=event.expires_at,
            )
        case _:
            raise unknown(recorded)


COMPANIES = Projection(
    name="companies",
    kinds=frozenset({TenantKind.COMPANY}),
    reads=frozenset({"company", "company_access"}),
    tables=(COMPANIES_TABLE, LISTED_TABLE, ACCESS_TABLE),
    fold=fold,
)


class CompanyRow(msgspec.Struct, frozen=True):
    company_id: UUID
    name: str
    logo_url: str | None


class AccessRow(msgspec.Struct, frozen=True):
    """``account_id`` None: an API key."""

    access_id: UUID
    account_id: UUID | None


_BEARER = f"""
select q.i, a.access_id, a.account_id from unnest($1::uuid[], $2::bytea[]) with ordinality as q(tenant_id, digest, i)
{live("companies", "g", "q.tenant_id")}
join read_company_access_1 a on a.tenant_id = q.tenant_id and a.generation = g.generation and a.digest = q.digest
where a.expires_at is null or a.expires_at > clock_timestamp()
"""
_ROWS = f"""
select c.tenant_id, c.name, c.logo_url from unnest($1::uuid[]) as q(tenant_id)
{live("companies", "g", "q.tenant_id")}
join read_companies_1 c on c.tenant_id = q.tenant_id and c.generation = g.generation order by c.name, c.tenant_id
"""
_LISTED = """
select p.project_id from checkpoints g
join read_company_projects_1 p on p.tenant_id = g.tenant_id and p.generation = g.generation
where g.tenant_id = $1 and g.projection = 'companies' and g.live
"""


class CompanyQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._bearers = SharedQuery(pool.fetch, _BEARER)

    async def access(self, company_id: UUID, digest: bytes) -> AccessRow | None:
        """The API key or session with that SHA-256, unless it has expired."""
        rows = await self._bearers.ask(company_id, digest)
        return AccessRow(rows[0][1], rows[0][2]) if rows else None

    async def rows(self, company_ids: Sequence[UUID]) -> list[CompanyRow]:
        return [CompanyRow(*row) for row in await self._pool.fetch(_ROWS, company_ids)]

    async def project_ids(self, company_id: UUID) -> list[UUID]:
        return [row["project_id"] for row in await self._pool.fetch(_LISTED, company_id)]

    async def lists(self, company_id: UUID, project_id: UUID) -> bool:
        """Whether the project is this company's."""
        return bool(await self._pool.fetch(_LISTED + " and p.project_id = $2", company_id, project_id))
