"""Ending a deleted connection's token at its provider: asked once, in the background, and what came of it is recorded."""

from __future__ import annotations

import asyncio
from typing import Literal
from uuid import UUID

import msgspec

from domain.connections.connection import CONNECTION
from domain.connections.events import RevocationAttempted
from domain.connections.oauth import OAuthClient, ProviderRefused, ProviderTrouble, Target
from domain.connections.secret import read_secret
from domain.connections.targets import Targets
from domain.deciding import Caller, Changes, Desk, load
from domain.errors import Refusal
from domain.ports import StreamEvents

REVOKE_SECONDS = 10.0

_CALLER = Caller("system:revoke")


class Revocation(msgspec.Struct, frozen=True):
    """What has to be known before the deletion destroys it."""

    project_id: UUID
    connection_id: UUID
    target: Target
    access_token: str
    refresh_token: str | None

    def __repr__(self) -> str:
        return f"Revocation({self.connection_id})"


class Revoker:
    def __init__(self, desk: Desk, targets: Targets, oauth: OAuthClient) -> None:
        self._desk = desk
        self._targets = targets
        self._oauth = oauth
        self._running: set[asyncio.Task[None]] = set()

    async def prepare(self, project_id: UUID, connection_id: UUID) -> Revocation | None:
        """What revoking needs, while the secret is still there; None where there is no token of a provider's."""
        state, _ = await load(self._desk.store, CONNECTION, project_id, connection_id)
        if not state.present or state.auth_type != "oauth2":
            return None
        found = await self._desk.vault.credential(project_id, connection_id)
        secret = read_secret(found[1]) if found else None
        if secret is None or secret.access_token is None:
            return None
        try:
            target = await self._targets.target(project_id, state.app_key, state.auth_type, secret.fields, secret.names)
        except Refusal:
            return None  # without its integration nobody knows as whom to ask
        return Revocation(project_id, connection_id, target, secret.access_token, secret.refresh_token)

    def begin(self, revocation: Revocation | None) -> None:
        """The deletion is stored: asks the provider, and waits for nobody."""
        if revocation is not None:
            task = asyncio.create_task(self._revoke(revocation))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def drain(self) -> None:
        while self._running:
            await asyncio.wait(self._running)

    async def _revoke(self, revocation: Revocation) -> None:
        outcome: Literal["revoked", "failed", "unsupported"] = "failed"
        message = ""
        try:
            has_endpoint = await self._oauth.revoke(
                revocation.target,
                access_token=revocation.access_token,
                refresh_token=revocation.refresh_token,
                seconds=REVOKE_SECONDS,
            )
            outcome = "revoked" if has_endpoint else "unsupported"
        except (ProviderRefused, ProviderTrouble) as trouble:
            message = trouble.message
        except Exception:  # an answer that nobody foresaw must not leave the attempt unrecorded
            message = f"What {revocation.target.app.name} answered could not be read."
        attempted = RevocationAttempted(outcome=outcome, message=message)

        async def decide() -> tuple[Changes, None]:
            _, version = await load(self._desk.store, CONNECTION, revocation.project_id, revocation.connection_id)
            stream = StreamEvents(revocation.connection_id, CONNECTION.stream_type, version, (attempted,))
            return Changes(streams=(stream,)), None

        try:
            await self._desk.execute(revocation.project_id, _CALLER, decide)
        except Refusal:
            return  # the project itself is gone
