"""Drives one Python contender in a process of its own: reads JSON lines of what to do, answers JSON lines.

Usage: python -m bench.worker MODULE:CLASS. The programs start it; peers/emmett.mjs speaks the same lines.
"""

import asyncio
import importlib
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import msgspec
import uvloop

from bench.contenders import Contender, ThreadedContender, payload

EVENTS_PER_STREAM = 10


class Calls:
    """What the callers of one cell measure: latencies of the calls that end inside the window after the warm-up."""

    def __init__(self, warm_up: float, seconds: float) -> None:
        self._begin = perf_counter() + warm_up
        self._end = self._begin + seconds
        self._latencies: list[int] = []
        self.calls = 0

    def running(self) -> bool:
        return perf_counter() < self._end

    def done(self, started: float) -> None:
        now = perf_counter()
        self.calls += 1
        if self._begin <= now <= self._end:
            self._latencies.append(round((now - started) * 1_000_000))

    def answer(self) -> dict[str, Any]:
        return {"latencies_us": self._latencies, "calls": self.calls}


class Worker:
    """Answers the lines for one contender; each public method is one thing to do."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self._streams: list[UUID] = []

    async def install(self, dsn: str) -> dict[str, Any]:
        await self._contender.install(dsn)
        return {}

    async def open(self, dsn: str, connections: int) -> dict[str, Any]:
        await self._contender.open(dsn, connections)
        return {}

    async def append(
        self, callers: int, first_caller: int, tenants: int, warm_up: float, seconds: float
    ) -> dict[str, Any]:
        """Each caller fills stream after stream with ten events, knowing the version that it expects."""
        places = [number % tenants for number in range(first_caller, first_caller + callers)]
        if isinstance(self._contender, ThreadedContender):
            return await asyncio.to_thread(self._append_in_threads, places, warm_up, seconds)
        append, calls = self._contender.append, Calls(warm_up, seconds)

        async def caller(tenant: int) -> None:
            stream, version = uuid4(), 0
            while calls.running():
                data, started = payload(version), perf_counter()
                await append(stream, tenant, version, data)
                calls.done(started)
                stream, version = (stream, version + 1) if version + 1 < EVENTS_PER_STREAM else (uuid4(), 0)

        await asyncio.gather(*(caller(tenant) for tenant in places))
        return calls.answer()

    def _append_in_threads(self, places: Sequence[int], warm_up: float, seconds: float) -> dict[str, Any]:
        assert isinstance(self._contender, ThreadedContender)
        append, errors, counts = self._contender.append_now, list[Exception](), list[Calls]()

        def caller(tenant: int, calls: Calls) -> None:
            stream, version = uuid4(), 0
            try:
                while calls.running() and not errors:
                    data, started = payload(version), perf_counter()
                    append(stream, tenant, version, data)
                    calls.done(started)
                    stream, version = (stream, version + 1) if version + 1 < EVENTS_PER_STREAM else (uuid4(), 0)
            except Exception as error:
                errors.append(error)

        counts.extend(Calls(warm_up, seconds) for _ in places)
        threads = [threading.Thread(target=caller, args=pair) for pair in zip(places, counts, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        latencies = [latency for calls in counts for latency in calls.answer()["latencies_us"]]
        return {"latencies_us": latencies, "calls": sum(calls.calls for calls in counts)}

    async def seed(self, tenant: int, streams: int, events: int) -> dict[str, Any]:
        made = {uuid4(): [payload(value) for value in range(events)] for _ in range(streams)}
        await self._contender.seed(tenant, made)
        self._streams.extend(made)
        return {}

    async def load(self, tenant: int, events: int, warm_up: float, seconds: float) -> dict[str, Any]:
        """One caller loads the seeded streams in turn; every answer must have all `events`."""
        calls, load, turn = Calls(warm_up, seconds), self._contender.load, 0
        while calls.running():
            stream, started = self._streams[turn % len(self._streams)], perf_counter()
            found = await load(stream, tenant)
            calls.done(started)
            if found != events:
                raise ValueError(f"stream {stream} answered {found} of {events} events")
            turn += 1
        return calls.answer()

    async def project(self, tenant: int, seconds: float) -> dict[str, Any]:
        events, elapsed = await self._contender.project(tenant, seconds)
        return {"events": events, "seconds": elapsed}

    async def close(self) -> dict[str, Any]:
        await self._contender.close()
        return {}


async def _serve(worker: Worker) -> None:
    actions: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
        action.__name__: action
        for action in (
            worker.install, worker.open, worker.append, worker.seed, worker.load, worker.project, worker.close
        )
    }  # fmt: skip
    answers = sys.stdout
    sys.stdout = sys.stderr
    while line := await asyncio.to_thread(sys.stdin.readline):
        request = msgspec.json.decode(line)
        try:
            answer = await actions[request.pop("do")](**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(msgspec.json.encode(answer).decode() + "\n")
        answers.flush()


def main() -> None:
    module, _, name = sys.argv[1].partition(":")
    uvloop.run(_serve(Worker(getattr(importlib.import_module(module), name)())))


if __name__ == "__main__":
    main()
