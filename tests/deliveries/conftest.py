"""Deliveries with a clock of their own, from the quickstart project to a receiver on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from adapters.connectors.courier import WebhookCourier
from adapters.connectors.outbound import OutboundClient
from adapters.workers.attempts import Attempts
from adapters.workers.deliveries import Deliveries
from app import Causeway
from domain.deliveries.composing import Composer
from domain.deliveries.use_cases import DeliveryCommands
from tests.api.staging import SetClock
from tests.api_client import Answer, Api
from tests.webhook_receiver import Receiver, receiving


class Post:
    """The deliveries of one process, round by round."""

    def __init__(self, wired: Causeway, api: Api, clock: SetClock, outbound: OutboundClient, seconds: float) -> None:
        self.wired, self.api, self.clock = wired, api, clock
        self.queue = wired.delivery_queue
        self.composer = Composer(wired.store, wired.vault, wired.vault, self.queue, clock)
        commands = wired.services.deliveries
        own = DeliveryCommands(commands._desk, self.queue, clock)
        courier = WebhookCourier(outbound, seconds)
        attempts = Attempts(self.queue, self.composer, courier, own, clock, lambda: 0.5, seconds_kept=0)
        self.loop = Deliveries(self.queue, attempts, clock, rest_seconds=0)

    async def deliver(self) -> None:
        """Tries everything that is due."""
        while await self.loop.round():
            await self.loop.settled()

    async def later(self, **ahead: float) -> None:
        """Time passes; then everything that is due is tried."""
        self.clock.ahead += timedelta(**ahead)
        await self.deliver()

    async def manage(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.api.manage(method, self.api.managed_project + path, body, **more)

    async def send_to(self, address: str) -> None:
        answer = await self.manage("PUT", "", {"name": "Receiving", "webhook_url": address})
        assert answer.status == 200, answer.text

    async def new_secret(self) -> str:
        answer = await self.manage("POST", "/WebhookSecret")
        assert answer.status == 200, answer.text
        return str(answer.json["webhook_secret"])

    async def log(self, status: str = "") -> Any:
        return (await self.manage("GET", f"/Deliveries?status={status}" if status else "/Deliveries")).json

    async def project(self) -> Any:
        return (await self.manage("GET", "")).json


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def post(wired: Causeway, api: Api, receiver: Receiver) -> AsyncIterator[Post]:
    """The quickstart project sends to the receiver, which has half a second to answer."""
    async with OutboundClient(allow_private_networks=True) as outbound:
        post = Post(wired, api, SetClock(), outbound, 0.5)
        await post.send_to(receiver.url)
        yield post
