"""A provider's program as a child process: it reads JSON lines of what to do, and answers each with a JSON line."""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_START_SECONDS = 60
_ANSWER_SECONDS = 30
_STOP_SECONDS = 10


class ProgramEnded(Exception):
    """The program ended, or answered that it failed; the message is the end of what it said."""


class Program:
    """The first line tells it its settings, and it answers with the `port` it listens on. It ends with its input."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said: deque[str] = deque(maxlen=50)
        self._listening = asyncio.create_task(self._listen())
        self._turn = asyncio.Lock()
        self.port = 0

    @classmethod
    async def start(cls, command: Sequence[str | Path], settings: dict[str, Any]) -> Program:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CAUSEWAY_")}
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        program = cls(process)
        try:
            program.port = int((await program.ask(settings, _START_SECONDS))["port"])
        except BaseException:
            await program.stop()
            raise
        return program

    async def ask(self, what: dict[str, Any], seconds: float = _ANSWER_SECONDS) -> dict[str, Any]:
        """Raises ProgramEnded, or TimeoutError after that many seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn, asyncio.timeout(seconds):
            try:
                self._process.stdin.write(json.dumps(what).encode() + b"\n")
                await self._process.stdin.drain()
                line = await self._process.stdout.readline()
            except ConnectionError:
                line = b""
            if not line:
                await self._listening
                raise ProgramEnded("\n".join(self._said))
            answer: dict[str, Any] = json.loads(line)
            if "failed" in answer:
                raise ProgramEnded(answer["failed"])
            return answer

    async def stop(self) -> None:
        """Ends its input, and it with that; it is killed when it does not listen."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._listening

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._said.append(line.decode(errors="replace").rstrip())
