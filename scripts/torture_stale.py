"""Staleness: what one process has acknowledged, every other process shows at the very next request."""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

import aiohttp

from scripts.torturing.developer import Developer, Reply
from scripts.torturing.fleet import fleet
from scripts.torturing.services import data_folder
from scripts.torturing.verdict import Verdict, parser, run

Read = Callable[[str], Awaitable[Reply]]


class Watcher:
    """Writes on one process and reads on all the others, at once."""

    def __init__(self, developer: Developer, urls: list[str], verdict: Verdict) -> None:
        self._developer = developer
        self._urls = urls
        self._verdict = verdict

    async def connect_and_forget(self, until: float) -> None:
        developer, user = self._developer, uuid4().hex

        async def status(url: str) -> Reply:
            return await developer.status(url, user)

        while time.monotonic() < until:
            writer = self._writer()
            self._acknowledge(await developer.import_token(writer, user, uuid4().hex), 200, "connecting")
            await self._expect(writer, status, lambda reply: self._is(reply, "connected"), "after connecting")
            writer = self._writer()
            if random.random() < 0.5:
                self._acknowledge(await developer.delete_connection(writer, user), 200, "deleting")
                await self._expect(writer, status, lambda reply: self._is(reply, "not-connected"), "after deleting")
            else:
                self._acknowledge(await developer.erase(writer, user), 200, "erasing")
                await self._expect(writer, status, lambda reply: self._is(reply, "not-connected"), "after erasing")

    async def issue_and_revoke(self, until: float) -> None:
        while time.monotonic() < until:
            token_id, token = await self._developer.new_token(self._writer())
            guest = self._developer.with_token(token)

            async def ask(url: str, guest: Developer = guest) -> Reply:
                return await guest.status(url, "nobody")

            await self._expect("", ask, lambda reply: reply.status == 200, "with a new token")
            writer = self._writer()
            revoked = await self._developer.manage("DELETE", writer, f"/Token/{token_id}")
            self._acknowledge(revoked, 200, "revoking")
            await self._expect(writer, ask, lambda reply: reply.status == 401, "with a revoked token")

    def _writer(self) -> str:
        return random.choice(self._urls)

    def _acknowledge(self, reply: Reply, status: int, what: str) -> None:
        self._verdict.did["writes"] += 1
        self._verdict.check(reply.status == status, f"{what} was answered {reply.status} {reply.text[:100]}")

    async def _expect(self, writer: str, read: Read, holds: Callable[[Reply], bool], when: str) -> None:
        for reply in await asyncio.gather(*(read(url) for url in self._urls if url != writer)):
            self._verdict.did["reads on other processes"] += 1
            self._verdict.check(holds(reply), f"a stale read {when}: {reply.status} {reply.text[:100]}")

    def _is(self, reply: Reply, word: str) -> bool:
        return reply.status == 200 and bool(reply.json["github"] == word)


async def torture(options: argparse.Namespace) -> Verdict:
    verdict = Verdict("stale")
    with data_folder() as folder:
        async with fleet(folder / "data", options.processes) as services, aiohttp.ClientSession() as session:
            developer = Developer.of(session, services[0].plan())
            watcher = Watcher(developer, [service.url for service in services], verdict)
            until = time.monotonic() + options.seconds
            await asyncio.gather(
                *(watcher.connect_and_forget(until) for _ in range(options.users)),
                *(watcher.issue_and_revoke(until) for _ in range(2)),
            )
    verdict.check(verdict.did["reads on other processes"] > 0, "nothing was read")
    return verdict


def main(arguments: list[str]) -> int:
    options = parser("stale", __doc__ or "", seconds=20)
    options.add_argument("--processes", type=int, default=4, help="services on one database (4)")
    options.add_argument("--users", type=int, default=8, help="end users that are written for at once (8)")
    return run(torture, options.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
