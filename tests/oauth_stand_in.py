"""A stand-in for a provider that answers each path as told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.connectors.outbound import OutboundClient
from tests.vendor_stand_in import Seen, StandIn, stand_in_for

Reply = Callable[[Seen], tuple[int, object]]


@dataclass
class Script:
    """What is answered at each path; elsewhere 404. What was asked is in `seen`."""

    stand_in: StandIn
    replies: dict[str, Reply] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)

    @property
    def seen(self) -> list[Seen]:
        return self.stand_in.seen

    def client(self) -> OutboundClient:
        return self.stand_in.client()

    def say(self, path: str, body: object, status: int = 200) -> None:
        """A document as JSON, or the bytes as they are."""
        self.reply(path, lambda seen: (status, body))

    def reply(self, path: str, reply: Reply) -> None:
        self.replies[path] = reply

    def hold(self, path: str) -> None:
        """Never answers there."""
        self.held.add(path)
        self.say(path, {})

    async def answer(self, seen: Seen) -> tuple[int, bytes]:
        path = seen.target.partition("?")[0]
        if path in self.held:
            await self.stand_in.released.wait()
        status, body = self.replies.get(path, _nothing)(seen)
        return status, body if isinstance(body, bytes) else json.dumps(body).encode()


def _nothing(seen: Seen) -> tuple[int, bytes]:
    return 404, b""


@asynccontextmanager
async def script_for(hosts: Sequence[str], folder: Path) -> AsyncIterator[Script]:
    """A running provider for these hosts."""
    async with stand_in_for(hosts, folder) as stand_in:
        script = Script(stand_in)
        stand_in.reply = script.answer
        yield script
