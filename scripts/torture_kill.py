"""Killing: PostgreSQL, its backends, serving processes and whole services die in the middle of writes; what was
acknowledged stays, nothing is stored twice, and every read model equals the fold of its events."""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.pool import open_pool
from adapters.vault.keyring import Keyring
from scripts.torturing.developer import Developer, Reply
from scripts.torturing.killing import Victim
from scripts.torturing.read_models import audit_all, read_history
from scripts.torturing.services import data_folder
from scripts.torturing.verdict import Verdict, parser, run

_SETTLE_SECONDS = 60.0
_TOPICS = {"import": "connection.token_imported", "delete": "connection.deleted", "erase": "end_user.erased"}


class Customer:
    """Sends one command after another for an end user of its own, each until it is answered, and remembers."""

    def __init__(self, developer: Developer, url: str, number: int) -> None:
        self._developer = developer
        self._url = url
        self.user = f"user-{number}"
        self.is_connected = False
        self._is_known = False
        self.settled: Counter[str] = Counter()
        self.repeated = 0
        self.wrong: list[str] = []

    async def run(self, until: float) -> None:
        while time.monotonic() < until:
            choices = ["import"] * 6 + ["delete"] * self.is_connected + ["erase"] * self._is_known
            await self._settle(random.choice(choices), until + _SETTLE_SECONDS)

    async def _settle(self, what: str, deadline: float) -> None:
        command = uuid4().hex
        reply = await self._send(what, command)
        while reply.status in (0, 500, 503) and time.monotonic() < deadline:
            self.repeated += 1
            await asyncio.sleep(random.uniform(0.05, 0.3))
            reply = await self._send(what, command)
        if reply.status != 200:
            self.wrong.append(f"a repeated {what} of {self.user} was answered {reply.status} {reply.text[:200]}")
            return
        self.settled[what] += 1
        self.is_connected = what == "import"
        self._is_known = what != "erase"

    async def _send(self, what: str, command: str) -> Reply:
        if what == "import":
            return await self._developer.import_token(self._url, self.user, f"ghp_{command}", command)
        if what == "delete":
            return await self._developer.delete_connection(self._url, self.user, command)
        return await self._developer.erase(self._url, self.user, command)


async def torture(options: argparse.Namespace) -> Verdict:
    verdict = Verdict("kill")
    with data_folder() as folder:
        victim = Victim(folder / "data", options.processes)
        try:
            plan = (await victim.start()).plan()
            timeout = aiohttp.ClientTimeout(total=30)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                developer = Developer.of(session, plan)
                customers = [Customer(developer, victim.url, number) for number in range(options.customers)]
                stop = asyncio.Event()
                killing = asyncio.create_task(victim.kill_until(stop))
                until = time.monotonic() + options.seconds
                sending = asyncio.gather(*(customer.run(until) for customer in customers))
                await asyncio.sleep(options.seconds)
                stop.set()
                await killing
                await sending
                await _check_statuses(verdict, developer, victim.url, customers)
            server = await EmbeddedPostgres.start(folder / "data")
            try:
                await _check_database(verdict, server.dsn, folder / "data", plan.project_id, customers)
            finally:
                await server.stop()
        finally:
            if victim.service is not None:
                await victim.service.stop()
    for what, count in victim.killed.items():
        verdict.did[f"kills of a {what}"] = count
    return verdict


async def _check_statuses(verdict: Verdict, developer: Developer, url: str, customers: list[Customer]) -> None:
    for customer in customers:
        wanted = "connected" if customer.is_connected else "not-connected"
        reply = await developer.status(url, customer.user)
        for _ in range(50):  # read models of what was stored right before the last kill follow within seconds
            if reply.status == 200 and reply.json["github"] == wanted:
                break
            await asyncio.sleep(0.2)
            reply = await developer.status(url, customer.user)
        verdict.check(
            reply.status == 200 and reply.json["github"] == wanted,
            f"{customer.user} should be {wanted}: {reply.status} {reply.text[:100]}",
        )
        verdict.violations += customer.wrong
        verdict.did["commands acknowledged"] += customer.settled.total()
        verdict.did["repetitions"] += customer.repeated
    verdict.check(verdict.did["commands acknowledged"] > 0, "nothing was acknowledged")


async def _check_database(
    verdict: Verdict, dsn: str, data_dir: Path, project_id: UUID, customers: list[Customer]
) -> None:
    pool = await open_pool(dsn)
    try:
        history = await read_history(pool, project_id)
        stored = Counter(one.event.TOPIC for one in history)
        for what, topic in _TOPICS.items():
            wanted = sum(customer.settled[what] for customer in customers)
            verdict.check(stored[topic] == wanted, f"{wanted} {what}s were acknowledged, {stored[topic]} are stored")
        verdict.did["events stored"] = len(history)
        await audit_all(verdict, pool, Keyring.open(None, data_dir))
    finally:
        await pool.close()


def main(arguments: list[str]) -> int:
    options = parser("kill", __doc__ or "", seconds=30)
    options.add_argument("--processes", type=int, default=2, help="serving processes (2)")
    options.add_argument("--customers", type=int, default=12, help="end users that are written for at once (12)")
    return run(torture, options.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
