"""The Expect header: a body that waits for the word is called in; what else is expected is ignored (RFC 9110, 10.1.1)."""

from __future__ import annotations

from aiohttp import HttpVersion11, web


def ignore_other_expectations() -> None:
    """Says so once for the whole process and for every path, known or not: aiohttp's own answer to an expectation that it
    does not know comes before any of ours, and in no dialect.
    """
    web.AbstractRoute.handle_expect_header = _expect  # type: ignore[method-assign]


async def _expect(self: web.AbstractRoute, request: web.Request) -> None:
    if request.version == HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
