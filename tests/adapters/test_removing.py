"""The loops that remove: they go on while there is something, and a database that is away ends none of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from adapters.workers.emptying import Emptying
from adapters.workers.expiry import Expiry


async def until(done: asyncio.Event, run: Awaitable[None]) -> None:
    """Runs the loop until it has done what it should."""
    loop = asyncio.ensure_future(run)
    async with asyncio.timeout(30):
        await done.wait()
    loop.cancel()
    await asyncio.wait([loop])
    assert loop.cancelled()


def removal(done: asyncio.Event, *answers: int | Exception) -> tuple[Callable[[int], Awaitable[int]], list[int]]:
    """A removal with these answers, then 0; and how many it was asked for each time."""
    asked: list[int] = []

    async def remove(at_most: int) -> int:
        asked.append(at_most)
        if len(asked) > len(answers):
            done.set()
            return 0
        answer = answers[len(asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return remove, asked


async def test_expiry_goes_on_at_once_while_any_of_its_removals_was_full() -> None:
    done = asyncio.Event()
    answers, asked_for_answers = removal(asyncio.Event(), 3)
    sessions, asked_for_sessions = removal(done, 1_000, 1_000, 2)
    await until(done, Expiry(answers, sessions).run(every_seconds=0))
    assert set(asked_for_answers + asked_for_sessions) == {1_000}
    assert len(asked_for_sessions) >= 4


async def test_a_removal_that_fails_keeps_no_other_from_its_work() -> None:
    done = asyncio.Event()
    failing, asked = removal(asyncio.Event(), ConnectionError(), ConnectionError())
    working, _ = removal(done, 5, 5)
    await until(done, Expiry(failing, working).run(every_seconds=0))
    assert len(asked) >= 3


async def test_emptying_takes_step_after_step_and_outlives_a_database_that_is_away() -> None:
    done = asyncio.Event()
    answers: list[bool | Exception] = [True, True, False, ConnectionError(), True]

    async def step() -> bool:
        if not answers:
            done.set()
            return False
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    await until(done, Emptying(step).run(every_seconds=0))
    assert answers == []
