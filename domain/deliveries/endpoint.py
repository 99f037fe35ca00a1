"""A project's webhook endpoint: its signing secrets, and whether it is given up for now."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid5

import msgspec

from domain.deciding import Decider
from domain.errors import NotFound
from domain.events import Event

STILL_VALID = timedelta(days=1)
"""How long a secret that was replaced goes on signing."""

_KEPT = 4


class WebhookSecretRotated(Event, frozen=True):
    """The secret is the credential of that version, from ``at`` on; the one before it signs for a day more."""

    TOPIC = "webhook.secret_rotated"
    credential_version: int
    at: datetime


class WebhookDisabled(Event, frozen=True):
    """Nothing is sent any more until the address changes, or something is sent again by hand. ``message`` says why, to people."""

    TOPIC = "webhook.disabled"
    message: str
    at: datetime
    failing_since: datetime | None = None


class WebhookEnabled(Event, frozen=True):
    TOPIC = "webhook.enabled"


class DeliveryNotFound(NotFound):
    """No delivery with that id in this project; they are kept for 30 days."""

    code = "delivery_not_found"


class WebhookMissing(NotFound):
    """The project has no webhook address."""

    code = "webhook_missing"


class Rotation(msgspec.Struct, frozen=True):
    version: int
    at: datetime


class Notice(msgspec.Struct, frozen=True):
    """Since when a webhook is disabled, and why."""

    at: datetime
    message: str


class Webhook(msgspec.Struct, frozen=True):
    """``rotations`` are the newest few, oldest first; ``notice``: it is disabled."""

    rotations: tuple[Rotation, ...] = ()
    notice: Notice | None = None

    @property
    def credential_version(self) -> int:
        return self.rotations[-1].version if self.rotations else 0

    def signing_versions(self, now: datetime) -> list[int]:
        """The newest secret first, then those that it and others replaced less than a day ago."""
        pairs = zip(self.rotations, self.rotations[1:], strict=False)
        replaced = [old.version for old, new in pairs if new.at + STILL_VALID > now]
        return [*([self.credential_version] if self.rotations else []), *reversed(replaced)]


def evolve(state: Webhook, event: Event) -> Webhook:
    match event:
        case WebhookSecretRotated():
            rotations = (*state.rotations, Rotation(event.credential_version, event.at))[-_KEPT:]
            return msgspec.structs.replace(state, rotations=rotations)
        case WebhookDisabled():
            return msgspec.structs.replace(state, notice=Notice(event.at, event.message))
        case WebhookEnabled():
            return msgspec.structs.replace(state, notice=None)
    return state


WEBHOOK = Decider("webhook", Webhook(), evolve)


def webhook_id(project_id: UUID) -> UUID:
    """The stream of the project's webhook, and the connection that its secrets are kept under."""
    return uuid5(project_id, "webhook")


def rotate(state: Webhook, version: int, now: datetime) -> tuple[Event, ...]:
    return (WebhookSecretRotated(credential_version=version, at=now),)


def disable(state: Webhook, notice: Notice, failing_since: datetime | None) -> tuple[Event, ...]:
    if state.notice is not None:
        return ()
    return (WebhookDisabled(message=notice.message, at=notice.at, failing_since=failing_since),)


def enable(state: Webhook) -> tuple[Event, ...]:
    return (WebhookEnabled(),) if state.notice is not None else ()
