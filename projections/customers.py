"""Customers: end users with what is told of them, found by words and in any order."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from domain.end_users.end_user import Profile
from domain.events import Revealed
from projections.reading import Listing, Page, Pool
from projections.rows import Rows
from projections.tables import Table

PROFILES_TABLE = Table(
    "read_profiles_1",
    key={"end_user_id": "uuid"},
    columns={
        "email": "text",
        "company_name": "text",
        "country_code": "text",
        "currency": "text",
        "industry": "text",
        "locale": "text",
        "timezone": "text",
    },
)
SortBy = Literal["created_at", "email", "company_name", "external_id"]


def put_profile(rows: Rows, end_user_id: UUID, told: Revealed) -> None:
    """A forgotten profile leaves no row."""
    if isinstance(told, str):
        profile = msgspec.json.decode(told, type=Profile)
        rows.put(PROFILES_TABLE, (end_user_id,), **msgspec.structs.asdict(profile))


class CustomerRow(msgspec.Struct, frozen=True):
    end_user_id: UUID
    external_id: str
    added_at: datetime
    profile: Profile


class Search(msgspec.Struct, frozen=True):
    """``words`` must stand in the external id, e-mail address or company name, in any case."""

    words: str = ""
    by: SortBy = "created_at"
    descending: bool = True
    page: Page = Page()


_ORDERS = {
    "created_at": "u.added_at",
    "email": "lower(p.email)",
    "company_name": "lower(p.company_name)",
    "external_id": "u.external_id",
}
_SOURCE = """
from checkpoints g
join read_end_users_1 u on u.tenant_id = g.tenant_id and u.generation = g.generation
left join read_profiles_1 p on p.tenant_id = u.tenant_id and p.generation = u.generation and p.end_user_id = u.end_user_id
where g.tenant_id = $1 and g.projection = 'end_users' and g.live
"""
_SELECT = f"""
select u.end_user_id, u.external_id, u.added_at,
    p.email, p.company_name, p.country_code, p.currency, p.industry, p.locale, p.timezone {_SOURCE}
"""
_SAID = (
    " and ($2 = '' or strpos(lower(u.external_id), $2) > 0 or strpos(lower(p.email), $2) > 0"
    " or strpos(lower(p.company_name), $2) > 0)"
)


class CustomerQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def one(self, project_id: UUID, end_user_id: UUID) -> CustomerRow | None:
        row = await self._pool.fetchrow(_SELECT + " and u.end_user_id = $2", project_id, end_user_id)
        return _row(row) if row else None

    async def search(self, project_id: UUID, search: Search) -> Listing[CustomerRow]:
        words, page = search.words.lower(), search.page
        way = "desc" if search.descending else "asc"
        rows = await self._pool.fetch(
            f"{_SELECT}{_SAID} order by {_ORDERS[search.by]} {way} nulls last, u.end_user_id {way} limit $3 offset $4",
            project_id,
            words,
            page.size,
            page.offset,
        )
        total = await self._pool.fetchval(f"select count(*) {_SOURCE}{_SAID}", project_id, words)
        return Listing([_row(row) for row in rows], total, page)


def _row(row: asyncpg.Record) -> CustomerRow:
    told = dict(zip(PROFILES_TABLE.columns, tuple(row)[3:], strict=True))
    return CustomerRow(row[0], row[1], row[2], Profile(**told))
