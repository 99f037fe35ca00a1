"""The programs' end of the line to a driving process: it says what to do as JSON lines and reads the answers."""

import subprocess
import threading
from types import TracebackType
from typing import Any

import msgspec

from bench.contenders import Entry, environment


class DriverError(Exception):
    """A contender answered with an error, died, or took longer than it may."""


class Driver:
    """One process that drives one contender; `tell` and `answer` are apart so that several can work at once."""

    def __init__(self, entry: Entry) -> None:
        self._name = entry.name
        self._process = subprocess.Popen(
            entry.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout

    def __enter__(self) -> "Driver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._requests.close()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._answers.close()

    def tell(self, action: str, **arguments: Any) -> None:
        """Send one request; each must be followed by one `answer`."""
        try:
            self._requests.write(msgspec.json.encode({"do": action, **arguments}).decode() + "\n")
            self._requests.flush()
        except BrokenPipeError as error:
            raise DriverError(f"{self._name} has ended with code {self._process.wait()}") from error

    def answer(self, timeout: float = 300) -> dict[str, Any]:
        """The answer to the oldest request; raises DriverError, also after `timeout` seconds."""
        watchdog = threading.Timer(timeout, self._process.kill)
        watchdog.start()
        try:
            line = self._answers.readline()
        finally:
            watchdog.cancel()
        if not line:
            raise DriverError(f"{self._name} gave no answer and ended with code {self._process.wait()}")
        answer: dict[str, Any] = msgspec.json.decode(line)
        if "error" in answer:
            raise DriverError(f"{self._name}: {answer['error']}")
        return answer

    def ask(self, action: str, **arguments: Any) -> dict[str, Any]:
        """One request and its answer."""
        self.tell(action, **arguments)
        return self.answer()
