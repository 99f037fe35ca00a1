"""The five commands of the program, over whatever app.py wires."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from adapters.cli import auditing, rebuilding, rotating, serving
from adapters.cli.command_line import Command
from adapters.cli.progress import Out
from adapters.settings import Settings
from projections.projection import Projection
from projections.reading import Pool
from projections.rebuild import Rebuild


class MasterKeys(Protocol):
    """``path`` is the file that they come from, if any; ``ids`` has the current one first."""

    @property
    def path(self) -> Path | None: ...
    def ids(self) -> list[str]: ...


class Program(serving.Process, Protocol):
    """One process, wired, with what the commands beside the service need."""

    @property
    def pool(self) -> Pool: ...
    @property
    def rebuild(self) -> Rebuild: ...
    @property
    def keyring(self) -> MasterKeys: ...
    def auditor(self) -> auditing.Auditor: ...
    def rotation(self) -> rotating.Rotation: ...


P = TypeVar("P", bound=Program)


class Commands(Generic[P]):
    """``wiring`` opens databases and processes; ``check`` raises CannotStart where a database is not prepared."""

    def __init__(
        self, wiring: serving.Wiring[P], check: Callable[[P], Awaitable[None]], projections: Sequence[Projection]
    ) -> None:
        self._wiring = wiring
        self._check = check
        self._projections = projections

    def by_name(self) -> Mapping[str, Command]:
        return {
            "serve": self.serve,
            "migrate": self.migrate,
            "rotate_keys": self.rotate_keys,
            "rebuild": self.rebuild,
            "replay_audit": self.replay_audit,
        }

    async def serve(self, settings: Settings, arguments: Sequence[str]) -> int:
        return await serving.serve(settings, serving.parse(arguments), self._wiring)

    async def migrate(self, settings: Settings, arguments: Sequence[str]) -> int:
        argparse.ArgumentParser(prog="scripts/migrate", description="Brings the database up to date.").parse_args(
            arguments
        )
        async with self._wiring.database(settings) as dsn, self._wiring.wire(settings, dsn) as program:
            await self._wiring.prepare(program, False)
        return 0

    async def rebuild(self, settings: Settings, arguments: Sequence[str]) -> int:
        chosen = rebuilding.parse(arguments, self._projections)
        async with self._over_prepared(settings) as program:
            await rebuilding.make_tables(program.pool, self._projections)
            out = Out.to(sys.stdout)
            return await rebuilding.rebuild(program.rebuild, program.pool, self._projections, chosen, out)

    async def replay_audit(self, settings: Settings, arguments: Sequence[str]) -> int:
        chosen = auditing.parse(arguments)
        async with self._over_prepared(settings) as program:
            return await program.auditor().run(chosen, Out.to(sys.stdout), Out.to(sys.stderr))

    async def rotate_keys(self, settings: Settings, arguments: Sequence[str]) -> int:
        chosen = rotating.parse(arguments)
        async with self._over_prepared(settings) as program:
            keys = program.keyring
            return await rotating.rotate(program.rotation(), keys.path, keys.ids()[1:], chosen, Out.to(sys.stdout))

    @asynccontextmanager
    async def _over_prepared(self, settings: Settings) -> AsyncIterator[P]:
        """A wired process for one command, beside the service or without it."""
        async with self._wiring.database(settings) as dsn, self._wiring.wire(settings, dsn) as program:
            await self._check(program)
            yield program
