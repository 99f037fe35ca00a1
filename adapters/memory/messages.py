"""Messages to webhooks as the memory store keeps them."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from domain.deliveries.ports import DeliveryStatus
from domain.ports import Announcement

AT_ONCE = datetime.min.replace(tzinfo=UTC)


class Queued(msgspec.Struct):
    """A message that waits; ``held``: a worker has it until ``due_at``."""

    announcement: Announcement
    created_at: datetime
    due_at: datetime = AT_ONCE
    held: bool = False
    attempts: int = 0
    fence: int = 0

    @classmethod
    def again(cls, announcement: Announcement, there: Queued | None, now: datetime) -> Queued:
        """Due at once; whoever holds it now holds it no more."""
        return cls(announcement, there.created_at if there else now, fence=there.fence + 1 if there else 0)


class Logged(msgspec.Struct):
    """A message that was tried, or set aside."""

    announcement: Announcement
    created_at: datetime
    status: DeliveryStatus
    attempted_at: datetime
    tries: int = 0
