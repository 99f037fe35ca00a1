"""Whose connection it is: the end user, known or new, or the project itself; and what must be stored before theirs can be."""

from __future__ import annotations

from uuid import UUID

import msgspec

from domain.connections.authorising import delete
from domain.connections.connection import CONNECTION, Connection, ConnectionAlreadyExists
from domain.connections.secret import Secret
from domain.connections.targets import Targets
from domain.deciding import Changes, load
from domain.end_users.end_user import END_USER, EndUserAdded, EndUserNotFound
from domain.events import Event, Sealed
from domain.facts import (
    Fact,
    developer_connection_fact,
    end_user_connection_fact,
    end_user_fact,
    integration_fact,
    named_connection_fact,
)
from domain.ids import new_id
from domain.ports import (
    PERSONAL,
    DataKey,
    EventStore,
    FactChange,
    FactUse,
    SealedCredential,
    StreamEvents,
    SubjectForgotten,
    Vault,
    WrappedKey,
    credential_context,
)
from domain.projects.integration import Integration, IntegrationNotFound

EXTERNAL_ID = "external_id"
CONNECTION_NAME = "connection name"


class Owner(msgspec.Struct, frozen=True):
    """``fact`` finds the connection, ``held_by`` is the one that it finds now; ``key`` seals its secrets."""

    subject_id: UUID
    end_user_id: UUID | None
    key: DataKey
    fact: Fact
    held_by: UUID | None
    integration: FactChange | None
    new_streams: tuple[StreamEvents, ...] = ()
    new_facts: tuple[FactChange, ...] = ()
    new_keys: tuple[WrappedKey, ...] = ()


class Found(msgspec.Struct, frozen=True):
    """An owner's connection as it stands: a new id and the initial state where there is none."""

    owner: Owner
    connection_id: UUID
    state: Connection
    version: int

    def changes(
        self, events: tuple[Event, ...], *credentials: SealedCredential, more: tuple[StreamEvents, ...] = ()
    ) -> Changes:
        """Writes these events with all that must come before them."""
        owner = self.owner
        own = (StreamEvents(self.connection_id, CONNECTION.stream_type, self.version, events),) if events else ()
        needs_fact = bool(events) and owner.held_by is None
        claimed = FactChange(FactUse.CLAIM, owner.fact, self.connection_id, owner.subject_id)
        return Changes(
            streams=(*owner.new_streams, *own, *more),
            facts=(
                *((owner.integration,) if owner.integration else ()),
                *owner.new_facts,
                *((claimed,) if needs_fact else ()),
            ),
            data_keys=owner.new_keys,
            credentials=credentials,
            subject_id=owner.subject_id,
        )


