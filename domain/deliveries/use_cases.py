"""What a developer, or the deliveries themselves, can do to a project's webhook: rotate, send again, recover, disable."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from domain.deciding import Caller, Changes, Desk, load
from domain.deliveries.endpoint import (
    STILL_VALID,
    WEBHOOK,
    DeliveryNotFound,
    Notice,
    WebhookMissing,
    disable,
    enable,
    rotate,
    webhook_id,
)
from domain.deliveries.ports import DeliveryQueue
from domain.deliveries.signing import mint_secret
from domain.events import Event
from domain.ports import Clock, DataKey, SealedCredential, StreamEvents, credential_context
from domain.projects.project import PROJECT, ProjectNotFound


class RotatedSecret(msgspec.Struct, frozen=True):
    """The one time that a secret is shown. The one before it signs, beside it, until then."""

    webhook_secret: str
    previous_valid_until: datetime

    def __repr__(self) -> str:
        return "RotatedSecret(...)"


def first_secret(project_id: UUID, key: DataKey, secret: str, now: datetime) -> tuple[StreamEvents, SealedCredential]:
    """The event and the sealed row of a new project's secret, for the append that makes the project."""
    stream = StreamEvents(webhook_id(project_id), WEBHOOK.stream_type, 0, rotate(WEBHOOK.initial, 1, now))
    return stream, _sealed(project_id, key, 1, secret)


def _sealed(project_id: UUID, key: DataKey, version: int, secret: str) -> SealedCredential:
    box = key.seal(credential_context(webhook_id(project_id), version), secret.encode())
    return SealedCredential(webhook_id(project_id), version, project_id, box)


async def enabling(desk: Desk, project_id: UUID) -> tuple[StreamEvents, ...]:
    """What enables the webhook, if it is disabled: for appends that give it a new chance."""
    state, version = await load(desk.store, WEBHOOK, project_id, webhook_id(project_id))
    events = enable(state)
    return (_stream(project_id, version, events),) if events else ()


async def notice_of(desk: Desk, project_id: UUID) -> Notice | None:
    """Why the webhook is disabled, if it is."""
    state, _ = await load(desk.store, WEBHOOK, project_id, webhook_id(project_id))
    return state.notice


def _stream(project_id: UUID, version: int, events: tuple[Event, ...]) -> StreamEvents:
    return StreamEvents(webhook_id(project_id), WEBHOOK.stream_type, version, events)


class DeliveryCommands:
    def __init__(self, desk: Desk, queue: DeliveryQueue, clock: Clock) -> None:
        self._desk = desk
        self._queue = queue
        self._clock = clock

    async def rotate_secret(self, project_id: UUID, caller: Caller) -> RotatedSecret:
        """A new signing secret. For a day, messages are signed with the old one too."""

        async def decide() -> tuple[Changes, RotatedSecret]:
            state, version = await load(self._desk.store, WEBHOOK, project_id, webhook_id(project_id))
            key = await self._desk.vault.tenant_key(project_id)
            newest = await self._desk.vault.newest_version(project_id, webhook_id(project_id))
            number, secret, now = max(state.credential_version, newest) + 1, mint_secret(), self._clock()
            changes = Changes(
                streams=(_stream(project_id, version, rotate(state, number, now)),),
                credentials=(_sealed(project_id, key, number, secret),),
            )
            return changes, RotatedSecret(secret, now + STILL_VALID)

        return await self._desk.execute(project_id, caller, decide, RotatedSecret)

    async def resend(self, project_id: UUID, caller: Caller, delivery_id: UUID) -> None:
        """Sends a message again, under the same id, whatever became of it so far. DeliveryNotFound, WebhookMissing."""

        async def decide() -> tuple[Changes, None]:
            await self._check_address(project_id)
            found = await self._queue.record(project_id, delivery_id)
            if found is None:
                raise DeliveryNotFound
            return Changes(streams=await enabling(self._desk, project_id), outbox=(found.announcement,)), None

        await self._desk.execute(project_id, caller, decide)

    async def recover(self, project_id: UUID, caller: Caller, since: datetime) -> int:
        """Sends again all that failed since then, and enables a webhook that was disabled. Answers how many. WebhookMissing."""

        async def enable_it() -> tuple[Changes | None, None]:
            await self._check_address(project_id)
            streams = await enabling(self._desk, project_id)
            return (Changes(streams=streams) if streams else None), None

        recovered: int | None = None

        async def decide() -> tuple[Changes, int]:
            nonlocal recovered
            if recovered is None:
                recovered = await self._queue.recover(project_id, since)
            return Changes(streams=()), recovered

        # First of all: whatever is due while the webhook is disabled is set aside again.
        await self._desk.execute(project_id, msgspec.structs.replace(caller, idempotency=None), enable_it)
        return await self._desk.execute(project_id, caller, decide, int)

    async def disable(self, project_id: UUID, caller: Caller, message: str, failing_since: datetime | None) -> None:
        """Nothing is sent any more, for people to read why; nothing happens when that is so already."""

        async def decide() -> tuple[Changes | None, None]:
            state, version = await load(self._desk.store, WEBHOOK, project_id, webhook_id(project_id))
            events = disable(state, Notice(self._clock(), message), failing_since)
            return (Changes(streams=(_stream(project_id, version, events),)) if events else None), None

        await self._desk.execute(project_id, caller, decide)

    async def _check_address(self, project_id: UUID) -> None:
        project, _ = await load(self._desk.store, PROJECT, project_id, project_id)
        if project.settings is None:
            raise ProjectNotFound
        if not project.settings.webhook_url:
            raise WebhookMissing
