"""Kills the process that refreshes at every step of it, with and without PostgreSQL, and looks at what others find then."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import asyncpg
import msgspec

from adapters.postgres.pool import is_lost
from domain.connections.connection import Status
from domain.connections.refreshing import LOST_FROM_SIGHT
from scripts.torturing.refresh_child import (
    ANSWERED,
    BEFORE_STARTED,
    BEFORE_STORED,
    STANDS_STILL,
    STARTED,
    STORED,
    Outcome,
    Tally,
    Turn,
)
from scripts.torturing.refresh_ground import Child, ChildEnded, Grounds, all_at_once
from scripts.torturing.refresh_node import utc_now
from scripts.torturing.verdict import Verdict

STARTING = "while RefreshStarted is being stored"
ASKED = "when the provider was asked and has done nothing"
WORKING = "when the provider was asked, which does it later"
ROTATED = "when the provider has rotated"
STORING = "while the answer is being stored"
DATABASE_AWAY = "PostgreSQL is killed when the answer comes; the process lives"
STEPS = (
    BEFORE_STARTED,
    STARTING,
    STARTED,
    ASKED,
    WORKING,
    ROTATED,
    ANSWERED,
    BEFORE_STORED,
    STORING,
    STORED,
    STANDS_STILL,
)
DIES_WITH_THE_ANSWER = (WORKING, ROTATED, ANSWERED, BEFORE_STORED)
"""Here the provider has renewed the token, and nobody knows the new one."""

STORED_ALL_THE_SAME = (STORING, STORED)
VICTIMS_USERS = 5
_WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%append_batch%'"
_WORKING = "select count(*) from pg_stat_activity where state = 'active' and query like '%append_batch%'"
KillDatabase = Callable[[], Awaitable[None]]


class Kill(msgspec.Struct, frozen=True):
    """``with_database``: PostgreSQL is killed in the same moment."""

    step: str
    with_database: bool = False

    def __str__(self) -> str:
        return self.step + (", and PostgreSQL with it" if self.with_database else "")

    @property
    def loses_the_answer(self) -> bool:
        return self.step in DIES_WITH_THE_ANSWER or (self.step == STORING and self.with_database)


class HeldAppends:
    def __init__(self, watching: asyncpg.Connection) -> None:
        self._watching = watching

    async def reached(self) -> None:
        """Returns when somebody's append waits."""
        await _until(self._watching, _WAITING)


