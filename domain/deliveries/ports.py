"""What deliveries ask of the outside: the queue of messages that wait, and somebody who posts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from domain.events import Recorded
from domain.ports import Announcement


class DeliveryStatus(StrEnum):
    """``pending`` messages are tried, or tried again; ``failed`` ones are given up until somebody sends them again."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class WaitingTenant(msgspec.Struct, frozen=True):
    """Somebody who has messages, due or not yet. ``failing_since``: nothing has arrived there since then."""

    tenant_id: UUID
    is_due: bool
    failing_since: datetime | None = None


class Claim(msgspec.Struct, frozen=True):
    """A message that one worker holds for the length of its lease. ``attempts``: how often it has failed so far; ``fence``
    counts the claims, so that whoever comes too late changes nothing.
    """

    tenant_id: UUID
    message_id: UUID
    stream_id: UUID
    version: int
    kind: str
    attempts: int
    fence: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt. ``retry_at`` None: delivered, or given up. ``kind`` is the message's type and ``subject_id``
    whose it is, as the events said. ``note`` is a sentence without anything that the receiver sent.
    """

    claim: Claim
    status: DeliveryStatus
    at: datetime
    kind: str
    subject_id: UUID | None = None
    retry_at: datetime | None = None
    status_code: int | None = None
    duration_ms: int = 0
    note: str = ""


class DeliveryRecord(msgspec.Struct, frozen=True):
    """A message as it was announced, and how it stands."""

    announcement: Announcement
    status: DeliveryStatus
    attempts: int


class DeliveryQueue(Protocol):
    """The messages that wait, written by the appends that announced them, and the log of what became of them."""

    async def waiting(self, now: datetime, after: UUID, at_most: int) -> list[WaitingTenant]:
        """The next tenants with messages after that one, by id: a few look-ups each, however many messages wait."""

    async def claim(self, now: datetime, wanted: Mapping[UUID, int], lease: timedelta) -> list[Claim]:
        """Up to so many due messages of each tenant, held until ``now`` + ``lease`` and due again then. No message is
        handed out twice while it is held.
        """

    async def history(self, tenant_id: UUID, stream_id: UUID, version: int) -> list[Recorded]:
        """The event of that version, and of those before it what letters are written from; empty when there is none."""

    async def finish(self, outcome: Outcome) -> None:
        """Logs the attempt, and lets go of the message or puts it off; what was delivered also ends a run of failures. The log
        stays as it is when the claim is no longer held.
        """

    async def set_aside(
        self, tenant_id: UUID, read_at: tuple[UUID, int], now: datetime, note: str, at_most: int
    ) -> int:
        """Takes messages out of the queue that nobody holds, as long as that stream is still at that version: logged as
        failed with the note, or dropped where it is empty. Answers how many.
        """

    async def mark_failing(self, tenant_id: UUID, address: bytes, now: datetime) -> datetime:
        """Notes that an attempt at this address (a digest) failed; answers since when nothing but that has happened."""

    async def forget_failures(self, tenant_id: UUID) -> None:
        """Ends the run of failures."""

    async def recover(self, tenant_id: UUID, since: datetime) -> int:
        """Makes all that failed, or waits for another attempt, due now, if it was announced since then; answers how many."""

    async def record(self, tenant_id: UUID, message_id: UUID) -> DeliveryRecord | None:
        """The message, as long as the log keeps it."""

    async def remove_old(self, at_most: int) -> int:
        """Removes log entries of messages that nothing was tried with for 30 days; answers how many."""


class Reply(msgspec.Struct, frozen=True):
    """A receiver's answer, of which only this is looked at. ``retry_after`` is the header as it came."""

    status: int
    retry_after: str = ""


class NoReply(Exception):
    """The message could not be posted, or nothing came back. Says why without an address's path or query."""


class Courier(Protocol):
    async def post(self, address: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Posts once, follows nothing, waits 15 seconds at most. NoReply when there is no answer."""


class SecretReader(Protocol):
    """The part of the vault that signing needs."""

    async def credentials(self, tenant_id: UUID, connection_id: UUID, versions: Sequence[int]) -> list[bytes]:
        """These versions of a secret, opened, in this order; those that are gone are left out."""
