"""HTTP: how much of a bare aiohttp handler's speed the status read, the credential fetch and the import keep."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from statistics import median

from bench.http_load import measure, request_bytes
from bench.report import Row, Sample, table

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTION = """\
Starts the service as a newcomer does (one process, embedded PostgreSQL, default durability, one log line per request into
a file) and, beside it, a bare aiohttp handler that answers a constant; loads each with 1 and with 64 keep-alive
connections from a process of its own, in turn.

  status  GET .../users/{user}/connections/status?appKeys=...: who asks is looked up in the database at every request
  fetch   GET /internal/v1/instances/{instance}/connections?provider=...: proxy key, grant, connection and secret are looked
          up at every request, and the secret is decrypted
  import  POST .../users/{user}/connections/import, a new end user each time: token checked, secret sealed, three facts
          and two events committed, read models followed before the answer

Printed: requests per second, p50 and p99 as medians over the rounds, and the share of the bare handler's rate."""


def status_requests(token: str, project: str) -> Callable[[], bytes]:
    path = f"/api/v1/ipaas/projects/{project}/users/measured/connections/status?appKeys=github,telegram-bot"
    request = request_bytes("GET", path, "localhost", {"Authorization": f"Bearer {token}"})
    return lambda: request


def fetch_requests(instance: str, key: str) -> Callable[[], bytes]:
    path = f"/internal/v1/instances/{instance}/connections?provider=gmail"
    request = request_bytes("GET", path, "localhost", {"Authorization": f"Bearer {key}"})
    return lambda: request


def import_requests(token: str, project: str, run: str) -> Callable[[], bytes]:
    numbers = count()
    body = b'{"appKey":"github","scopes":[],"accessToken":"ghp_0123456789abcdef0123456789abcdef0123"}'

    def request() -> bytes:
        path = f"/api/v1/ipaas/users/u-{run}-{next(numbers)}/connections/import"
        return request_bytes("POST", path, "localhost", {"Authorization": f"Bearer {token}"}, body)

    return request


def bare_requests() -> Callable[[], bytes]:
    request = request_bytes("GET", "/", "localhost")
    return lambda: request


def serve_bare() -> None:
    """The limit: aiohttp on uvloop with one handler that does nothing."""
    import uvloop
    from aiohttp import web

    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"github": "connected", "telegram-bot": "not-connected"})

    app = web.Application()
    app.router.add_get("/", handler)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=None, print=lambda *_: None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], url: str, environment: dict[str, str], log: Path) -> Iterator[None]:
    """A server process, from its first answer until it has stopped."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        try:
            for _ in range(300):
                try:
                    urllib.request.urlopen(url, timeout=1).close()
                    break
                except OSError:
                    if process.poll() is not None:
                        sys.exit(f"the server has ended:\n{log.read_text()}")
                    time.sleep(0.1)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(40)


def main() -> int:
    if len(sys.argv) > 1 and sys.argv[1] == "serve-bare":
        serve_bare()
        return 0
    parser = argparse.ArgumentParser(description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each round (5)")
    parser.add_argument("--rounds", type=int, default=3, help="per cell; medians are printed (3)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="causeway-bench-")))
        folder.chmod(0o711)
        port, bare = free_port(), free_port()
        base = {
            **os.environ,
            "CAUSEWAY_DATA_DIR": str(folder / "data"),
            "CAUSEWAY_PORT": str(port),
            "CAUSEWAY_LOG": "json",
        }
        serve = [sys.executable, str(ROOT / "app.py"), "serve"]
        stack.enter_context(running(serve, f"http://127.0.0.1:{port}/healthz", base, folder / "service.log"))
        alone = [sys.executable, str(Path(__file__).resolve()), "serve-bare", str(bare)]
        stack.enter_context(running(alone, f"http://127.0.0.1:{bare}/", dict(os.environ), folder / "bare.log"))
        rows = cells(options, folder, port, bare)
    report(rows, as_json=options.json)
    return 0


def cells(options: argparse.Namespace, folder: Path, port: int, bare: int) -> list[Row]:
    start = json.loads((folder / "data" / "quickstart.json").read_text())
    keys = {"token": start["project_token"], "project": start["project_id"]}
    service, limit = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{bare}"
    fetch = granted(service, keys["token"])
    seed = {**keys, "run": "seed"}
    measure(service, source="bench_http:import_requests", arguments=seed, connections=1, requests=20, warm_up=0)
    samples: dict[tuple[str, str], list[Sample]] = {}
    for number in range(options.rounds):
        for connections in (1, 64):
            sources = {
                "bare": (limit, "bench_http:bare_requests", {}),
                "status": (service, "bench_http:status_requests", keys),
                "fetch": (service, "bench_http:fetch_requests", fetch),
                "import": (service, "bench_http:import_requests", {**keys, "run": f"{number}-{connections}"}),
            }
            for name, (url, source, arguments) in sources.items():
                load = measure(
                    url, source=source, arguments=arguments, connections=connections, seconds=options.seconds, warm_up=1
                )
                if load.non_2xx or load.lost:
                    sys.exit(f"{name}: {load.non_2xx} refused, {load.lost} connections lost")
                sample = Sample(load.requests_per_second, load.p50_ms, load.p99_ms)
                samples.setdefault((f"{connections}-connections", name), []).append(sample)
    return [Row(cell, name, found) for (cell, name), found in samples.items()]


def granted(service: str, token: str) -> dict[str, str]:
    """An instance that was granted a customer's OAuth 2 connection, and its proxy key."""

    def made(path: str, **body: object) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(service + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    customer = made("/v1/customers")["id"]
    tokens = {
        "access_token": "at-" + "a" * 60,
        "refresh_token": "rt-" + "r" * 60,
        "expires_at": int(time.time()) + 86_400,
    }
    connections = f"/v1/customers/{customer}/connections"
    connection = made(connections, provider="gmail", name="inbox", credentials=tokens, scopes=["mail.send"])["id"]
    instance = made("/v1/instances", name="bench")
    made(f"{connections}/{connection}/grants", instance_id=instance["id"], capabilities=["send_mail"])
    return {"instance": instance["id"], "key": instance["proxy_key"]}


def report(rows: list[Row], *, as_json: bool) -> None:
    rates = {(row.cell, row.contender): median(row.values("per_second")) for row in rows}
    shares = {
        f"{cell} {name}": round(rate / rates[cell, "bare"], 3) for (cell, name), rate in rates.items() if name != "bare"
    }
    if as_json:
        print(json.dumps({"per_second": {f"{c} {n}": rate for (c, n), rate in rates.items()}, "shares": shares}))
        return
    print(table(rows))
    for name, share in shares.items():
        print(f"{name}: {share:.2f} of the bare handler")


if __name__ == "__main__":
    sys.exit(main())