class Killing:
    """One grant after another: a victim begins, dies, and survivors of other processes go on."""

    def __init__(
        self,
        verdict: Verdict,
        grounds: Grounds,
        survivors: list[Child],
        users: int,
        kill_database: KillDatabase,
        *,
        rotates: bool = True,
        mutant: str = "",
    ) -> None:
        self._verdict, self._grounds, self._survivors, self._users = verdict, grounds, survivors, users
        self._kill_database, self._rotates, self._mutant = kill_database, rotates, mutant

    async def kill(self, kill: Kill) -> None:
        grounds, traffic = self._grounds, self._grounds.provider.traffic
        connection_id = await grounds.link("ada")
        secret = await grounds.node.secret(connection_id)
        before = await grounds.node.state(connection_id)
        traffic.reset()
        tallies = await self._happen(kill, connection_id)
        tallies += await all_at_once(self._survivors, connection_id, self._users)
        outcomes = outcomes_of(tallies)
        self._verdict.did["kills" if kill.step != STANDS_STILL else "processes that stood still"] += 1
        self._verdict.did["PostgreSQL servers killed"] += kill.with_database
        self._verdict.did["users"] += outcomes.total()
        self._check(traffic.most_at_once_per_grant <= 1, kill, "several refreshes of the grant were open at once")
        asked = traffic.refreshes_of(secret.refresh_token or "") if secret else 0
        most = 2 if kill.loses_the_answer or kill.step == ASKED else 1
        self._check(0 < asked <= most, kill, f"the provider was asked {asked} times with the same refresh token")
        # A backend whose lock falls free in PostgreSQL's last moment may commit: then the answer was not lost after all.
        saved = kill.step == STORING and all(outcome.token for outcome in outcomes)
        if kill.loses_the_answer and self._rotates and not saved:
            await self._check_lost(kill, connection_id, outcomes)
        else:
            await self._check_works(kill, connection_id, outcomes, before.credential_version)

    async def lose_database(self) -> None:
        """PostgreSQL dies while the provider's answer is on its way: nobody else does."""
        grounds, kill = self._grounds, Kill(DATABASE_AWAY)
        connection_id = await grounds.link("ada")
        before = await grounds.node.state(connection_id)
        grounds.provider.traffic.reset()
        hold = grounds.provider.faults.hold(processed=True)
        waiting = asyncio.create_task(all_at_once(self._survivors, connection_id, self._users))
        await hold.reached()
        await self._kill_database()
        hold.release()
        outcomes = outcomes_of(await waiting)
        self._verdict.did["PostgreSQL servers killed"] += 1
        self._verdict.did["users"] += outcomes.total()
        self._check(grounds.provider.traffic.refreshes == 1, kill, "the provider was asked more than once")
        await self._check_works(kill, connection_id, outcomes, before.credential_version)

    async def _happen(self, kill: Kill, connection_id: UUID) -> list[Tally]:
        """Until the victim is dead; what survivors and a process that only stood still found meanwhile."""
        dies = (
            kill.step if kill.step in (BEFORE_STARTED, STARTED, ANSWERED, BEFORE_STORED, STORED, STANDS_STILL) else ""
        )
        turn = Turn(connection_id=connection_id, users=VICTIMS_USERS)
        async with Child.start(self._grounds.place, dies=dies, mutant=self._mutant) as victim:
            if kill.step == STANDS_STILL:
                return await self._stand_still(victim, turn)
            dying = asyncio.create_task(_die(victim, turn))
            if dies:
                await dying
                if kill.with_database:
                    await self._kill_database()
            else:
                await self._kill_from_outside(kill, victim)
                await dying
        return []

    async def _stand_still(self, victim: Child, turn: Turn) -> list[Tally]:
        """It goes on when its lease is over and somebody else is asking the provider."""
        still = asyncio.create_task(victim.take(turn))
        await victim.stands_still()
        hold = self._grounds.provider.faults.hold()
        others = asyncio.create_task(all_at_once(self._survivors, turn.connection_id, self._users))
        await hold.reached()
        victim.go_on()
        await asyncio.sleep(0.3)
        hold.release()
        return [await still, *await others]

    async def _kill_from_outside(self, kill: Kill, victim: Child) -> None:
        faults = self._grounds.provider.faults
        if kill.step == STARTING:
            async with self._appends_held() as held:
                await held.reached()
                await self._strike(kill, victim)
            return
        hold = faults.hold(processed=kill.step in (ROTATED, STORING))
        await hold.reached()
        if kill.step == STORING:
            async with self._appends_held() as held:
                hold.release()
                await held.reached()
                await self._strike(kill, victim)
            return
        await self._strike(kill, victim)
        hold.release() if kill.step == WORKING else hold.end()

    async def _strike(self, kill: Kill, victim: Child) -> None:
        victim.kill()
        if kill.with_database:
            await self._kill_database()

    @contextlib.asynccontextmanager
    async def _appends_held(self) -> AsyncIterator[HeldAppends]:
        """Whoever appends waits meanwhile; what waited is done when the block is left."""
        dsn = self._grounds.place.dsn
        holding, watching = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
        try:
            await holding.execute("begin")
            await holding.execute("select from tenant_heads for update")
            yield HeldAppends(watching)
            try:
                await holding.execute("commit")
                await _until(watching, _WORKING, 0)
            except Exception as error:
                if not is_lost(error):  # the server may have been killed
                    raise
        finally:
            holding.terminate()
            watching.terminate()

    async def _check_lost(self, kill: Kill, connection_id: UUID, outcomes: Counter[Outcome]) -> None:
        """The connection says clearly why it does not work, and works when it is connected again."""
        self._verdict.did["connections that ask to be connected again"] += 1
        for outcome, count in outcomes.items():
            said = f"{count} users were told {outcome.code or 'a token'} {outcome.message}"
            is_clear = outcome.code == "connection_unusable" and outcome.message == LOST_FROM_SIGHT
            self._check(is_clear, kill, said)
        status = (await self._grounds.node.state(connection_id)).status(utc_now())
        self._check(status is Status.ERROR, kill, f"the connection is {status}")
        again = await self._grounds.link("ada")
        outcomes = outcomes_of(await all_at_once(self._survivors, again, 1))
        self._check(all(one.token for one in outcomes), kill, "connecting again does not heal it")

    async def _check_works(
        self, kill: Kill, connection_id: UUID, outcomes: Counter[Outcome], version_before: int
    ) -> None:
        self._verdict.did["connections that work"] += 1
        secret = await self._grounds.node.secret(connection_id)
        state = await self._grounds.node.state(connection_id)
        stored = secret.access_token if secret and secret.access_token else ""
        for outcome, count in outcomes.items():
            is_newest = outcome.token == stored and outcome.version == version_before + 1
            said = outcome.code and f"{outcome.code} {outcome.message}"
            self._check(is_newest, kill, f"{count} users got {said or 'another token than the one that is stored'}")
        self._check(state.status(utc_now()) is Status.ACTIVE, kill, f"the connection is {state.status(utc_now())}")
        is_worth = await self._grounds.provider.whose(stored) == "ada"
        self._check(is_worth or not stored, kill, "the provider refuses the stored token")

    def _check(self, holds: bool, kill: Kill, otherwise: str) -> None:
        self._verdict.check(holds, f"{kill}: {otherwise}")


def outcomes_of(tallies: list[Tally]) -> Counter[Outcome]:
    found: Counter[Outcome] = Counter()
    for tally in tallies:
        found.update(dict(tally.outcomes))
    return found


async def _die(victim: Child, turn: Turn) -> None:
    with contextlib.suppress(ChildEnded):
        await victim.take(turn)
        raise AssertionError("the process that should have died answered")
    await victim.ended()


async def _until(connection: asyncpg.Connection, question: str, wanted: int | None = None) -> None:
    """Until this number is as wanted; by default until it is not 0."""
    async with asyncio.timeout(30):
        while True:
            count = await connection.fetchval(f"{question} and pid <> pg_backend_pid()")
            if count == wanted or (wanted is None and count):
                return
            await asyncio.sleep(0.01)
