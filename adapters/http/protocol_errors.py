"""What is no HTTP at all: aiohttp answers it before any route is known, and would quote what was sent, tokens included."""

from __future__ import annotations

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

_SAID = "The request is not valid HTTP."


def keep_protocol_errors_quiet() -> None:
    """Words them once for the whole process: a fixed sentence, one log line, and the connection is closed."""
    RequestHandler.handle_error = _handle_error  # type: ignore[method-assign]


def _handle_error(
    self: RequestHandler,
    request: web.BaseRequest,
    status: int = 500,
    exc: BaseException | None = None,
    message: str | None = None,
) -> web.StreamResponse:
    kind = type(exc).__name__ if exc is not None else ""
    structlog.get_logger("http").info("protocol_error", status=status, error=kind)
    response = web.Response(status=status, text=_SAID if status < 500 else "Something went wrong here.")
    response.force_close()
    return response
