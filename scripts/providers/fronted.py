"""What the providers have in common that run as a program of their own behind a front."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scripts.providers.front import Front
from scripts.providers.program import Program
from scripts.providers.provider import Provider

Command = Sequence[str | Path]


class Fronted(Provider):
    """A provider whose software is untouched: trouble happens in the front, on the way."""

    def __init__(self, front: Front, program: Program) -> None:
        self._front, self._program = front, program
        self.faults, self.traffic = front.faults, front.traffic

    @property
    def url(self) -> str:
        return self._front.url

    async def register_redirect(self, uri: str) -> None:
        await self._program.ask({"redirect": uri})

    async def withdraw(self, user: str) -> None:
        await self._program.ask({"withdraw": user})

    async def stop(self) -> None:
        await self._front.stop()
        await self._program.stop()


async def launch(
    install: Callable[[str], Command], name: str, token_path: str, settings: dict[str, Any]
) -> tuple[Front, Program]:
    """Installs and starts the program `name`, which is told the front's origin as `url` beside its settings."""
    command = await asyncio.to_thread(install, name)
    front = Front(token_path)
    await front.start()
    try:
        program = await Program.start(command, {**settings, "url": front.url})
    except BaseException:
        await front.stop()
        raise
    front.leads_to(program.port)
    return front, program
