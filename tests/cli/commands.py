"""Runs the commands of the program, in this process or as a process of their own."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from contextlib import aclosing
from pathlib import Path

import msgspec

from adapters.cli import auditing
from adapters.cli.progress import Out
from adapters.postgres.notification_log import LibraryNotifications
from adapters.vault.vault import PostgresVault
from app import Causeway
from projections.catalogue import ALL_PROJECTIONS
from tests.conftest import Ground

ROOT = Path(__file__).parents[2]


class Terminal(io.StringIO):
    """A stream that people look at."""

    def isatty(self) -> bool:
        return True


class Said(msgspec.Struct):
    """What a command came to."""

    code: int
    out: str
    aside: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> list[dict[str, object]]:
        return [msgspec.json.decode(line) for line in self.lines]


async def audit(wired: Causeway, *arguments: object) -> Said:
    """scripts/replay_audit with these arguments, over this process's pool."""
    out, aside = io.StringIO(), io.StringIO()
    auditor = auditing.Auditor(
        wired.pool,
        ALL_PROJECTIONS,
        lambda connection: PostgresVault(connection, wired.keyring),
        lambda: aclosing(LibraryNotifications(wired.dsn)),
    )
    code = await auditor.run(auditing.parse([str(one) for one in arguments]), Out.to(out), Out.to(aside))
    return Said(code, out.getvalue(), aside.getvalue())


def without_settings() -> dict[str, str]:
    """This process's environment, but nothing of Causeway's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CAUSEWAY_")}


def environment(ground: Ground, dsn: str) -> dict[str, str]:
    """What a process of its own needs to work on the test's database."""
    return {
        **without_settings(),
        "CAUSEWAY_DATABASE_URL": dsn,
        "CAUSEWAY_DATA_DIR": str(ground.data_dir),
        "CAUSEWAY_MASTER_KEY": ground.master_key,
        "CAUSEWAY_LOG": "json",
    }


async def start(environment: dict[str, str], *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        ROOT / "app.py",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(environment: dict[str, str], *arguments: str) -> Said:
    process = await start(environment, *arguments)
    async with asyncio.timeout(60):
        out, aside = await process.communicate()
    return Said(process.returncode or 0, out.decode(), aside.decode())
