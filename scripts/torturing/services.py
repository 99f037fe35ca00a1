"""Starts services as processes of their own, listens to what they say, and ends them kindly or not."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from adapters.cli.quickstart import Plan
from adapters.postgres.embedded.postmaster import stop_postmaster

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 60
_STOP_SECONDS = 60


class ServiceEnded(Exception):
    """A service ended before it said what was waited for; the message is what it did say."""


class Service:
    """One start of app.py, with everything that it said."""

    def __init__(self, process: asyncio.subprocess.Process, data_dir: Path) -> None:
        self.process = process
        self.data_dir = data_dir
        self.url = ""
        self.said: deque[str] = deque(maxlen=5_000)
        self._more = asyncio.Event()
        self._listening = asyncio.gather(self._listen(process.stdout), self._listen(process.stderr))
        self._listening.add_done_callback(lambda _: self._more.set())  # whoever still waits hears of the end

    @classmethod
    async def start(cls, data_dir: Path, *arguments: str, command: str = "serve", **settings: str) -> "Service":
        """``settings`` are CAUSEWAY_* variables without the prefix; none is inherited. Any free port is taken."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CAUSEWAY_")}
        given = {"PORT": "0", "LOG": "json", **settings, "DATA_DIR": str(data_dir)}
        environment |= {f"CAUSEWAY_{name}": value for name, value in given.items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "app.py"),
            command,
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        return cls(process, data_dir)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    def plan(self) -> Plan:
        return msgspec.json.decode((self.data_dir / "quickstart.json").read_bytes(), type=Plan)

    async def serving(self) -> "Service":
        """Returns when the service takes connections; its ``url`` is known then."""
        self.url = (await self.hears("Causeway serves on ")).split("serves on ")[1].split()[0]
        return self

    async def hears(self, words: str) -> str:
        """The first line with these words; ServiceEnded when the service ends without it."""
        async with asyncio.timeout(_START_SECONDS):
            while True:
                self._more.clear()
                for line in self.said:
                    if words in line:
                        return line
                if self._listening.done():
                    raise ServiceEnded(self.text)
                await self._more.wait()

    async def ended(self) -> int:
        """The exit code, when all was said."""
        async with asyncio.timeout(_STOP_SECONDS):
            await self._listening
            return await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; the exit code. TimeoutError when it does not end; nothing is left running then either."""
        self.send(signal.SIGTERM)
        try:
            return await self.ended()
        except TimeoutError:
            await self.kill()
            raise

    async def kill(self) -> None:
        self.send(signal.SIGKILL)
        await self.process.wait()

    def send(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)

    def children(self) -> list[int]:
        """The process ids of the serving processes under this one."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [int(pid) for pid in listed if b"--child" in _command(int(pid))]

    async def _listen(self, stream: asyncio.StreamReader | None) -> None:
        if stream is not None:
            async for line in stream:
                self.said.append(line.decode(errors="replace").rstrip("\n"))
                self._more.set()


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextlib.asynccontextmanager
async def service(data_dir: Path, *arguments: str, **settings: str) -> AsyncIterator[Service]:
    """A service that serves, and is stopped at the end."""
    started = await Service.start(data_dir, *arguments, **settings)
    try:
        yield await started.serving()
    finally:
        await started.stop()


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """A new folder for data directories, which the account of an embedded PostgreSQL can enter; servers that are left
    in it are stopped, then it is removed.
    """
    folder = Path(tempfile.mkdtemp(prefix="causeway-torture-")).resolve()
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        for conf in folder.glob("*/conf"):
            stop_postmaster(conf.parent)
        shutil.rmtree(folder)
