"""A loopback reverse proxy before a provider: the provider is untouched, and every request can meet trouble on its way."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from scripts.providers.faults import Faults
from scripts.providers.traffic import Traffic

_LARGEST_BODY = 16 * 1024 * 1024
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}
)


class LoopbackServer:
    """A web application on a free port of 127.0.0.1."""

    def __init__(self, app: web.Application, tls: ssl.SSLContext | None = None) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        self._tls = tls
        self.url = ""

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls, backlog=1024).start()
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()


class Front:
    """Passes everything on to `upstream` with the client's own Host header, so that the provider believes to be here."""

    def __init__(self, token_path: str) -> None:
        self.traffic = Traffic(token_path)
        self.faults = Faults(self.traffic)
        self._upstream = ""
        self._session: aiohttp.ClientSession | None = None
        app = web.Application(middlewares=[self.faults.middleware()], client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._server = LoopbackServer(app)

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return self._server.url

    async def start(self) -> None:
        await self._server.start()

    def leads_to(self, port: int) -> None:
        """Where on 127.0.0.1 the provider listens; before this every request answers 502."""
        self._upstream = f"http://127.0.0.1:{port}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=60),
        )

    async def stop(self) -> None:
        self.faults.clear()
        await self._server.stop()
        if self._session is not None:
            await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.Response:
        if self._session is None:
            return web.Response(status=502, text="No provider is here yet.")
        target = URL(f"{self._upstream}{request.raw_path}", encoded=True)
        try:
            async with self._session.request(
                request.method,
                target,
                headers=_passed(request.headers.items()),
                data=await request.read() or None,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            ) as answer:
                body = await answer.read()
                return web.Response(status=answer.status, headers=_passed(answer.headers.items()), body=body)
        except (aiohttp.ClientError, TimeoutError) as error:
            return web.Response(status=502, text=f"The provider did not answer: {type(error).__name__}.")


def _passed(headers: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP)
