"""Importing, connecting and deleting: gather the facts, seal the secret, then decide."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from domain.apps.app import App, AuthScheme
from domain.apps.catalogue import Catalogue
from domain.apps.connection_fields import check_fields
from domain.apps.proving import CredentialProver, Rejected, Unreachable
from domain.connections.connection import (
    CONNECTION,
    ConnectApp,
    Connection,
    ConnectionAlreadyExists,
    ConnectionNotFound,
    CredentialRejected,
    ImportToken,
    connect_app,
    delete,
    import_token,
)
from domain.deciding import Caller, Changes, Desk, load
from domain.end_users.end_user import EndUserAdded, EndUserNotFound
from domain.errors import UpstreamFailed
from domain.events import Event, Sealed
from domain.facts import Fact, developer_connection_fact, end_user_connection_fact, end_user_fact, integration_fact
from domain.ids import new_id
from domain.ports import (
    PERSONAL,
    Clock,
    DataKey,
    FactChange,
    FactUse,
    SealedCredential,
    StreamEvents,
    WrappedKey,
    credential_context,
)
from domain.projects.integration import Integration, IntegrationNotFound, IntegrationReader

EXTERNAL_ID = "external_id"


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


class Owner(msgspec.Struct, frozen=True):
    """Whose connection it is: the facts that find it, the key that seals its secrets, and what must be stored first."""

    subject_id: UUID
    key: DataKey
    fact: Fact
    integration: FactChange
    new_streams: tuple[StreamEvents, ...] = ()
    new_facts: tuple[FactChange, ...] = ()
    new_keys: tuple[WrappedKey, ...] = ()


class ConnectionCommands:
    """What end users' and the developer's own connections can be told to do."""

    def __init__(
        self, desk: Desk, integrations: IntegrationReader, catalogue: Catalogue, prover: CredentialProver, clock: Clock
    ) -> None:
        self._desk = desk
        self._integrations = integrations
        self._catalogue = catalogue
        self._prover = prover
        self._clock = clock

    async def import_token(
        self, project_id: UUID, caller: Caller, external_id: str, tokens: TokenSet, *, replaces: bool
    ) -> None:
        """Stores a token set that was issued elsewhere as the end user's connection; adds the end user when new.

        IntegrationNotFound, ConnectionAlreadyExists.
        """

        async def decide() -> tuple[Changes, None]:
            owner, integration, connection_id = await self._facts(project_id, external_id, tokens.app_key)
            stream_id, state, version = await self._connection(project_id, connection_id)
            secret = self._imported_secret(integration, tokens)
            credential = await self._sealed(project_id, owner, stream_id, state, secret)
            events = import_token(
                state,
                ImportToken(
                    end_user_id=owner.subject_id,
                    app_key=tokens.app_key,
                    auth_type=integration.auth_type,
                    credential_version=credential.version,
                    scopes=tokens.scopes,
                    expires_at=tokens.expires_at,
                    renewable=tokens.refresh_token is not None,
                    replaces=replaces,
                    now=self._clock(),
                ),
            )
            return self._changes(owner, stream_id, version, events, credential), None

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
        """Connects an end user to an app that is not OAuth. ``prove`` asks the app first.

        IntegrationNotFound, InvalidFields, CredentialRejected, CannotProve, ConnectionAlreadyExists.
        """
        checked: dict[str, str] | None = None

        async def decide() -> tuple[Changes, None]:
            nonlocal checked
            if checked is None:  # not before: a repeated request is answered as it was, without asking the app again
                checked = await self._checked(project_id, app_key, fields, prove)
            owner, integration, connection_id = await self._facts(project_id, external_id, app_key)
            stream_id, state, version = await self._connection(project_id, connection_id)
            credential = await self._sealed(project_id, owner, stream_id, state, _fields_secret(checked))
            command = ConnectApp(
                end_user_id=owner.subject_id,
                app_key=app_key,
                auth_type=integration.auth_type,
                credential_version=credential.version,
                replaces=replaces,
                now=self._clock(),
            )
            events = connect_app(state, command)
            return self._changes(owner, stream_id, version, events, credential), None

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
    ) -> UUID:
        """Adds a connection of the developer's own; its name is unique per app. Answers its id."""
        checked: dict[str, str] | None = None

        async def decide() -> tuple[Changes, UUID]:
            nonlocal checked
            if checked is None:
                checked = await self._checked(project_id, app_key, fields, prove)
            integration, required = await self._integration(project_id, app_key)
            key = await self._desk.vault.tenant_key(project_id)
            fact = developer_connection_fact(app_key, key.digest("connection name", name.encode()))
            if fact in await self._desk.store.holders(project_id, [fact]):
                raise ConnectionAlreadyExists(f"There is a connection named {name!r} to this app already.")
            owner = Owner(project_id, key, fact, required)
            stream_id = new_id()
            credential = await self._sealed(project_id, owner, stream_id, Connection(), _fields_secret(checked))
            command = ConnectApp(
                end_user_id=None,
                app_key=app_key,
                auth_type=integration.auth_type,
                credential_version=credential.version,
                replaces=False,
                now=self._clock(),
                name=name,
            )
            events = connect_app(Connection(), command)
            return self._changes(owner, stream_id, 0, events, credential), stream_id

        return await self._desk.execute(project_id, caller, decide, UUID)

    async def delete(self, project_id: UUID, caller: Caller, external_id: str, app_key: str) -> None:
        """Deletes the end user's connection and destroys its secrets; registrations stay.

        IntegrationNotFound, EndUserNotFound, ConnectionNotFound.
        """

        async def decide() -> tuple[Changes, None]:
            key = await self._desk.vault.tenant_key(project_id)
            digest = key.digest(EXTERNAL_ID, external_id.encode())
            user, fact = end_user_fact(digest), end_user_connection_fact(digest, app_key)
            taken = await self._desk.store.holders(project_id, [integration_fact(app_key), user, fact])
            if integration_fact(app_key) not in taken:
                raise IntegrationNotFound
            if user not in taken:
                raise EndUserNotFound
            if fact not in taken:
                raise ConnectionNotFound
            return await self._deletion(project_id, taken[fact], fact), None

        await self._desk.execute(project_id, caller, decide)

    async def delete_own(self, project_id: UUID, caller: Caller, connection_id: UUID) -> None:
        """Deletes a connection of the developer's own; ConnectionNotFound when it is somebody else's or gone."""

        async def decide() -> tuple[Changes, None]:
            state, _ = await load(self._desk.store, CONNECTION, project_id, connection_id)
            if not state.present or state.end_user_id is not None:
                raise ConnectionNotFound
            key = await self._desk.vault.tenant_key(project_id)
            fact = developer_connection_fact(state.app_key, key.digest("connection name", state.name.encode()))
            return await self._deletion(project_id, connection_id, fact), None

        await self._desk.execute(project_id, caller, decide)

    async def _deletion(self, project_id: UUID, stream_id: UUID, fact: Fact) -> Changes:
        state, version = await load(self._desk.store, CONNECTION, project_id, stream_id)
        return Changes(
            streams=(StreamEvents(stream_id, CONNECTION.stream_type, version, delete(state)),),
            facts=(FactChange(FactUse.RELEASE, fact),),
            destroys=(stream_id,),
        )

    async def _facts(self, project_id: UUID, external_id: str, app_key: str) -> tuple[Owner, Integration, UUID | None]:
        """The end user, new or known, the integration, and the connection that is there already."""
        vault, store = self._desk.vault, self._desk.store
        tenant_key = await vault.tenant_key(project_id)
        digest = tenant_key.digest(EXTERNAL_ID, external_id.encode())
        user, fact, app = end_user_fact(digest), end_user_connection_fact(digest, app_key), integration_fact(app_key)
        taken = await store.holders(project_id, [app, user, fact])
        if app not in taken:
            raise IntegrationNotFound
        integration = await self._integrations.read(project_id, taken[app])
        required = FactChange(FactUse.REQUIRE, app, taken[app])
        if user in taken:
            subject_id = taken[user]
            owner = Owner(subject_id, await vault.key(project_id, subject_id), fact, required)
            return owner, integration, taken.get(fact)
        subject_id = new_id()
        wrapped, key = vault.new_key(project_id, subject_id)
        added = EndUserAdded(external_id=Sealed(subject_id, key.seal(PERSONAL, external_id.encode())))
        owner = Owner(
            subject_id,
            key,
            fact,
            required,
            (StreamEvents(subject_id, "end_user", 0, (added,)),),
            (FactChange(FactUse.CLAIM, user, subject_id, subject_id),),
            (wrapped,),
        )
        return owner, integration, None

    async def _integration(self, project_id: UUID, app_key: str) -> tuple[Integration, FactChange]:
        fact = integration_fact(app_key)
        taken = await self._desk.store.holders(project_id, [fact])
        if fact not in taken:
            raise IntegrationNotFound
        integration = await self._integrations.read(project_id, taken[fact])
        return integration, FactChange(FactUse.REQUIRE, fact, taken[fact])

    async def _connection(self, project_id: UUID, connection_id: UUID | None) -> tuple[UUID, Connection, int]:
        if connection_id is None:
            return new_id(), CONNECTION.initial, 0
        state, version = await load(self._desk.store, CONNECTION, project_id, connection_id)
        return connection_id, state, version

    async def _sealed(
        self, project_id: UUID, owner: Owner, connection_id: UUID, state: Connection, secret: bytes
    ) -> SealedCredential:
        """The secret as the next version; one that was stored without its event counts too."""
        version = state.credential_version
        if version:
            version = max(version, await self._desk.vault.newest_version(project_id, connection_id))
        context = credential_context(connection_id, version + 1)
        return SealedCredential(connection_id, version + 1, owner.subject_id, owner.key.seal(context, secret))

    def _changes(
        self, owner: Owner, stream_id: UUID, version: int, events: tuple[Event, ...], credential: SealedCredential
    ) -> Changes:
        taking = () if version else (FactChange(FactUse.CLAIM, owner.fact, stream_id, owner.subject_id),)
        return Changes(
            streams=(*owner.new_streams, StreamEvents(stream_id, CONNECTION.stream_type, version, events)),
            facts=(owner.integration, *owner.new_facts, *taking),
            data_keys=owner.new_keys,
            credentials=(credential,),
            subject_id=owner.subject_id,
        )

    async def _checked(
        self, project_id: UUID, app_key: str, fields: Mapping[str, object], prove: bool
    ) -> dict[str, str]:
        integration, _ = await self._integration(project_id, app_key)
        app, scheme = self._scheme(integration)
        checked = check_fields(scheme, fields)
        if prove:
            proof = await self._prover.prove(app, scheme, checked)
            if isinstance(proof, Rejected):
                raise CredentialRejected(proof.message)
            if isinstance(proof, Unreachable):
                raise CannotProve(proof.message)
        return checked

    def _scheme(self, integration: Integration) -> tuple[App, AuthScheme]:
        return self._catalogue.scheme(integration.app_key, integration.auth_type)

    def _imported_secret(self, integration: Integration, tokens: TokenSet) -> bytes:
        """For an app with a key, the access token is its secret."""
        _, scheme = self._scheme(integration)
        members: dict[str, object] = {"fields": {scheme.token_field: tokens.access_token}}
        if tokens.refresh_token is not None:
            members["refresh_token"] = tokens.refresh_token
        if tokens.token is not None or tokens.token_secret is not None:
            members["oauth1"] = {"token": tokens.token, "token_secret": tokens.token_secret}
        return msgspec.json.encode(members)


def _fields_secret(fields: Mapping[str, str]) -> bytes:
    return msgspec.json.encode({"fields": fields})
