"""A process that uses a connection when it is told to, and may be told to die, or to stand still, at a step of the refresh.

python -m scripts.torturing.refresh_child, with an Orders in the first line of its input and a Turn in every later one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from domain.connections import refreshing
from domain.connections.connection import Connection
from domain.connections.events import RefreshStarted, TokenRefreshed
from domain.connections.oauth import OAuthClient, Obtained
from domain.connections.refresher import Refresher
from domain.errors import Refusal
from domain.ports import Append, Appended, EventStore
from scripts.torturing.refresh_node import Node, Place

BEFORE_STARTED = "before RefreshStarted is stored"
STARTED = "right after RefreshStarted is stored"
ANSWERED = "when the answer has arrived"
BEFORE_STORED = "before the answer is stored"
STORED = "right after the answer is stored"
STANDS_STILL = "stands still after RefreshStarted is stored"
OWN_STEPS = (BEFORE_STARTED, STARTED, ANSWERED, BEFORE_STORED, STORED, STANDS_STILL)
MUTANTS = ("undurable", "blind", "late")


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """``dies``: one of the steps, or nothing; ``mutant``: one of the mistakes, or nothing."""

    place: Place
    dies: str = ""
    mutant: str = ""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """``at``: when all users begin, in seconds of the clock."""

    connection_id: UUID
    users: int
    at: float = 0.0
    rejected: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """What a user came to: a token and its version, or the code of a refusal and its words."""

    token: str = ""
    version: int = 0
    code: str = ""
    message: str = ""


class Tally(msgspec.Struct):
    outcomes: list[tuple[Outcome, int]]
    complaints: dict[str, int]


class DyingStore:
    """The event store until the step has come."""

    def __init__(self, store: EventStore, step: str) -> None:
        self._store = store
        self._step = step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, append: Append) -> Appended:
        stored = {type(event) for stream in append.streams for event in stream.events}
        before = {BEFORE_STARTED: RefreshStarted, BEFORE_STORED: TokenRefreshed}
        after = {STARTED: RefreshStarted, STORED: TokenRefreshed, STANDS_STILL: RefreshStarted}
        if before.get(self._step) in stored:
            _send_myself(signal.SIGKILL)
        appended = await self._store.append(append)
        if after.get(self._step) in stored:
            _send_myself(signal.SIGSTOP if self._step == STANDS_STILL else signal.SIGKILL)
        return appended


class DyingClient:
    """The way to the provider until its answer has arrived."""

    def __init__(self, oauth: OAuthClient) -> None:
        self._oauth = oauth

    def __getattr__(self, name: str) -> Any:
        return getattr(self._oauth, name)

    async def refresh(self, *arguments: Any, **named: Any) -> Obtained:
        await self._oauth.refresh(*arguments, **named)
        _send_myself(signal.SIGKILL)
        raise AssertionError("unreachable")


def _send_myself(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def make_mutant(name: str) -> None:
    """The mistakes that the refresher was designed against, made on purpose."""
    if name == "undurable":  # begins without telling anybody
        Refresher._begin = _begin_untold  # type: ignore[method-assign]
    elif name == "blind":  # does not see that somebody else is asking
        refreshing.is_taken = lambda state, now: False
    elif name == "late":  # asks however long ago it began
        start = refreshing.start

        def start_without_end(state: Connection, now: datetime, lease: timedelta) -> Any:
            refresh, started = start(state, now, lease)
            far = now + timedelta(days=1)
            return msgspec.structs.replace(refresh, ask_by=far, answer_by=far), started

        refreshing.start = start_without_end


_begun: set[tuple[UUID, int]] = set()


async def _begin_untold(self: Refresher, project_id: UUID, connection_id: UUID, version: int) -> refreshing.Refresh:
    if (connection_id, version) in _begun:  # what nobody was told of nobody ends either
        raise refreshing.RefreshTrouble
    _begun.add((connection_id, version))
    found = await self._load(project_id, connection_id)
    return refreshing.start(found.connection, self._clock(), self._lease)[0]


async def use(node: Node, turn: Turn) -> Outcome:
    try:
        usable = await node.refresher.usable(node.place.project_id, turn.connection_id, rejected=turn.rejected)
    except Refusal as refusal:
        return Outcome(code=refusal.code, message=refusal.message)
    except Exception as error:  # told to whoever gave the order
        return Outcome(code=type(error).__name__, message=str(error))
    return Outcome(usable.secret.access_token or "", usable.version)


async def take_turn(node: Node, turn: Turn, complaints: Counter[str]) -> Tally:
    await asyncio.sleep(max(0.0, turn.at - time.time()))
    outcomes = Counter(await asyncio.gather(*(use(node, turn) for _ in range(turn.users))))
    return Tally(list(outcomes.items()), dict(complaints))


async def obey(orders: Orders) -> None:
    complaints: Counter[str] = Counter()
    parts: dict[str, Callable[..., Any]] = {"complain": lambda name, **known: complaints.update([name])}
    if orders.dies in (BEFORE_STARTED, STARTED, BEFORE_STORED, STORED, STANDS_STILL):
        parts["wrap_store"] = lambda store: DyingStore(store, orders.dies)
    if orders.dies == ANSWERED:
        parts["wrap_oauth"] = DyingClient
    async with Node.at(orders.place, **parts) as node:
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            tally = await take_turn(node, msgspec.json.decode(line, type=Turn), complaints)
            print(msgspec.json.encode(tally).decode(), flush=True)


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.readline(), type=Orders)
    make_mutant(given.mutant)
    asyncio.run(obey(given))
