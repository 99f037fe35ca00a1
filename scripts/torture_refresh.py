"""Refreshing: several processes use one connection at the moment when its token ends, and the one that refreshes is killed at
every step. The provider is asked once, everybody gets the token, no answer that was stored is lost, and what cannot work says
why."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import structlog

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.embedded.postmaster import find_postmaster
from scripts.providers.oidc import OidcProvider
from scripts.providers.provider import OAuth2Provider
from scripts.providers.quick import QuickProvider
from scripts.torturing.databases import migrated_database
from scripts.torturing.refresh_child import MUTANTS, STANDS_STILL
from scripts.torturing.refresh_ground import Child, Grounds
from scripts.torturing.refresh_kills import DIES_WITH_THE_ANSWER, STEPS, Kill, KillDatabase, Killing
from scripts.torturing.refresh_rounds import Rounds
from scripts.torturing.services import data_folder
from scripts.torturing.verdict import Verdict, parser, run

_ROUNDS_LEASE_SECONDS = 20.0
_SURVIVORS = 2


async def torture(options: argparse.Namespace) -> Verdict:
    """Over a mutant: until something is noticed, or there was time enough for it."""
    title = "refresh" + (f", by a refresher that is {options.mutant}" if options.mutant else "")
    verdict = Verdict(title)
    with data_folder() as folder:
        async with _database(folder, options.server) as (dsn, kill_database):
            if options.mutant != "late":
                await _rounds(verdict, dsn, folder, options)
            if options.mutant in (None, "late"):
                await _kills(verdict, dsn, folder, options, kill_database)
    return turned_round(verdict) if options.mutant else verdict


async def _rounds(verdict: Verdict, dsn: str, folder: Path, options: argparse.Namespace) -> None:
    async with contextlib.AsyncExitStack() as stack:
        provider = await _provider(options.oidc, options.access_seconds)
        await stack.enter_async_context(provider)
        async with migrated_database(dsn) as own:
            grounds = await stack.enter_async_context(Grounds.at(own, folder, provider, _ROUNDS_LEASE_SECONDS))
            children = await _children(stack, grounds, options.processes, options.mutant or "")
            rounds = Rounds(verdict, grounds, children, options.users, options.access_seconds)
            await rounds.run(options.seconds, until_broken=options.mutant is not None)
            most = provider.traffic.most_at_once_per_grant
            verdict.check(most <= 1, f"{most} refreshes of one grant were open at once")
            await stack.aclose()


async def _kills(
    verdict: Verdict, dsn: str, folder: Path, options: argparse.Namespace, kill_database: KillDatabase | None
) -> None:
    for rotates in (True,) if options.oidc or options.mutant else (True, False):
        async with contextlib.AsyncExitStack() as stack:
            provider = await _provider(options.oidc, 3600, rotates=rotates)
            await stack.enter_async_context(provider)
            async with migrated_database(dsn) as own:
                grounds = await stack.enter_async_context(Grounds.at(own, folder, provider, options.lease))
                survivors = await _children(stack, grounds, _SURVIVORS, "")
                killing = Killing(
                    verdict,
                    grounds,
                    survivors,
                    options.users,
                    kill_database or _nothing,
                    rotates=rotates,
                    mutant=options.mutant or "",
                )
                for kill in _chosen(options, rotates, kill_database is not None):
                    await killing.kill(kill)
                if rotates and kill_database and not options.mutant:
                    await killing.lose_database()
                await stack.aclose()


def _chosen(options: argparse.Namespace, rotates: bool, can_kill_database: bool) -> Sequence[Kill]:
    if options.mutant:
        return [Kill(STANDS_STILL)]
    chosen = [step for step in STEPS if not options.step or step in options.step]
    if not rotates:
        return [Kill(step) for step in DIES_WITH_THE_ANSWER if step in chosen]
    with_database = [Kill(step, with_database=True) for step in chosen if step != STANDS_STILL]
    return [*map(Kill, chosen), *(with_database if can_kill_database else [])]


async def _provider(is_oidc: bool, access_seconds: float, *, rotates: bool = True) -> OAuth2Provider:
    if is_oidc:
        return await OidcProvider.start(access_seconds=int(access_seconds), rotates=rotates)
    return await QuickProvider.start(access_seconds=int(access_seconds), rotates=rotates)


async def _children(stack: contextlib.AsyncExitStack, grounds: Grounds, count: int, mutant: str) -> list[Child]:
    starting = (stack.enter_async_context(Child.start(grounds.place, mutant=mutant)) for _ in range(count))
    return [await one for one in starting]


@contextlib.asynccontextmanager
async def _database(folder: Path, server_dsn: str | None) -> AsyncIterator[tuple[str, KillDatabase | None]]:
    """A server's address, and how to kill it: only one of our own, which is started again by itself."""
    if server_dsn is not None:
        yield server_dsn, None
        return
    server = await EmbeddedPostgres.start(folder / "data")
    watching = asyncio.create_task(server.watch())

    async def kill_database() -> None:
        pid = find_postmaster(folder / "data")
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    try:
        yield server.dsn, kill_database
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await server.stop()


async def _nothing() -> None:
    return


def turned_round(probe: Verdict) -> Verdict:
    """Over a mutant the probe has to find something."""
    verdict = Verdict(probe.title)
    verdict.did = probe.did
    verdict.did["broken promises noticed"] = len(probe.violations)
    verdict.check(bool(probe.violations), "the probe did not catch the mutant")
    return verdict


def main(arguments: list[str]) -> int:
    options = parser("refresh", __doc__ or "", seconds=30)
    options.add_argument("--processes", type=int, default=4, help="processes that use the connection (4)")
    options.add_argument("--users", type=int, default=50, help="users in each of them, all at once (50)")
    options.add_argument("--access-seconds", type=int, default=3, help="how long the provider's tokens live (3)")
    options.add_argument("--lease", type=float, default=4.0, help="seconds that a refresh belongs to who began it (4)")
    options.add_argument("--step", action="append", choices=STEPS, help="kill at this step alone; may be repeated")
    options.add_argument("--oidc", action="store_true", help="the certified oidc-provider instead of a quick one")
    options.add_argument("--server", help="as for tailing; a given server is not killed")
    options.add_argument("--mutant", choices=MUTANTS, help="with that mistake: the probe must catch it")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    return run(torture, options.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
