"""Rows that end by themselves: removed after their time, a few at a time, and missed by nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from adapters.postgres.notification_log import LibraryNotifications
from adapters.vault.passwords import ArgonHasher
from adapters.vault.vault import PostgresVault
from app import Causeway
from domain.accounts.use_cases import AccountCommands, Session
from domain.deciding import Desk
from domain.ids import parse_token
from projections.accounts import ACCOUNTS
from projections.as_of import RowAsOf, rows_as_of
from projections.companies import COMPANIES
from projections.expiring import expiring
from tests.conftest import Ground
from tests.projections.histories import CALLER, findings

BOTH = (ACCOUNTS, COMPANIES)
ROWS = "select (select count(*) from read_sessions_1), (select count(*) from read_company_access_1)"


async def enter(wired: Causeway, ground: Ground, ago: timedelta = timedelta()) -> Session:
    """The owner logs in and enters the company; each session lasts an hour from then."""
    desk = Desk(wired.store, wired.vault, wired.follower)
    accounts = AccountCommands(desk, ArgonHasher(), lambda: datetime.now(UTC) - ago)
    session = await accounts.log_in(CALLER, ground.plan.email_address, ground.plan.password)
    await accounts.enter_company(CALLER, ground.plan.account_id, ground.plan.company_id)
    return session


@pytest.fixture
async def session(wired: Causeway, ground: Ground) -> Session:
    """A session that lasts, beside three that ended yesterday."""
    for _ in range(3):
        await enter(wired, ground, timedelta(days=1))
    return await enter(wired, ground)


@pytest.fixture
async def library(dsn: str) -> AsyncIterator[LibraryNotifications]:
    notifications = LibraryNotifications(dsn)
    yield notifications
    await notifications.aclose()


async def test_what_has_expired_is_removed_a_few_rows_at_a_time_and_the_rest_stays(
    wired: Causeway, session: Session
) -> None:
    assert tuple(await wired.pool.fetchrow(ROWS)) == (4, 5)
    removals = expiring(wired.pool, BOTH)
    assert [[await removal(2) for removal in removals] for _ in range(3)] == [[2, 2], [1, 1], [0, 0]]
    assert tuple(await wired.pool.fetchrow(ROWS)) == (1, 2)  # the API key never expires
    token = parse_token(session.token)
    assert token is not None
    assert await wired.services.account_queries.session(token.digest) == session.account_id


async def test_the_audit_misses_no_row_that_has_expired_wherever_the_removal_is(
    wired: Causeway, session: Session, library: LibraryNotifications
) -> None:
    assert await findings(wired, second=library) == []
    for removal in expiring(wired.pool, BOTH):
        await removal(2)
        assert await findings(wired, second=library) == []
        await removal(2)
        assert await findings(wired, second=library) == []
    for projection in BOTH:  # which folds them again
        await wired.rebuild.run(projection)
    assert await findings(wired) == []


async def test_the_audit_still_misses_a_row_that_lasts(wired: Causeway, session: Session) -> None:
    await wired.pool.execute("update read_sessions_1 set expires_at = expires_at - interval '2 days'")
    [finding] = await findings(wired)
    assert (finding.problem, finding.table) == ("missing row", "read_sessions_1")
    await wired.pool.execute("update read_sessions_1 set expires_at = expires_at + interval '9 days'")
    assert sorted({finding.problem for finding in await findings(wired)}) == ["changed", "extra row"]


async def test_state_as_it_was_knows_sessions_until_they_expired(wired: Causeway, session: Session) -> None:
    def vault_on(connection: object) -> PostgresVault:
        return PostgresVault(connection, wired.keyring)  # type: ignore[arg-type]

    for after, sessions in ((timedelta(), 1), (timedelta(hours=2), 0)):
        at = datetime.now(UTC) + after
        rows = [row async for row in rows_as_of(wired.pool, BOTH, vault_on, at)]
        assert [row.table for row in rows if isinstance(row, RowAsOf)].count("read_sessions_1") == sessions
