"""All users of several processes use one connection at the same moment, again and again; the provider is asked once each time."""

from __future__ import annotations

import asyncio
import random
import time
from itertools import cycle
from uuid import UUID

from domain.connections.connection import Connection
from domain.connections.secret import Secret
from scripts.providers import faults
from scripts.torturing.refresh_ground import Child, Grounds, all_at_once
from scripts.torturing.refresh_kills import outcomes_of
from scripts.torturing.verdict import Verdict

EXPIRED = "at the moment of expiry"
REFUSED = "when the app has refused the token"
BEFORE = "shortly before the end"
_SLOWEST_ANSWER = 0.3
_STORED_SECONDS = 20.0


class Rounds:
    """``access_seconds`` is how long the provider's tokens live: real time lets them end."""

    def __init__(
        self, verdict: Verdict, grounds: Grounds, children: list[Child], users: int, access_seconds: float
    ) -> None:
        self._verdict, self._grounds, self._children = verdict, grounds, children
        self._users, self._access_seconds = users, access_seconds

    async def run(self, seconds: float, *, until_broken: bool = False) -> None:
        """For so long, and at least once in each way; or until a promise was broken."""
        until = time.monotonic() + seconds
        connection_id = await self._grounds.link("ada")
        for number, kind in enumerate(cycle((EXPIRED, EXPIRED, REFUSED, BEFORE))):
            if number >= 4 and time.monotonic() > until:
                return
            if until_broken and self._verdict.violations:
                return
            if kind == BEFORE:
                connection_id = await self._grounds.link("ada", seconds=30)
            await self._round(kind, connection_id)

    async def _round(self, kind: str, connection_id: UUID) -> None:
        traffic = self._grounds.provider.traffic
        state, old = await self._known(connection_id)
        self._grounds.provider.faults.plan(
            faults.delayed(random.uniform(0, _SLOWEST_ANSWER), processed=random.random() < 0.5)
        )
        begins = state.expires_at.timestamp() + 0.01 if kind == EXPIRED and state.expires_at else 0.0
        rejected = state.credential_version if kind == REFUSED else 0
        asked = traffic.refreshes
        begun = max(begins, time.time())
        tallies = await all_at_once(self._children, connection_id, self._users, at=begins, rejected=rejected)
        await self._stored(connection_id, state.credential_version)
        took, asked = time.time() - begun, traffic.refreshes - asked
        _, new = await self._known(connection_id)
        allowed = {new.access_token, old.access_token} if kind == BEFORE else {new.access_token}
        outcomes = outcomes_of(tallies)
        self._verdict.did[f"rounds {kind}"] += 1
        self._verdict.did["users"] += outcomes.total()
        check = self._verdict.check
        of_old = traffic.refreshes_of(old.refresh_token or "")
        check(of_old == 1, f"{kind}: {of_old} refreshes of one refresh token reached the provider")
        is_short = took < self._access_seconds / 2  # else the new token may have ended too
        check(asked == 1 or (asked > 1 and not is_short), f"{kind}: {asked} refreshes reached the provider")
        for outcome, count in outcomes.items():
            told = outcome.code and f"{outcome.code} {outcome.message}"
            is_fine = outcome.token in allowed or (bool(outcome.token) and not is_short)
            check(is_fine, f"{kind}: {count} users got {told or 'another token than the one that is stored'}")
        self._grounds.provider.faults.clear()

    async def _known(self, connection_id: UUID) -> tuple[Connection, Secret]:
        secret = await self._grounds.node.secret(connection_id)
        return await self._grounds.node.state(connection_id), secret or Secret()

    async def _stored(self, connection_id: UUID, version: int) -> None:
        """What was begun behind a good token is stored a little later."""
        deadline = time.monotonic() + _STORED_SECONDS
        while (await self._grounds.node.state(connection_id)).credential_version <= version:
            if time.monotonic() > deadline:
                self._verdict.check(False, "a refresh was not stored")
                return
            await asyncio.sleep(0.02)
