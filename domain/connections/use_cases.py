"""Importing and deleting: gather the facts, seal the secret, then decide."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from domain.apps.app import KeyScheme, OAuth2Scheme
from domain.connections.authorising import Life, Whose, import_token
from domain.connections.connection import CONNECTION, ConnectionNotFound
from domain.connections.owners import Owner, Owners
from domain.connections.refresh_queue import NoteUse
from domain.connections.refreshing import AHEAD
from domain.connections.revoking import Revocation, Revoker
from domain.connections.secret import Secret
from domain.connections.targets import Targets
from domain.deciding import Caller, Changes, Desk, load
from domain.end_users.end_user import EndUserNotFound
from domain.facts import end_user_connection_fact, end_user_fact, integration_fact
from domain.ports import Clock
from domain.projects.integration import Integration, IntegrationNotFound


class TokenSet(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller imports. ``token`` and ``token_secret`` belong to OAuth 1.0a."""

    app_key: str
    access_token: str
    scopes: tuple[str, ...] = ()
    refresh_token: str | None = None
    expires_at: datetime | None = None
    token: str | None = None
    token_secret: str | None = None

    def __repr__(self) -> str:
        return f"TokenSet({self.app_key})"


class ConnectionCommands:
    """What end users' and the developer's own connections can be told to do."""

    def __init__(
        self,
        desk: Desk,
        owners: Owners,
        targets: Targets,
        revoker: Revoker,
        clock: Clock,
        note_use: NoteUse,
    ) -> None:
        self._desk = desk
        self._owners = owners
        self._targets = targets
        self._revoker = revoker
        self._clock = clock
        self._note_use = note_use

    async def import_token(
        self, project_id: UUID, caller: Caller, external_id: str, tokens: TokenSet, *, replaces: bool
    ) -> None:
        """Stores a token set that was issued elsewhere as the end user's connection; adds the end user when new.

        IntegrationNotFound, ConnectionAlreadyExists.
        """

        async def decide() -> tuple[Changes, UUID]:
            owner, integration = await self._owners.of_end_user(project_id, external_id, tokens.app_key)
            found = await self._owners.found(project_id, owner)
            credential = await self._owners.sealed(project_id, found, self._imported(integration, tokens))
            now = self._clock()
            life = Life(
                scopes=tokens.scopes,
                obtained_at=now,
                expires_at=tokens.expires_at,
                renewable=self._is_renewable(integration, tokens),
            )
            whose = _whose(owner, integration, replaces=replaces, now=now)
            events = import_token(found.state, whose, life, credential.version)
            return found.changes(events, credential), found.connection_id

        connection_id = await self._desk.execute(project_id, caller, decide, UUID)
        if tokens.expires_at is not None:  # the worker says so in time, or renews it
            self._note_use(project_id, connection_id, tokens.expires_at - AHEAD)

    async def delete(self, project_id: UUID, caller: Caller, external_id: str, app_key: str) -> None:
        """Deletes the end user's connection and destroys its secrets; registrations stay. The provider is asked to end its token.

        IntegrationNotFound, EndUserNotFound, ConnectionNotFound.
        """
        revocation: Revocation | None = None

        async def decide() -> tuple[Changes, None]:
            nonlocal revocation
            digest = await self._owners.end_user_digest(project_id, external_id)
            user, fact = end_user_fact(digest), end_user_connection_fact(digest, app_key)
            taken = await self._desk.store.holders(project_id, [integration_fact(app_key), user, fact])
            if integration_fact(app_key) not in taken:
                raise IntegrationNotFound
            if user not in taken:
                raise EndUserNotFound
            if fact not in taken:
                raise ConnectionNotFound
            state, version = await load(self._desk.store, CONNECTION, project_id, taken[fact])
            if not state.present:
                raise ConnectionNotFound
            revocation = await self._revoker.prepare(project_id, taken[fact])
            return await self._owners.deletion(project_id, taken[fact], state, version), None

        await self._desk.execute(project_id, caller, decide)
        self._revoker.begin(revocation)

    async def delete_own(self, project_id: UUID, caller: Caller, connection_id: UUID) -> None:
        """Deletes a connection of the developer's own; ConnectionNotFound when it is somebody else's or gone."""
        revocation: Revocation | None = None

        async def decide() -> tuple[Changes, None]:
            nonlocal revocation
            state, version = await load(self._desk.store, CONNECTION, project_id, connection_id)
            if not state.app_key or state.end_user_id is not None:
                raise ConnectionNotFound
            revocation = await self._revoker.prepare(project_id, connection_id)
            return await self._owners.deletion(project_id, connection_id, state, version), None

        await self._desk.execute(project_id, caller, decide)
        self._revoker.begin(revocation)

    def _is_renewable(self, integration: Integration, tokens: TokenSet) -> bool:
        """Only OAuth 2 knows refresh tokens; of a key that came with one nobody could buy the next."""
        _, scheme = self._targets.scheme(integration)
        return tokens.refresh_token is not None and isinstance(scheme, OAuth2Scheme)

    def _imported(self, integration: Integration, tokens: TokenSet) -> Secret:
        """For an app with a key, the access token is its secret."""
        _, scheme = self._targets.scheme(integration)
        return Secret(
            fields={scheme.token_field: tokens.access_token} if isinstance(scheme, KeyScheme) else {},
            access_token=tokens.token or tokens.access_token,
            refresh_token=tokens.refresh_token,
            token_secret=tokens.token_secret,
            expires_at=tokens.expires_at,
            scopes=tokens.scopes,
        )


def _whose(owner: Owner, integration: Integration, *, replaces: bool, now: datetime, name: str = "") -> Whose:
    return Whose(
        end_user_id=owner.end_user_id,
        app_key=integration.app_key,
        auth_type=integration.auth_type,
        name=name,
        replaces=replaces,
        now=now,
    )