class Owners:
    """Gathers the facts that every decision about a connection begins with."""

    def __init__(self, store: EventStore, vault: Vault, targets: Targets) -> None:
        self._store = store
        self._vault = vault
        self._targets = targets

    async def of_end_user(self, project_id: UUID, external_id: str, app_key: str) -> tuple[Owner, Integration]:
        """The application's own user, added when new. IntegrationNotFound."""
        digest = await self.end_user_digest(project_id, external_id)
        user, fact, app = end_user_fact(digest), end_user_connection_fact(digest, app_key), integration_fact(app_key)
        taken = await self._store.holders(project_id, [app, user, fact])
        if app not in taken:
            raise IntegrationNotFound
        integration = await self._targets.read(project_id, taken[app])
        required = FactChange(FactUse.REQUIRE, app, taken[app])
        if user in taken:
            subject_id = taken[user]
            key = await self._vault.key(project_id, subject_id)
            return Owner(subject_id, subject_id, key, fact, taken.get(fact), required), integration
        subject_id = new_id()
        wrapped, key = self._vault.new_key(project_id, subject_id)
        added = EndUserAdded(external_id=Sealed(subject_id, key.seal(PERSONAL, external_id.encode())))
        owner = Owner(
            subject_id,
            subject_id,
            key,
            fact,
            None,
            required,
            (StreamEvents(subject_id, "end_user", 0, (added,)),),
            (FactChange(FactUse.CLAIM, user, subject_id, subject_id),),
            (wrapped,),
        )
        return owner, integration

    async def of_developer(self, project_id: UUID, app_key: str, name: str) -> tuple[Owner, Integration]:
        """The developer's own connection of that name. IntegrationNotFound."""
        integration_id, integration = await self._targets.integration(project_id, app_key)
        key = await self._vault.tenant_key(project_id)
        fact = developer_connection_fact(app_key, key.digest(CONNECTION_NAME, name.encode()))
        held_by = (await self._store.holders(project_id, [fact])).get(fact)
        required = FactChange(FactUse.REQUIRE, integration_fact(app_key), integration_id)
        return Owner(project_id, None, key, fact, held_by, required), integration

    async def of_customer(self, project_id: UUID, end_user_id: UUID, app_key: str, name: str) -> tuple[Found, bool]:
        """A new connection of that name, for an end user who is known and an app that need not be; and whether it is the default
        one, which APIs without names see: the first that there is. A default one that nobody has connected yet becomes this.

        EndUserNotFound, ConnectionAlreadyExists.
        """
        key, digest = await self.end_user(project_id, end_user_id)
        fact = named_connection_fact(end_user_id, app_key, key.digest(CONNECTION_NAME, name.encode()))
        default = end_user_connection_fact(digest, app_key)
        taken = await self._store.holders(project_id, [fact, default])
        if fact in taken:
            raise ConnectionAlreadyExists("The customer has a connection of this name to this provider already.")
        owner = Owner(end_user_id, end_user_id, key, fact, None, None)
        if default in taken:
            state, version = await load(self._store, CONNECTION, project_id, taken[default])
            if state.present:
                return Found(owner, new_id(), CONNECTION.initial, 0), False
            return Found(owner, taken[default], state, version), True
        connection_id = new_id()
        claimed = FactChange(FactUse.CLAIM, default, connection_id, end_user_id)
        owner = msgspec.structs.replace(owner, new_facts=(claimed,))
        return Found(owner, connection_id, CONNECTION.initial, 0), True

    async def end_user(self, project_id: UUID, end_user_id: UUID) -> tuple[DataKey, bytes]:
        """Their key, and the digest under which facts know them. EndUserNotFound."""
        state, _ = await load(self._store, END_USER, project_id, end_user_id)
        if state.external_id is None:
            raise EndUserNotFound
        try:
            key = await self._vault.key(project_id, end_user_id)
        except SubjectForgotten:
            raise EndUserNotFound from None
        external_id = key.open(PERSONAL, state.external_id.box)
        return key, await self.end_user_digest(project_id, external_id.decode())

    async def deletion(self, project_id: UUID, connection_id: UUID, state: Connection, version: int) -> Changes:
        """Deletes the connection, its secrets, and all facts that find it. ConnectionNotFound, EndUserNotFound."""
        events = delete(state)
        return Changes(
            streams=(StreamEvents(connection_id, CONNECTION.stream_type, version, events),),
            facts=tuple(FactChange(FactUse.RELEASE, fact) for fact in await self._facts(project_id, state)),
            destroys=(connection_id,),
            subject_id=state.end_user_id,
        )

    async def _facts(self, project_id: UUID, state: Connection) -> tuple[Fact, ...]:
        if state.end_user_id is None:
            tenant_key = await self._vault.tenant_key(project_id)
            name_digest = tenant_key.digest(CONNECTION_NAME, state.name.encode())
            return (developer_connection_fact(state.app_key, name_digest),)
        key, digest = await self.end_user(project_id, state.end_user_id)
        facts = [end_user_connection_fact(digest, state.app_key)] if state.is_default else []
        if state.sealed_name is not None:
            name_digest = key.digest(CONNECTION_NAME, key.open(PERSONAL, state.sealed_name.box))
            facts.append(named_connection_fact(state.end_user_id, state.app_key, name_digest))
        return tuple(facts)

    async def again(
        self, project_id: UUID, end_user_id: UUID | None, app_key: str, fact: Fact
    ) -> tuple[Owner, Integration]:
        """Who was known when a link was made. IntegrationNotFound; SubjectForgotten when the end user was erased since."""
        subject_id = end_user_id or project_id
        app = integration_fact(app_key)
        taken = await self._store.holders(project_id, [app, fact])
        if app not in taken:
            raise IntegrationNotFound
        key = await self._vault.key(project_id, subject_id)
        required = FactChange(FactUse.REQUIRE, app, taken[app])
        owner = Owner(subject_id, end_user_id, key, fact, taken.get(fact), required)
        return owner, await self._targets.read(project_id, taken[app])

    async def end_user_digest(self, project_id: UUID, external_id: str) -> bytes:
        return (await self._vault.tenant_key(project_id)).digest(EXTERNAL_ID, external_id.encode())

    async def found(self, project_id: UUID, owner: Owner) -> Found:
        """The owner's connection; one that is not there yet gets a fresh id."""
        if owner.held_by is None:
            return Found(owner, new_id(), CONNECTION.initial, 0)
        state, version = await load(self._store, CONNECTION, project_id, owner.held_by)
        return Found(owner, owner.held_by, state, version)

    async def sealed(self, project_id: UUID, found: Found, secret: Secret) -> SealedCredential:
        """The secret as the connection's next version; one that was stored without its event counts too."""
        version = found.state.credential_version
        if found.version:
            version = max(version, await self._vault.newest_version(project_id, found.connection_id))
        box = found.owner.key.seal(credential_context(found.connection_id, version + 1), secret.sealed_form())
        return SealedCredential(found.connection_id, version + 1, found.owner.subject_id, box)
