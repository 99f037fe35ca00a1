"""Posts messages to projects' webhooks, under the rules of every call to the outside."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.connectors.outbound import OutboundClient, OutboundFailed, OutboundRefused
from domain.deliveries.ports import NoReply, Reply

POST_SECONDS = 15.0


class WebhookCourier:
    """Courier over a client."""

    def __init__(self, client: OutboundClient, seconds: float = POST_SECONDS) -> None:
        self._client = client
        self._seconds = seconds

    async def post(self, address: str, headers: Mapping[str, str], body: bytes) -> Reply:
        try:
            answer = await self._client.request(
                "POST",
                address,
                headers={"Content-Type": "application/json", **headers},
                body=body,
                seconds=self._seconds,
                head_only=True,
            )
        except (OutboundRefused, OutboundFailed) as reason:
            raise NoReply(str(reason)) from None
        return Reply(answer.status, answer.headers.get("retry-after", ""))
