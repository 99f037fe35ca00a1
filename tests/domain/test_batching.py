"""Batches: one flight at a time, whatever queues meanwhile goes next, and everybody hears their own answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest

from domain.batching import Batcher, SharedQuery, settle

Numbers = list[tuple[int, "asyncio.Future[int]"]]


class Flights:
    """Answers each number with its double, as soon as the gate is open; notes what flew together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.in_flight = self.most_in_flight = 0

    async def run(self, batch: Numbers) -> None:
        self.batches.append([number for number, _ in batch])
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await self.gate.wait()
        self.in_flight -= 1
        if any(number == 13 for number, _ in batch):
            raise ValueError("thirteen")
        for number, future in batch:
            settle(future, 2 * number)


@pytest.fixture
async def flights() -> Flights:
    return Flights()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_lonely_caller_waits_for_nobody(flights: Flights) -> None:
    batcher = Batcher(flights.run)
    assert await batcher.submit(1) == 2
    assert flights.batches == [[1]]


async def test_what_queues_during_a_flight_goes_next_together(flights: Flights) -> None:
    batcher = Batcher(flights.run)
    flights.gate.clear()
    first = batcher.submit(1)
    await settled()
    others = [batcher.submit(number) for number in (2, 3, 4)]
    await settled()
    assert flights.batches == [[1]]
    flights.gate.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
    assert flights.batches == [[1], [2, 3, 4]]
    assert flights.most_in_flight == 1


async def test_a_batch_ends_at_its_limit(flights: Flights) -> None:
    batcher = Batcher(flights.run, limit=2)
    assert await asyncio.gather(*map(batcher.submit, range(5))) == [0, 2, 4, 6, 8]
    assert flights.batches == [[0, 1], [2, 3], [4]]


async def test_lanes_fly_beside_each_other(flights: Flights) -> None:
    batcher = Batcher(flights.run, limit=1, lanes=2)
    flights.gate.clear()
    waiting = [batcher.submit(number) for number in range(5)]
    await settled()
    assert flights.batches == [[0], [1]]
    flights.gate.set()
    await asyncio.gather(*waiting)
    assert flights.most_in_flight == 2


async def test_whoever_submits_when_a_flight_has_looked_for_the_last_time_is_not_forgotten(flights: Flights) -> None:
    batcher = Batcher(flights.run)
    heard: list[int] = []

    def submit_next(future: asyncio.Future[int]) -> None:
        heard.append(future.result())
        if len(heard) < 50:
            batcher.submit(100 + len(heard)).add_done_callback(submit_next)

    batcher.submit(100).add_done_callback(submit_next)
    async with asyncio.timeout(10):
        while len(heard) < 50:
            await asyncio.sleep(0)
    assert heard == [2 * (100 + number) for number in range(50)]


async def test_callers_that_follow_one_another_at_every_distance_are_all_answered(flights: Flights) -> None:
    for distance in range(12):
        batcher = Batcher(flights.run)
        first = batcher.submit(1)
        for _ in range(distance):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert await batcher.submit(2) == 4
            assert await first == 2


async def test_a_failed_flight_is_heard_by_its_own_and_the_next_one_flies(flights: Flights) -> None:
    batcher = Batcher(flights.run, limit=2)
    answers = await asyncio.gather(*map(batcher.submit, (1, 13, 3, 4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError, ValueError, int, int]
    assert await batcher.submit(5) == 10


async def test_a_cancelled_caller_cancels_nothing_of_its_batch(flights: Flights) -> None:
    batcher = Batcher(flights.run)
    flights.gate.clear()
    cancelled, kept, failed = batcher.submit(1), batcher.submit(2), batcher.submit(13)
    await settled()
    cancelled.cancel()
    failed.cancel()
    flights.gate.set()
    with pytest.raises(ValueError, match="thirteen"):
        await kept
    assert cancelled.cancelled()
    assert await batcher.submit(3) == 6


async def test_draining_waits_for_what_flies_and_what_queues(flights: Flights) -> None:
    batcher = Batcher(flights.run, limit=1)
    await batcher.drain()
    flights.gate.clear()
    waiting = [batcher.submit(number) for number in range(3)]
    draining = asyncio.create_task(batcher.drain())
    await settled()
    assert not draining.done()
    flights.gate.set()
    await draining
    assert all(future.done() for future in waiting)


async def test_a_choice_may_leave_some_for_later_and_they_are_not_forgotten(flights: Flights) -> None:
    def like_the_first(queue: deque[tuple[int, asyncio.Future[int]]], limit: int) -> Numbers:
        chosen = [one for one in queue if one[0] % 2 == queue[0][0] % 2][:limit]
        for one in chosen:
            queue.remove(one)
        return chosen

    batcher = Batcher(flights.run, choose=like_the_first, limit=2)
    assert await asyncio.gather(*map(batcher.submit, range(6))) == [0, 2, 4, 6, 8, 10]
    assert flights.batches == [[0, 2], [1, 3], [4], [5]]


class Doubles:
    """A statement that answers each number with its multiples; thirteen breaks it."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    async def fetch(self, statement: str, numbers: list[int]) -> Sequence[Sequence[Any]]:
        self.calls.append(numbers)
        await asyncio.sleep(0)
        if 13 in numbers:
            raise ValueError("thirteen")
        return [(place, number * times) for place, number in enumerate(numbers, start=1) for times in range(number)]


async def test_questions_that_are_asked_together_share_a_statement() -> None:
    doubles = Doubles()
    query = SharedQuery(doubles.fetch, "select")
    answers = await asyncio.gather(*map(query.ask, (2, 0, 3)))
    assert [[row[1] for row in rows] for rows in answers] == [[0, 2], [], [0, 3, 6]]
    assert doubles.calls == [[2, 0, 3]]


async def test_a_question_that_breaks_the_statement_is_the_only_one_to_hear_of_it() -> None:
    query = SharedQuery(Doubles().fetch, "select")
    answers = await asyncio.gather(*map(query.ask, (1, 13, 2)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [list, ValueError, list]
    with pytest.raises(ValueError, match="thirteen"):
        await query.ask(13)
