"""One attempt: compose, sign, post, judge, and write down what became of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from domain.deciding import Caller
from domain.deliveries.composing import Composer, Endpoint
from domain.deliveries.ports import Claim, Courier, DeliveryQueue, DeliveryStatus, NoReply, Outcome, Reply
from domain.deliveries.schedule import DISABLED_AFTER, asked_wait, next_attempt
from domain.deliveries.signing import signed_headers
from domain.deliveries.use_cases import DeliveryCommands
from domain.ports import Clock

_CALLER = Caller("worker:deliveries")
_GONE = 410
_SET_ASIDE_AT_ONCE = 1_000
_KEPT = 10_000
_encode = msgspec.json.Encoder().encode


class _Judged(msgspec.Struct, frozen=True):
    """``note`` is empty when the message arrived."""

    note: str = ""
    status_code: int | None = None
    asked: timedelta | None = None


class Attempts:
    """``chance`` answers 0 to 1 and decides the jitter of pauses. An endpoint is read anew after ``seconds_kept``."""

    def __init__(
        self,
        queue: DeliveryQueue,
        composer: Composer,
        courier: Courier,
        commands: DeliveryCommands,
        clock: Clock,
        chance: Callable[[], float],
        seconds_kept: float = 1.0,
    ) -> None:
        self._queue = queue
        self._composer = composer
        self._courier = courier
        self._commands = commands
        self._clock = clock
        self._chance = chance
        self._seconds_kept = seconds_kept
        self._endpoints: dict[UUID, tuple[float, Endpoint]] = {}
        self._log = structlog.get_logger("deliveries")

    async def endpoint(self, tenant_id: UUID) -> Endpoint | None:
        """Where the project's messages go; None when they go nowhere, and then they are set aside."""
        kept = self._endpoints.get(tenant_id)
        if kept and kept[0] > time.monotonic():
            return kept[1]
        found = await self._composer.endpoint(tenant_id)
        if not found.address:
            self._endpoints.pop(tenant_id, None)
            await self._queue.set_aside(tenant_id, found.read_at, self._clock(), found.closed, _SET_ASIDE_AT_ONCE)
            return None
        if len(self._endpoints) > _KEPT:
            self._endpoints.clear()
        self._endpoints[tenant_id] = (time.monotonic() + self._seconds_kept, found)
        return found

    async def make(self, claim: Claim, endpoint: Endpoint) -> bool:
        """Tries once; answers whether the message arrived."""
        now = self._clock()
        composed = await self._composer.compose(claim)
        if composed is None:
            note = "The event is not there any more."
            await self._queue.finish(
                Outcome(claim=claim, status=DeliveryStatus.FAILED, at=now, kind=claim.kind, note=note)
            )
            return False
        body = _encode(composed.letter)
        headers = signed_headers(str(claim.message_id), now, body, endpoint.secrets)
        started = time.perf_counter()
        judged = await self._posted(endpoint, headers, body)
        outcome = Outcome(
            claim=claim,
            status=DeliveryStatus.DELIVERED,
            at=now,
            kind=composed.letter.type,
            subject_id=composed.subject_id,
            status_code=judged.status_code,
            duration_ms=round((time.perf_counter() - started) * 1000),
            note=judged.note,
        )
        if not judged.note:
            await self._queue.finish(outcome)
            return True
        await self._failed(outcome, judged, endpoint)
        return False

    async def _posted(self, endpoint: Endpoint, headers: dict[str, str], body: bytes) -> _Judged:
        try:
            return _judge(await self._courier.post(endpoint.address, headers, body), self._clock())
        except NoReply as reason:
            return _Judged(str(reason))
        except Exception as error:  # an answer that nobody foresaw counts as one that did not come
            self._log.warning("delivery_broke", error=type(error).__name__)
            return _Judged("What the receiver answered could not be read.")

    async def _failed(self, outcome: Outcome, judged: _Judged, endpoint: Endpoint) -> None:
        claim, now = outcome.claim, self._clock()
        is_gone = judged.status_code == _GONE
        retry_at = None if is_gone else next_attempt(now, claim.attempts + 1, self._chance(), judged.asked)
        status = DeliveryStatus.PENDING if retry_at else DeliveryStatus.FAILED
        since = await self._queue.mark_failing(claim.tenant_id, _digest(endpoint.address), now)
        await self._queue.finish(msgspec.structs.replace(outcome, status=status, retry_at=retry_at))
        self._log.info(
            "delivery_failed",
            tenant=str(claim.tenant_id),
            message=str(claim.message_id),
            failures=claim.attempts + 1,
            status=judged.status_code,
            given_up=retry_at is None,
        )
        if is_gone:
            await self._disable(claim.tenant_id, "The receiver said that it is gone (HTTP 410).", since)
        elif now - since >= DISABLED_AFTER:
            days = DISABLED_AFTER.days
            await self._disable(claim.tenant_id, f"Nothing has arrived for {days} days. Last: {judged.note}", since)

    async def _disable(self, tenant_id: UUID, message: str, since: datetime) -> None:
        self._endpoints.pop(tenant_id, None)
        await self._commands.disable(tenant_id, _CALLER, message, since)
        await self._queue.forget_failures(tenant_id)
        self._log.warning("webhook_disabled", tenant=str(tenant_id), reason=message)


def _judge(reply: Reply, now: datetime) -> _Judged:
    status = reply.status
    if 200 <= status < 300:
        return _Judged("", status)
    if 300 <= status < 400:
        return _Judged(f"Redirects are not followed (HTTP {status}).", status)
    return _Judged(f"The receiver answered HTTP {status}.", status, asked_wait(now, status, reply.retry_after))


def _digest(address: str) -> bytes:
    return hashlib.sha256(address.encode()).digest()[:16]
