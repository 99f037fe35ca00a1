"""Accounts, the companies they belong to, and their sessions."""

from __future__ import annotations

from uuid import UUID

import msgspec

from domain.accounts.account import AccountRegistered, CompanyJoined, SessionOpened
from domain.batching import SharedQuery
from domain.events import Recorded, Reveal
from domain.ids import INSTALLATION
from domain.ports import TenantKind
from projections.projection import Projection, unknown
from projections.reading import Pool, live
from projections.rows import Rows
from projections.tables import Table

ACCOUNTS_TABLE = Table(
    "read_accounts_1", key={"account_id": "uuid"}, columns={"number": "integer", "email": "text", "name": "text"}
)
MEMBERSHIPS_TABLE = Table(
    "read_memberships_1", key={"account_id": "uuid", "company_id": "uuid"}, columns={"role": "text"}
)
SESSIONS_TABLE = Table(
    "read_sessions_1",
    key={"session_id": "uuid"},
    columns={"account_id": "uuid", "digest": "bytea", "expires_at": "timestamptz"},
    indexes=("(tenant_id, generation, digest)",),
    expires="expires_at",
)


def fold(rows: Rows, recorded: Recorded, reveal: Reveal) -> None:
    event = recorded.event
    match event:
        case AccountRegistered():
            email, name = reveal(event.email), reveal(event.name)
            if isinstance(email, str) and isinstance(name, str):
                rows.put(ACCOUNTS_TABLE, (recorded.stream_id,), number=event.number, email=email, name=name)
        case CompanyJoined():
            rows.put(MEMBERSHIPS_TABLE, (recorded.stream_id, event.company_id), role=event.role)
        case SessionOpened():
            rows.put(
                SESSIONS_TABLE,
                (recorded.stream_id,),
                account_id=event.account_id,
                digest=event.digest,
                expires_at=event.expires_at,
            )
        case _:
            raise unknown(recorded)


ACCOUNTS = Projection(
    name="accounts",
    kinds=frozenset({TenantKind.INSTALLATION}),
    reads=frozenset({"account", "session"}),
    tables=(ACCOUNTS_TABLE, MEMBERSHIPS_TABLE, SESSIONS_TABLE),
    fold=fold,
)


class AccountRow(msgspec.Struct, frozen=True):
    account_id: UUID
    number: int
    email: str
    name: str


class MembershipRow(msgspec.Struct, frozen=True):
    company_id: UUID
    role: str


_BEARER = f"""
select q.i, s.account_id from unnest($1::bytea[]) with ordinality as q(digest, i)
{live("accounts", "g", f"'{INSTALLATION}'::uuid")}
join read_sessions_1 s on s.tenant_id = g.tenant_id and s.generation = g.generation and s.digest = q.digest
where s.expires_at > clock_timestamp()
"""
_ACCOUNT = """
select a.account_id, a.number, a.email, a.name from checkpoints g
join read_accounts_1 a on a.tenant_id = g.tenant_id and a.generation = g.generation
where g.tenant_id = $1 and g.projection = 'accounts' and g.live and a.account_id = $2
"""
_MEMBERSHIPS = """
select m.company_id, m.role from checkpoints g
join read_memberships_1 m on m.tenant_id = g.tenant_id and m.generation = g.generation
where g.tenant_id = $1 and g.projection = 'accounts' and g.live and m.account_id = $2
"""


class AccountQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._bearers = SharedQuery(pool.fetch, _BEARER)

    async def session(self, digest: bytes) -> UUID | None:
        """The account of the session with that SHA-256, unless it has expired."""
        rows = await self._bearers.ask(digest)
        return rows[0][1] if rows else None

    async def account(self, account_id: UUID) -> AccountRow | None:
        row = await self._pool.fetchrow(_ACCOUNT, INSTALLATION, account_id)
        return AccountRow(*row) if row else None

    async def memberships(self, account_id: UUID) -> list[MembershipRow]:
        rows = await self._pool.fetch(_MEMBERSHIPS, INSTALLATION, account_id)
        return [MembershipRow(*row) for row in rows]
