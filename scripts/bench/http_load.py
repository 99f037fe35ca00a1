"""A bounded HTTP/1.1 load generator: keep-alive connections, each sends its next request when the last was answered.

In a process of its own: measure(...), or python -m bench.http_load --help.
"""

import argparse
import asyncio
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from time import perf_counter
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

from bench.contenders import environment
from bench.report import percentile

NextRequest = Callable[[], bytes]
_STALL_SECONDS = 30


class LoadError(Exception):
    """The server cannot be reached, answers without Content-Length, or has stopped answering."""


@dataclass(frozen=True)
class Load:
    """What one measurement found; `lost` counts connections that ended before their answer, the warm-up included."""

    requests: int
    seconds: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    non_2xx: int
    lost: int


def request_bytes(method: str, path: str, host: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """A whole request; Content-Length is added when there is a body or the method expects one."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    if body or method in {"POST", "PUT", "PATCH"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def same(method: str = "GET", path: str = "/", host: str = "localhost", **options: Any) -> NextRequest:
    """The simplest source of requests: always the same bytes. Options: headers (object), body (text)."""
    ready = request_bytes(method, path, host, options.get("headers"), options.get("body", "").encode())
    return lambda: ready


class _Window:
    """Counts answers between the end of the warm-up and the end of the measurement."""

    def __init__(self, warm_up: float, seconds: float | None, limit: int | None) -> None:
        self.begin = perf_counter() + warm_up
        self.end = self.begin + seconds if seconds is not None else float("inf")
        self.limit = limit
        self.latencies: list[float] = []
        self.answers = 0
        self.non_2xx = 0
        self.lost = 0
        self.last = self.begin

    def open(self) -> bool:
        return perf_counter() < self.end and (self.limit is None or len(self.latencies) < self.limit)

    def answered(self, started: float, status: bytes) -> None:
        now = perf_counter()
        self.answers += 1
        if self.begin <= now <= self.end and (self.limit is None or len(self.latencies) < self.limit):
            self.latencies.append(now - started)
            self.last = now
            if status[:1] != b"2":
                self.non_2xx += 1


class _Connection(asyncio.Protocol):
    """One keep-alive connection; `finished` is set when the window is closed or the connection has ended."""

    def __init__(self, next_request: NextRequest, window: _Window) -> None:
        self._next, self._window = next_request, window
        self._buffer = bytearray()
        self._missing = 0  # bytes of the body that have not come yet, once the head has
        self._status = b""
        self._started = 0.0
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is not derived from it
        self._send()

    def _send(self) -> None:
        if not self._window.open():
            self._finish()
            return
        data = self._next()
        self._started = perf_counter()
        self._transport.write(data)

    def _finish(self, error: Exception | None = None) -> None:
        if not self.finished.done():
            if error is not None:
                self.finished.set_exception(error)
            else:
                self.finished.set_result(None)
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._status and not self._read_head():
            return
        if len(self._buffer) < self._missing:
            return
        del self._buffer[: self._missing]
        self._window.answered(self._started, self._status)
        self._status = b""
        self._send()

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[:end]).lower()
        del self._buffer[: end + 4]
        self._status = head[9:12]
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            self._missing = int(head[at + 17 :].split(b"\r\n", 1)[0])
        elif self._status in {b"204", b"304"}:
            self._missing = 0
        else:
            self._finish(LoadError(f"an answer without Content-Length: {head[:200]!r}"))
            return False
        return True

    def connection_lost(self, exception: Exception | None) -> None:
        if not self.finished.done():
            self._window.lost += 1
            self.finished.set_result(None)


async def _keep_asking(host: str, port: int, next_request: NextRequest, window: _Window) -> None:
    while window.open():
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(next_request, window), host, port
            )
        except OSError as error:
            raise LoadError(f"no connection to {host}:{port}: {error}") from error
        await connection.finished


async def _watched(work: asyncio.Future[Any], window: _Window) -> None:
    """Wait for all connections; raises TimeoutError when none has had an answer for a while."""
    seen = -1
    while not (await asyncio.wait({work}, timeout=_STALL_SECONDS))[0]:
        if window.answers == seen:
            work.cancel()
            raise TimeoutError
        seen = window.answers
    await work


async def generate(
    url: str,
    next_request: NextRequest,
    *,
    connections: int,
    seconds: float | None = None,
    requests: int | None = None,
    warm_up: float = 0.5,
) -> Load:
    """Load a server on this machine for `seconds` or until `requests` answers are counted; raises LoadError."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    if host != "localhost" and not ip_address(host).is_loopback:
        raise LoadError(f"{host} is another machine; load is made on this one only")
    if (seconds is None) == (requests is None):
        raise LoadError("say either how many seconds or how many requests")
    window = _Window(warm_up, seconds, requests)
    work = asyncio.gather(*(_keep_asking(host, port, next_request, window) for _ in range(connections)))
    try:
        await _watched(work, window)
    except TimeoutError as error:
        raise LoadError(f"{url} has stopped answering") from error
    if not window.latencies:
        raise LoadError(f"{url} has answered nothing")
    ordered = sorted(window.latencies)
    elapsed = seconds if seconds is not None else window.last - window.begin
    return Load(
        requests=len(ordered),
        seconds=elapsed,
        requests_per_second=len(ordered) / elapsed,
        p50_ms=percentile(ordered, 0.5) * 1_000,
        p99_ms=percentile(ordered, 0.99) * 1_000,
        non_2xx=window.non_2xx,
        lost=window.lost,
    )


def measure(url: str, *, source: str = "bench.http_load:same", arguments: dict[str, Any], **bounds: float) -> Load:
    """The same in a process of its own.

    `source` is "module:function"; called with `arguments` (JSON values) it gives the callable that makes each request.
    `bounds` are connections, warm_up, and either seconds or requests. Raises LoadError.
    """
    command = [sys.executable, "-m", "bench.http_load", url, "--source", source, "--arguments", "-"]
    for name, value in bounds.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    done = subprocess.run(command, input=json.dumps(arguments), capture_output=True, text=True, env=environment())
    if done.returncode:
        raise LoadError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"code {done.returncode}")
    return Load(**json.loads(done.stdout))


def main() -> int:
    options = argparse.ArgumentParser(description="Load an HTTP/1.1 server on this machine; prints JSON.")
    options.add_argument("url", help="http://127.0.0.1:PORT; the path comes from the source of requests")
    options.add_argument("--source", default="bench.http_load:same", help="module:function that makes the requests")
    options.add_argument("--arguments", default="{}", help="its arguments as a JSON object, or - for standard input")
    options.add_argument("--connections", type=int, default=1)
    options.add_argument("--seconds", type=float)
    options.add_argument("--requests", type=int)
    options.add_argument("--warm-up", type=float, default=0.5)
    given = options.parse_args()
    module, _, name = given.source.partition(":")
    text = sys.stdin.read() if given.arguments == "-" else given.arguments
    next_request = getattr(importlib.import_module(module), name)(**json.loads(text))
    bounds = {key: getattr(given, key) for key in ("connections", "seconds", "requests", "warm_up")}
    try:
        found = uvloop.run(generate(given.url, next_request, **bounds))
    except LoadError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
