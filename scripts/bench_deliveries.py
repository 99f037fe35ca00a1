"""Deliveries: how many webhooks per second one process posts, and how long one takes from the append to the receiver."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median

import aiohttp
import uvloop
from bench.report import percentile
from bench.server import fresh_database, running_server

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from adapters.cli.quickstart import Plan, read_plan
from adapters.logs import configure_logs
from adapters.settings import Settings
from app import Causeway, causeway, prepare
from domain.connections.use_cases import TokenSet
from domain.deciding import Caller
from domain.projects.project import ProjectSettings

DESCRIPTION = """\
One process (embedded PostgreSQL, default durability) imports tokens and posts a signed message about each to a receiver on
this machine, which is a process of its own.

  backlog  --messages wait; deliveries per second until the last has arrived, as the median over the rounds
  paced    --rate imports per second for --seconds: milliseconds from the moment that the event was recorded (before its commit)
           to the receiver's having the whole message; p50, p95 and p99 of all rounds together"""
_CALLER = Caller("project_token:measured")
_AT_ONCE = 64


def receive(port: int) -> None:
    """The receiver: notes when each message came; /seen waits for so many, tells of them and forgets."""
    from aiohttp import web

    seen: list[tuple[float, bytes]] = []
    came = asyncio.Event()

    async def note(request: web.Request) -> web.Response:
        body = await request.read()
        seen.append((time.time(), body))
        came.set()
        return web.Response()

    async def tell(request: web.Request) -> web.Response:
        while len(seen) < int(request.query["number"]):
            came.clear()
            await came.wait()
        told, seen[:] = [(at, json.loads(body)["timestamp"]) for at, body in seen], []
        return web.json_response(told)

    app = web.Application()
    app.add_routes([web.post("/hooks", note), web.get("/seen", tell)])
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=lambda *_: print("ready", flush=True))


@contextmanager
def receiver() -> Iterator[str]:
    """Its address, while it runs."""
    from bench_http import free_port

    port = free_port()
    command = [sys.executable, str(Path(__file__).resolve()), "receive", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        if process.stdout is None or not process.stdout.readline():
            sys.exit("the receiver has ended")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


class Bench:
    def __init__(self, wired: Causeway, plan: Plan, session: aiohttp.ClientSession) -> None:
        self.wired, self.project, self.session = wired, plan.project_id, session
        self.users = 0

    async def aim(self, address: str) -> None:
        settings = ProjectSettings(name="Measured", webhook_url=f"{address}/hooks")
        await self.wired.services.projects.change(self.project, _CALLER, settings)

    async def import_one(self) -> None:
        self.users += 1
        tokens = TokenSet(app_key="github", access_token="measured")
        commands = self.wired.services.connections
        await commands.import_token(self.project, _CALLER, f"user-{self.users}", tokens, replaces=False)

    async def import_many(self, number: int) -> None:
        async def one_after_another(share: int) -> None:
            for _ in range(share):
                await self.import_one()

        await asyncio.gather(*(one_after_another(number // _AT_ONCE) for _ in range(_AT_ONCE)))

    async def arrived(self, number: int) -> list[tuple[float, str]]:
        """When each of so many messages came, and what it says of when it happened."""
        async with self.session.get("/seen", params={"number": number}) as answer:
            return [(at, stamp) for at, stamp in await answer.json()]

    async def backlog(self, messages: int) -> float:
        """Deliveries per second."""
        await self.import_many(messages)
        waiting = messages // _AT_ONCE * _AT_ONCE
        running = asyncio.create_task(self.wired.deliveries.run())
        started = time.perf_counter()
        await self.arrived(waiting)
        seconds = time.perf_counter() - started
        running.cancel()
        await asyncio.wait([running])
        return waiting / seconds

    async def paced(self, rate: float, seconds: float) -> list[float]:
        """Milliseconds from append to receipt."""
        workers = self.wired.workers()
        workers.start()
        await asyncio.sleep(1)
        number, begun, tasks = round(rate * seconds), time.perf_counter(), set()
        for turn in range(number):
            await asyncio.sleep(max(0.0, begun + turn / rate - time.perf_counter()))
            task = asyncio.create_task(self.import_one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        found = await self.arrived(number)
        await workers.stop()
        return [(at - datetime.fromisoformat(stamp).timestamp()) * 1000 for at, stamp in found]


async def measure(dsn: str, folder: Path, address: str, options: argparse.Namespace) -> dict[str, float]:
    settings = Settings(
        database_url=dsn,
        database_pooler=False,
        data_dir=folder,
        host="127.0.0.1",
        port=0,
        master_key=None,
        public_url="http://127.0.0.1:1290",
        log="json",
        metrics_token=None,
        allow_private_networks=True,
    )
    async with causeway(settings, dsn) as wired, aiohttp.ClientSession(address) as session:
        await prepare(wired, lambda line: None)
        plan = read_plan(folder / "quickstart.json")
        if plan is None:
            sys.exit("there is no quickstart project")
        bench = Bench(wired, plan, session)
        await bench.aim(address)
        rates = [await bench.backlog(options.messages) for _ in range(options.rounds)]
        took = sorted([one for _ in range(options.rounds) for one in await bench.paced(options.rate, options.seconds)])
    return {
        "backlog, deliveries/s": round(median(rates)),
        f"paced at {options.rate:g}/s, p50 ms": round(median(took), 1),
        f"paced at {options.rate:g}/s, p95 ms": round(percentile(took, 0.95), 1),
        f"paced at {options.rate:g}/s, p99 ms": round(percentile(took, 0.99), 1),
        "paced, messages": len(took),
    }


def main() -> int:
    if sys.argv[1:2] == ["receive"]:
        receive(int(sys.argv[2]))
        return 0
    parser = argparse.ArgumentParser(description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=3_200, help="that wait in each round of backlog (3200)")
    parser.add_argument("--rate", type=float, default=200.0, help="imports per second (200)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each paced round (10)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    options = parser.parse_args()
    configure_logs("json")
    with (
        running_server() as server,
        fresh_database(server, "deliveries") as dsn,
        receiver() as address,
        tempfile.TemporaryDirectory() as folder,
    ):
        found = uvloop.run(measure(dsn, Path(folder), address, options))
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<28} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
