"""A shop's own site on this machine: it opens connect links in a window or a frame, and hears what they say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Shop</title><h1>Shop</h1><p id="query"></p>
<button onclick="open(location.hash.slice(1), 'connect', 'popup,width=480,height=720')">Connect</button>
<script>
heard = [];
addEventListener("message", (event) => heard.push({from: event.origin, ...event.data}));
document.getElementById("query").textContent = location.search;
if (location.pathname === "/framed") {
  const frame = document.createElement("iframe");
  frame.src = location.hash.slice(1); frame.width = 460; frame.height = 780; document.body.append(frame);
}
</script>"""


@asynccontextmanager
async def shop() -> AsyncIterator[str]:
    """Its origin. It is another site than 127.0.0.1 to browsers."""

    async def serve(request: web.Request) -> web.Response:
        return web.Response(text=_PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "localhost", 0).start()
        yield f"http://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
