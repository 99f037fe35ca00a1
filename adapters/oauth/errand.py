"""One errand at a provider: what it is for, the time that is left for it, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from enum import Enum

import msgspec

from adapters.connectors.outbound import OutboundClient, OutboundFailed, OutboundRefused
from adapters.connectors.templates import CannotRender
from adapters.oauth.answers import Answer, document_of
from adapters.oauth.calls import Call, Templates
from domain.apps.app import App
from domain.connections.oauth import ProviderRefused, ProviderTrouble, Target
from domain.ports import Clock


class Purpose(Enum):
    """Who hears of a refusal: the person who links; or nobody, so that only a definite one may end the connection."""

    LINKING = "linking"
    RENEWING = "renewing"
    REVOKING = "revoking"


class Errand:
    """`seconds` from now on for everything that is sent."""

    def __init__(
        self, outbound: OutboundClient, clock: Clock, target: Target, purpose: Purpose, seconds: float
    ) -> None:
        self.target = target
        self.purpose = purpose
        self.clock = clock
        self._outbound = outbound
        self._deadline = asyncio.get_running_loop().time() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return max(self._deadline - asyncio.get_running_loop().time(), 0.0)

    def templates(self, more: Mapping[str, str] | None = None) -> Templates:
        return Templates(self.target, more)

    def learn(self, names: Mapping[str, str]) -> None:
        """From now on templates, and the hosts that may be called, know these names too."""
        self.target = msgspec.structs.replace(self.target, names={**self.target.names, **names})

    def told(self) -> AbstractContextManager[None]:
        """Words the trouble of whatever is done within."""
        return told(self.target.app, self.purpose)

    async def ask(self, call: Call, seconds: float | None = None) -> Answer:
        """Whatever the provider answers, in at most so many of the seconds that are left.

        ProviderTrouble when it answers nothing; ProviderRefused when a person should hear why it was not asked.
        """
        with self.told():
            return await self._ask(call, self.left if seconds is None else min(seconds, self.left))

    async def _ask(self, call: Call, seconds: float) -> Answer:
        sent_at = self.clock()
        response = await self._outbound.request(
            call.method,
            call.url,
            headers=call.headers,
            query=call.query,
            body=call.body,
            hosts=self.templates().hosts(),
            seconds=seconds,
        )
        return Answer(response.status, response.headers, document_of(response.body), sent_at)


@contextmanager
def told(app: App, purpose: Purpose) -> Iterator[None]:
    """Words the trouble before and on the way to a provider."""
    try:
        yield
    except (CannotRender, OutboundRefused) as refusal:
        message = f"{app.name} was not asked. {refusal}"
        if purpose is Purpose.RENEWING:
            raise ProviderTrouble(message, may_have_arrived=False) from None
        raise ProviderRefused("refused", message) from None
    except OutboundFailed as failure:
        raise ProviderTrouble(
            f"{app.name} could not be asked. {failure}", may_have_arrived=failure.may_have_arrived
        ) from None
