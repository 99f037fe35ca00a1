"""A token endpoint that costs as little as an HTTP server can, in a process of its own: every refresh token leads to the next.

python token_endpoint.py MILLISECONDS EXPIRES_IN; prints its port. The milliseconds pass before each answer.
"""

from __future__ import annotations

import asyncio
import sys
from urllib.parse import parse_qs

from aiohttp import web


async def serve(milliseconds: float, expires_in: int) -> None:
    async def token(request: web.BaseRequest) -> web.Response:
        form = parse_qs(await request.text())
        grant, _, number = form["refresh_token"][0].rpartition(".")
        if milliseconds:
            await asyncio.sleep(milliseconds / 1_000)
        following = f"{grant}.{int(number) + 1}"
        answer = f'{{"access_token":"access.{following}","token_type":"Bearer","refresh_token":"{following}"'
        body = f'{answer},"expires_in":{expires_in},"scope":"read"}}'.encode()
        return web.Response(body=body, content_type="application/json")

    server = web.ServerRunner(web.Server(token))
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0, backlog=1024).start()
    print(server.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), int(sys.argv[2])))
