"""A developer's server that receives webhooks: notes what comes, and answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web
from standardwebhooks import Webhook


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def signatures(self) -> int:
        return len(self.headers["webhook-signature"].split())

    def verified(self, secret: str) -> Any:
        """The body, if the specification's own library accepts it."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """``status``, ``headers`` and ``body`` are the answer; ``hold`` keeps everybody waiting for it until ``released``."""

    port: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hold: bool = False
    received: list[Received] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?key=sent-in-the-address"

    @property
    def types(self) -> list[str]:
        return [one.json["type"] for one in self.received]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        async with self.came:
            self.received.append(Received(request.path, headers, body))
            self.came.notify_all()
        if self.hold:
            await self.released.wait()
        return web.Response(status=self.status, headers=self.headers, body=self.body)

    async def gets(self, number: int) -> None:
        """Returns when so many requests have come in all."""
        async with asyncio.timeout(30), self.came:
            await self.came.wait_for(lambda: len(self.received) >= number)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A running receiver on this machine."""
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.handle))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.port = runner.addresses[0][1]
        yield receiver
    finally:
        receiver.released.set()
        await runner.cleanup()
