"""What an attempt needs: where to, signed with what, and the body; read anew each time from events and vault."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from domain.deciding import load
from domain.deliveries.endpoint import WEBHOOK, webhook_id
from domain.deliveries.letter import Letter, addressed, write
from domain.deliveries.ports import Claim, DeliveryQueue, SecretReader
from domain.end_users.end_user import EndUserAdded
from domain.events import Recorded, Revealed
from domain.ports import Clock, EventStore, Vault
from domain.projects.project import PROJECT


class Endpoint(msgspec.Struct, frozen=True):
    """Where a project's messages go. Without an ``address`` nothing is sent, and ``closed`` says why; where it says nothing,
    nothing is wanted. ``read_at`` is the stream and version that this was decided by.
    """

    read_at: tuple[UUID, int]
    address: str = ""
    secrets: tuple[str, ...] = ()
    closed: str = ""

    def __repr__(self) -> str:
        return "Endpoint(...)"


class Composed(msgspec.Struct, frozen=True):
    """A letter, and whose connection it is about."""

    letter: Letter
    subject_id: UUID | None


class Composer:
    def __init__(
        self, store: EventStore, vault: Vault, secrets: SecretReader, queue: DeliveryQueue, clock: Clock
    ) -> None:
        self._store = store
        self._vault = vault
        self._secrets = secrets
        self._queue = queue
        self._clock = clock

    async def endpoint(self, project_id: UUID) -> Endpoint:
        """As it is now. A deleted project has no address."""
        project, version = await load(self._store, PROJECT, project_id, project_id)
        if project.settings is None or not project.settings.webhook_url:
            return Endpoint((project_id, version))
        stream_id = webhook_id(project_id)
        webhook, version = await load(self._store, WEBHOOK, project_id, stream_id)
        read_at = (stream_id, version)
        if webhook.notice is not None:
            return Endpoint(read_at, closed="The webhook is disabled.")
        found = await self._secrets.credentials(project_id, stream_id, webhook.signing_versions(self._clock()))
        if not found:
            return Endpoint(read_at, closed="The webhook has no signing secret; make one.")
        return Endpoint(read_at, project.settings.webhook_url, tuple(secret.decode() for secret in found))

    async def compose(self, claim: Claim) -> Composed | None:
        """The body of the message; None when its events are nowhere."""
        history = await self._queue.history(claim.tenant_id, claim.stream_id, claim.version)
        if not history:
            return None
        subject_id = addressed(history)
        user_id = await self._user_id(claim.tenant_id, subject_id) if subject_id else None
        reveal = await self._vault.revealer(history)
        return Composed(write(claim.message_id, history, user_id, reveal), subject_id)

    async def _user_id(self, tenant_id: UUID, subject_id: UUID) -> str | None:
        """The application's own id of the end user, unless that was erased."""
        added = await self._queue.history(tenant_id, subject_id, 1)
        told = await self._revealed(added)
        return told if isinstance(told, str) else None

    async def _revealed(self, added: Sequence[Recorded]) -> Revealed | None:
        if not added or not isinstance(added[0].event, EndUserAdded):
            return None
        return (await self._vault.revealer(added))(added[0].event.external_id)
