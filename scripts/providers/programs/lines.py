"""The other end of a provider's pipe: settings first, then things to do, each answered with one JSON line."""

import json
import sys
import threading
from collections.abc import Callable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

Settings = dict[str, Any]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 256


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """A request line may hold a code, so none is written."""


def read_settings() -> Settings:
    settings = json.loads(sys.stdin.readline())
    assert isinstance(settings, dict)
    return settings


def serve(application: Any, obey: Callable[[Settings], None]) -> None:
    """Serves on a free port of 127.0.0.1 until the input ends; `obey` does what each further line says."""
    with make_server("127.0.0.1", 0, application, _Server, _QuietHandler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        _say({"port": server.server_port})
        for line in sys.stdin:
            try:
                obey(json.loads(line))
                _say({})
            except Exception as error:
                _say({"failed": f"{type(error).__name__}: {error}"})
        server.shutdown()


def _say(answer: Settings) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
