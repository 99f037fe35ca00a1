"""Importing, connecting with fields, and deleting: gather the facts, seal the secret, then decide."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from domain.apps.app import KeyScheme
from domain.apps.connection_fields import check_fields
from domain.apps.proving import CredentialProver, Rejected, Unreachable
from domain.connections.authorising import Life, Whose, connect_app, delete, import_token
from domain.connections.connection import (
    CONNECTION,
    ConnectionAlreadyExists,
    ConnectionNotFound,
    CredentialRejected,
)
from domain.connections.owners import CONNECTION_NAME, Owner, Owners
from domain.connections.revoking import Revocation, Revoker
from domain.connections.secret import Secret
from domain.connections.targets import Targets
from domain.deciding import Caller, Changes, Desk, load
from domain.end_users.end_user import EndUserNotFound
from domain.errors import UpstreamFailed
from domain.facts import Fact, developer_connection_fact, end_user_connection_fact, end_user_fact, integration_fact
from domain.ports import Clock, FactChange, FactUse, StreamEvents
from domain.projects.integration import Integration, IntegrationNotFound


class CannotProve(UpstreamFailed):
    """The application could not be asked whether these credentials work."""

    code = "cannot_prove"


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


class OwnConnection(msgspec.Struct, frozen=True):
    """A connection of the developer's own as it was made: with its stream's version ``version``."""

    connection_id: UUID
    app_key: str
    name: str
    auth_type: str
    version: int


class ConnectionCommands:
    """What end users' and the developer's own connections can be told to do."""

    def __init__(
        self,
        desk: Desk,
        owners: Owners,
        targets: Targets,
        prover: CredentialProver,
        revoker: Revoker,
        clock: Clock,
    ) -> None:
        self._desk = desk
        self._owners = owners
        self._targets = targets
        self._prover = prover
        self._revoker = revoker
        self._clock = clock

    async def import_token(
        self, project_id: UUID, caller: Caller, external_id: str, tokens: TokenSet, *, replaces: bool
    ) -> None:
        """Stores a token set that was issued elsewhere as the end user's connection; adds the end user when new.

        IntegrationNotFound, ConnectionAlreadyExists.
        """

        async def decide() -> tuple[Changes, None]:
            owner, integration = await self._owners.of_end_user(project_id, external_id, tokens.app_key)
            found = await self._owners.found(project_id, owner)
            credential = await self._owners.sealed(project_id, found, self._imported(integration, tokens))
            now = self._clock()
            life = Life(
                scopes=tokens.scopes,
                obtained_at=now,
                expires_at=tokens.expires_at,
                renewable=tokens.refresh_token is not None,
            )
            whose = _whose(owner, integration, replaces=replaces, now=now)
            return found.changes(import_token(found.state, whose, life, credential.version), credential), None

        await self._desk.execute(project_id, caller, decide)

    async def connect(
        self,
        project_id: UUID,
        caller: Caller,
        external_id: str,
        app_key: str,
        fields: Mapping[str, object],
        *,
        replaces: bool,
        prove: bool = False,
    ) -> None:
        """Connects an end user to an app that takes a key. ``prove`` asks the app first.

        IntegrationNotFound, InvalidFields, CredentialRejected, CannotProve, ConnectionAlreadyExists.
        """
        checked: dict[str, str] | None = None

        async def decide() -> tuple[Changes, None]:
            nonlocal checked
            if checked is None:  # not before: a repeated request is answered as it was, without asking the app again
                checked = await self._checked(project_id, app_key, fields, prove)
            owner, integration = await self._owners.of_end_user(project_id, external_id, app_key)
            found = await self._owners.found(project_id, owner)
            credential = await self._owners.sealed(project_id, found, Secret(fields=checked))
            whose = _whose(owner, integration, replaces=replaces, now=self._clock())
            return found.changes(connect_app(found.state, whose, credential.version), credential), None

        await self._desk.execute(project_id, caller, decide)

    async def connect_own(
        self,
        project_id: UUID,
        caller: Caller,
        app_key: str,
        name: str,
        fields: Mapping[str, object],
        *,
        prove: bool = False,
    ) -> tuple[OwnConnection, datetime, datetime]:
        """Adds a connection of the developer's own; its name is unique per app. Answers it, when it was first heard of, and
        when it was made.
        """
        checked: dict[str, str] | None = None

        async def decide() -> tuple[Changes, OwnConnection]:
            nonlocal checked
            if checked is None:
                checked = await self._checked(project_id, app_key, fields, prove)
            owner, integration = await self._owners.of_developer(project_id, app_key, name)
            found = await self._owners.found(project_id, owner)
            if found.state.present:
                raise ConnectionAlreadyExists(f"There is a connection named {name!r} to this app already.")
            credential = await self._owners.sealed(project_id, found, Secret(fields=checked))
            whose = _whose(owner, integration, replaces=False, now=self._clock(), name=name)
            events = connect_app(found.state, whose, credential.version)
            version = found.version + len(events)
            made = OwnConnection(found.connection_id, app_key, name, integration.auth_type, version)
            return found.changes(events, credential), made

        made = await self._desk.execute(project_id, caller, decide, OwnConnection)
        first = await self._desk.recorded_at(project_id, made.connection_id)
        last = (
            first if made.version == 1 else await self._desk.recorded_at(project_id, made.connection_id, made.version)
        )
        return made, first, last

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
            revocation = await self._revoker.prepare(project_id, taken[fact])
            return await self._deletion(project_id, taken[fact], fact), None

        await self._desk.execute(project_id, caller, decide)
        self._revoker.begin(revocation)

    async def delete_own(self, project_id: UUID, caller: Caller, connection_id: UUID) -> None:
        """Deletes a connection of the developer's own; ConnectionNotFound when it is somebody else's or gone."""
        revocation: Revocation | None = None

        async def decide() -> tuple[Changes, None]:
            nonlocal revocation
            state, _ = await load(self._desk.store, CONNECTION, project_id, connection_id)
            if not state.present or state.end_user_id is not None:
                raise ConnectionNotFound
            key = await self._desk.vault.tenant_key(project_id)
            fact = developer_connection_fact(state.app_key, key.digest(CONNECTION_NAME, state.name.encode()))
            revocation = await self._revoker.prepare(project_id, connection_id)
            return await self._deletion(project_id, connection_id, fact), None

        await self._desk.execute(project_id, caller, decide)
        self._revoker.begin(revocation)

    async def _deletion(self, project_id: UUID, stream_id: UUID, fact: Fact) -> Changes:
        state, version = await load(self._desk.store, CONNECTION, project_id, stream_id)
        return Changes(
            streams=(StreamEvents(stream_id, CONNECTION.stream_type, version, delete(state)),),
            facts=(FactChange(FactUse.RELEASE, fact),),
            destroys=(stream_id,),
            subject_id=state.end_user_id,
        )

    async def _checked(
        self, project_id: UUID, app_key: str, fields: Mapping[str, object], prove: bool
    ) -> dict[str, str]:
        _, integration = await self._targets.integration(project_id, app_key)
        app, scheme = self._targets.scheme(integration)
        checked = check_fields(scheme, fields)
        if prove:
            proof = await self._prover.prove(app, scheme, checked)
            if isinstance(proof, Rejected):
                raise CredentialRejected(proof.message)
            if isinstance(proof, Unreachable):
                raise CannotProve(proof.message)
        return checked

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
