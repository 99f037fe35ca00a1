"""Trouble for a provider's clients: planned answers that are late, wrong, cut off or missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from scripts.providers.traffic import Seen, Traffic

Proceed = Callable[[], Awaitable[web.Response]]
"""Lets the provider process the request, and answers what it answered."""
Meets = Callable[[Seen], bool]
_PAGE = b"<!doctype html><title>Bad gateway</title><h1>We will be back soon</h1>"
_ERROR = b'{"error":"temporarily_unavailable"}'
_TOKENS = b'{"access_token":"never-issued","token_type":"Bearer","expires_in":3600}'


@dataclass(frozen=True)
class Trouble:
    """One way to spoil an answer. `processed` says whether the provider processes the request before that.

    A processed refresh whose answer is spoilt has rotated: the old refresh token is gone, the new one never arrived.
    """

    name: str
    spoil: Callable[[web.Request, web.Response | None], Awaitable[web.StreamResponse | None]]
    """Gets the provider's answer when it was processed; None lets the provider answer."""
    processed: bool

    async def meet(self, request: web.Request, proceed: Proceed) -> web.StreamResponse:
        answer = await proceed() if self.processed else None
        spoilt = await self.spoil(request, answer)
        return spoilt or answer or await proceed()


def delayed(seconds: float, *, processed: bool = False) -> Trouble:
    """The true answer, but late: the wait is before or after the provider's work."""

    async def spoil(request: web.Request, answer: web.Response | None) -> None:
        await asyncio.sleep(seconds)

    return Trouble("delayed", spoil, processed)


