"""Deletion: a project is deleted while several processes import for it; once that is acknowledged nothing survives but
the history, which stays readable."""

import argparse
import asyncio
import sys
import time
from collections import Counter
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.pool import Pool, open_pool
from adapters.vault.keyring import Keyring
from adapters.vault.vault import PostgresVault
from domain.events import FORGOTTEN, Sealed
from projections.catalogue import ALL_PROJECTIONS
from scripts.torturing.developer import Developer, Reply
from scripts.torturing.fleet import fleet
from scripts.torturing.read_models import read_history
from scripts.torturing.services import data_folder
from scripts.torturing.verdict import Verdict, parser, run

_GONE = {(401, 900), (404, 901)}
_SECRETS = ("credentials", "uniques", "commands", "snapshots", "token_marks", "emptying")


class Round:
    """One project, from its first import to the last."""

    def __init__(self, verdict: Verdict, urls: list[str], developer: Developer) -> None:
        self._verdict = verdict
        self._urls = urls
        self._developer = developer
        self._deleted = asyncio.Event()
        self._answers: Counter[int] = Counter()

    @property
    def project_id(self) -> UUID:
        return UUID(self._developer.project_id)

    async def run(self, callers: int, seconds: float) -> None:
        importing = [asyncio.create_task(self._import(url)) for url in self._urls for _ in range(callers)]
        await asyncio.sleep(seconds)
        answer = await self._developer.manage("DELETE", self._urls[0], "")
        self._verdict.check(answer.status == 200, f"deleting was answered {answer.status} {answer.text[:100]}")
        self._deleted.set()
        await asyncio.gather(*importing)
        self._verdict.did["projects deleted"] += 1
        self._verdict.did["imports before"] += self._answers[200]
        self._verdict.check(self._answers[200] > 0, "no import was acknowledged before the deletion")

    async def _import(self, url: str) -> None:
        """Imports until some time after the deletion: whatever began after its answer must be refused."""
        after = 0
        while after < 5:
            is_after = self._deleted.is_set()
            reply = await self._developer.import_token(url, uuid4().hex, uuid4().hex, uuid4().hex)
            self._answers[reply.status] += 1
            is_refused = (reply.status, _code(reply)) in _GONE
            self._verdict.check(
                is_refused or (reply.status == 200 and not is_after),
                f"an import {'after' if is_after else 'around'} the deletion was answered {reply.status} {reply.text[:100]}",
            )
            if is_after:
                after += 1
                self._verdict.did["imports refused afterwards"] += is_refused


def _code(reply: Reply) -> object:
    return reply.json.get("code") if reply.text.startswith("{") else None


async def _check_nothing_is_left(verdict: Verdict, pool: Pool, keyring: Keyring, project_id: UUID) -> None:
    for table in _SECRETS:
        left = await pool.fetchval(f"select count(*) from {table} where tenant_id = $1", project_id)
        verdict.check(left == 0, f"{left} rows are left in {table}")
    keys = "select count(*) from data_keys where tenant_id = $1 and wrapped_key is not null"
    verdict.check(await pool.fetchval(keys, project_id) == 0, "data keys are left")
    for table in {table.name for projection in ALL_PROJECTIONS for table in projection.tables}:
        left = await pool.fetchval(f"select count(*) from {table} where tenant_id = $1", project_id)
        verdict.check(left == 0, f"{left} rows are left in {table}")
    history = await read_history(pool, project_id)
    topics = [one.event.TOPIC for one in history]
    verdict.check(topics[-1:] == ["project.deleted"], "the history does not end with the deletion")
    reveal = await PostgresVault(pool, keyring).revealer(history)
    sealed = [getattr(one.event, name) for one in history for name in one.event.SEALED]
    verdict.check(bool(sealed), "the history holds nothing personal")
    verdict.check(
        all(reveal(value) is FORGOTTEN for value in sealed if isinstance(value, Sealed)), "personal texts can be read"
    )
    verdict.did["events of deleted projects read"] += len(history)


async def _rounds(verdict: Verdict, data_dir: Path, options: argparse.Namespace) -> list[UUID]:
    projects = []
    async with fleet(data_dir, options.processes) as services, aiohttp.ClientSession() as session:
        owner = Developer.of(session, services[0].plan())
        urls = [service.url for service in services]
        end = time.monotonic() + options.seconds
        while not projects or time.monotonic() < end:
            developer = await owner.new_project(urls[0])
            one = Round(verdict, urls, developer)
            await one.run(options.callers, seconds=0.5)
            projects.append(one.project_id)
    return projects  # the services are stopped: what they still had in memory is written


async def torture(options: argparse.Namespace) -> Verdict:
    verdict = Verdict("delete_project")
    with data_folder() as folder:
        data_dir = folder / "data"
        projects = await _rounds(verdict, data_dir, options)
        server = await EmbeddedPostgres.start(data_dir)
        pool = await open_pool(server.dsn)
        try:
            for project_id in projects:
                await _check_nothing_is_left(verdict, pool, Keyring.open(None, data_dir), project_id)
        finally:
            await pool.close()
            await server.stop()
    return verdict


def main(arguments: list[str]) -> int:
    options = parser("delete_project", __doc__ or "", seconds=20)
    options.add_argument("--processes", type=int, default=3, help="services on one database (3)")
    options.add_argument("--callers", type=int, default=6, help="imports in flight per service (6)")
    return run(torture, options.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