def status(code: int, *, retry_after: int | str | None = None, processed: bool = False) -> Trouble:
    """An error in JSON with this status; `retry_after` is in seconds, or an HTTP date."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return _answering(f"status {code}", code, _ERROR, "application/json", processed, headers)


def oauth_error(error: str, code: int = 400, *, processed: bool = False) -> Trouble:
    """A definite refusal as RFC 6749 words it, such as invalid_grant."""
    return _answering(f"error {error}", code, b'{"error":"%s"}' % error.encode(), "application/json", processed)


def html(code: int = 502, *, processed: bool = False) -> Trouble:
    """A page for people where JSON is due."""
    return _answering("html", code, _PAGE, "text/html; charset=utf-8", processed)


def empty(code: int = 200, *, processed: bool = False) -> Trouble:
    """An answer without a body."""
    return _answering("empty", code, b"", "application/json", processed)


def wrong_type(content_type: str = "text/html", *, processed: bool = True) -> Trouble:
    """The true answer under a wrong content type; not processed: tokens that were never issued, under that type."""

    async def spoil(request: web.Request, answer: web.Response | None) -> web.Response:
        code, body = (answer.status, _bytes(answer)) if answer else (200, _TOKENS)
        return web.Response(status=code, body=body, headers={"Content-Type": content_type})

    return Trouble("wrong type", spoil, processed)


def truncated(*, processed: bool = True) -> Trouble:
    """Half of the announced body, then the connection ends."""

    async def spoil(request: web.Request, answer: web.Response | None) -> web.StreamResponse:
        body = _bytes(answer) if answer else _TOKENS
        cut = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
        await cut.prepare(request)
        await cut.write(body[: len(body) // 2])
        hang_up(request)
        return cut

    return Trouble("truncated", spoil, processed)


def cut_json(*, processed: bool = True) -> Trouble:
    """Half of the JSON as if it were all: a complete HTTP answer that does not parse."""

    async def spoil(request: web.Request, answer: web.Response | None) -> web.Response:
        body = _bytes(answer) if answer else _TOKENS
        return web.Response(body=body[: len(body) // 2], content_type="application/json")

    return Trouble("cut json", spoil, processed)


def dropped(*, processed: bool = False) -> Trouble:
    """The connection ends without an answer."""

    async def spoil(request: web.Request, answer: web.Response | None) -> web.Response:
        return hang_up(request)

    return Trouble("dropped", spoil, processed)


def _answering(
    name: str, code: int, body: bytes, content_type: str, processed: bool, headers: dict[str, str] | None = None
) -> Trouble:
    async def spoil(request: web.Request, answer: web.Response | None) -> web.Response:
        return web.Response(status=code, body=body, headers={"Content-Type": content_type, **(headers or {})})

    return Trouble(name, spoil, processed)


def _bytes(answer: web.Response) -> bytes:
    return answer.body if isinstance(answer.body, bytes) else b""


def hang_up(request: web.Request) -> web.Response:
    """Ends the connection; what it returns reaches nobody."""
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=502)


class Hold:
    """Answers that wait: until `release`, which lets the true answers go, or for ever, which is a hanging provider."""

    def __init__(self, processed: bool) -> None:
        self.trouble = Trouble("held", self._wait, processed)
        self.waiting = 0
        self._changed = asyncio.Event()
        self._open = asyncio.Event()
        self._ended = False

    async def reached(self, count: int = 1, seconds: float = 30) -> None:
        """Returns when that many requests wait; TimeoutError when they do not in time."""
        async with asyncio.timeout(seconds):
            while self.waiting < count:
                self._changed.clear()
                await self._changed.wait()

    def release(self) -> None:
        """Lets the held answers, and those that still come, go on."""
        self._open.set()

    def end(self) -> None:
        """Hangs up on all who wait."""
        self._ended = True
        self._open.set()

    async def _wait(self, request: web.Request, answer: web.Response | None) -> web.StreamResponse | None:
        self.waiting += 1
        self._changed.set()
        await self._open.wait()
        self.waiting -= 1
        return hang_up(request) if self._ended else None


@dataclass
class _Planned:
    trouble: Trouble
    left: int | None
    meets: Meets


class Faults:
    """The trouble that is planned, in order; a request that meets none passes untouched."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._planned: list[_Planned] = []
        self._holds: list[Hold] = []

    def plan(self, trouble: Trouble, *, times: int | None = 1, meets: Meets | None = None) -> None:
        """For the next `times` requests (None: for all) that `meets` agrees to; by default those to the token endpoint."""
        self._planned.append(_Planned(trouble, times, meets or self._asks_for_a_token))

    def hold(self, *, processed: bool = False, times: int | None = 1, meets: Meets | None = None) -> Hold:
        """Plans that requests are held before, or after, the provider has processed them."""
        hold = Hold(processed)
        self._holds.append(hold)
        self.plan(hold.trouble, times=times, meets=meets)
        return hold

    def clear(self) -> None:
        """Plans nothing any more; what is held is hung up."""
        self._planned.clear()
        for hold in self._holds:
            hold.end()
        self._holds.clear()

    def middleware(self) -> Middleware:
        """Counts every request, and lets the planned trouble happen to it."""

        @web.middleware
        async def through(request: web.Request, handler: Handler) -> web.StreamResponse:
            seen = self._traffic.arrived(request.method, request.path, await request.read())

            async def proceed() -> web.Response:
                answer = await handler(request)
                assert isinstance(answer, web.Response)
                self._traffic.answered(seen, answer.status, _bytes(answer))
                return answer

            try:
                trouble = self._next(seen)
                if trouble is None:
                    return await proceed()
                seen.trouble = trouble.name
                return await trouble.meet(request, proceed)
            finally:
                self._traffic.left(seen)

        return through

    def _asks_for_a_token(self, seen: Seen) -> bool:
        return seen.path == self._traffic.token_path and seen.method == "POST"

    def _next(self, seen: Seen) -> Trouble | None:
        for planned in self._planned:
            if planned.meets(seen):
                if planned.left is not None:
                    planned.left -= 1
                    if planned.left == 0:
                        self._planned.remove(planned)
                return planned.trouble
        return None


def refreshing(seen: Seen) -> bool:
    """For `meets`: refresh requests alone."""
    return seen.refreshes


def at(path: str) -> Meets:
    """For `meets`: every request to this path."""
    return lambda seen: seen.path == path
