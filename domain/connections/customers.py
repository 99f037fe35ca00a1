"""Connections as customers have them: several to one provider, told apart by name, with grants to instances."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from domain.apps.connection_fields import check_fields
from domain.connections.authorising import Life, Whose, connect_app, grant, import_token, revoke_grant
from domain.connections.connection import CONNECTION, Connection, ConnectionNotFound, Grant, status_of
from domain.connections.given_credentials import secret_of
from domain.connections.owners import Owners
from domain.connections.revoking import Revocation, Revoker
from domain.connections.secret import Secret
from domain.connections.targets import Targets
from domain.deciding import Caller, Changes, Desk, load
from domain.errors import Conflict, Refusal
from domain.events import Event, Sealed
from domain.facts import instance_fact
from domain.ids import new_id
from domain.instances.instance import INSTANCE, InstanceNotFound
from domain.ports import PERSONAL, Clock, FactChange, FactUse, StreamEvents

AuthType = Literal["oauth2", "api_key", "basic"]


class InstanceOfAnotherCustomer(Conflict):
    """The instance belongs to another customer."""

    code = "instance_of_another_customer"


class NewConnection(msgspec.Struct, frozen=True, kw_only=True):
    """``provider`` need not be in the catalogue. ``scopes`` None: those that the credentials name."""

    provider: str
    name: str
    auth_type: AuthType
    credentials: Mapping[str, Any]
    metadata: Mapping[str, Any] | None = None
    scopes: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        return f"NewConnection({self.provider})"


class MadeConnection(msgspec.Struct, frozen=True):
    """A connection as it was made: with its stream's version ``version``."""

    connection_id: UUID
    provider: str
    name: str
    auth_type: str
    scopes: tuple[str, ...]
    status: str
    expires_at: datetime | None
    version: int


class MadeGrant(msgspec.Struct, frozen=True):
    grant_id: UUID
    instance_id: UUID
    capabilities: tuple[str, ...]
    version: int


class CustomerConnections:
    """What a customer's connections can be told to do."""

    def __init__(self, desk: Desk, owners: Owners, targets: Targets, revoker: Revoker, clock: Clock) -> None:
        self._desk = desk
        self._owners = owners
        self._targets = targets
        self._revoker = revoker
        self._clock = clock

    async def create(
        self, project_id: UUID, caller: Caller, end_user_id: UUID, new: NewConnection
    ) -> tuple[MadeConnection, datetime, datetime]:
        """Stores these credentials as a connection; answers it, when it was first heard of, and when it was made.

        InvalidCredentials, EndUserNotFound, ConnectionAlreadyExists.
        """
        secret = secret_of(new.auth_type, new.credentials, new.scopes, new.metadata)
        scopes = secret.scopes or ()

        async def decide() -> tuple[Changes, MadeConnection]:
            found, is_default = await self._owners.of_customer(project_id, end_user_id, new.provider, new.name)
            fields = await self._renewed_with(project_id, new.provider, secret)
            renewable = fields is not None
            kept = msgspec.structs.replace(secret, fields=fields or {})
            credential = await self._owners.sealed(project_id, found, kept)
            now, key = self._clock(), found.owner.key
            whose = Whose(
                end_user_id=end_user_id,
                app_key=new.provider,
                auth_type=new.auth_type,
                sealed_name=Sealed(end_user_id, key.seal(PERSONAL, new.name.encode())),
                is_default=is_default,
                replaces=False,
                now=now,
            )
            events: tuple[Event, ...]
            if new.auth_type == "oauth2":
                life = Life(scopes=scopes, obtained_at=now, expires_at=secret.expires_at, renewable=renewable)
                events = import_token(found.state, whose, life, credential.version)
            else:
                events = connect_app(found.state, whose, credential.version)
            ends = secret.expires_at
            made = MadeConnection(
                connection_id=found.connection_id,
                provider=new.provider,
                name=new.name,
                auth_type=new.auth_type,
                scopes=scopes,
                status=status_of(present=True, ended="", expires_at=ends, renewable=renewable, now=now),
                expires_at=ends,
                version=found.version + len(events),
            )
            return found.changes(events, credential), made

        made = await self._desk.execute(project_id, caller, decide, MadeConnection)
        first = await self._desk.recorded_at(project_id, made.connection_id)
        last = await self._desk.recorded_at(project_id, made.connection_id, made.version) if made.version > 1 else first
        return made, first, last

    async def delete(self, project_id: UUID, caller: Caller, end_user_id: UUID, connection_id: UUID) -> None:
        """Deletes the connection, its grants and its secrets. The provider is asked to end its token.

        EndUserNotFound, ConnectionNotFound.
        """
        revocation: Revocation | None = None

        async def decide() -> tuple[Changes, None]:
            nonlocal revocation
            state, version = await self._load(project_id, end_user_id, connection_id)
            revocation = await self._revoker.prepare(project_id, connection_id)
            return await self._owners.deletion(project_id, connection_id, state, version), None

        await self._desk.execute(project_id, caller, decide)
        self._revoker.begin(revocation)

    async def grant(
        self,
        project_id: UUID,
        caller: Caller,
        end_user_id: UUID,
        connection_id: UUID,
        instance_id: UUID,
        capabilities: tuple[str, ...],
    ) -> tuple[MadeGrant, datetime]:
        """Lets an instance fetch the connection's credentials; answers the grant, and when it was made.

        EndUserNotFound, ConnectionNotFound, InstanceNotFound, InstanceOfAnotherCustomer, GrantAlreadyExists.
        """

        async def decide() -> tuple[Changes, MadeGrant]:
            state, version = await self._load(project_id, end_user_id, connection_id)
            required = await self._instance(project_id, end_user_id, instance_id)
            made = Grant(new_id(), instance_id, tuple(dict.fromkeys(capabilities)))
            stream = StreamEvents(connection_id, CONNECTION.stream_type, version, grant(state, made))
            changes = Changes(streams=(stream,), facts=(required,), subject_id=end_user_id)
            return changes, MadeGrant(made.grant_id, instance_id, made.capabilities, version + 1)

        made = await self._desk.execute(project_id, caller, decide, MadeGrant)
        return made, await self._desk.recorded_at(project_id, connection_id, made.version)

    async def revoke_grant(
        self, project_id: UUID, caller: Caller, end_user_id: UUID, connection_id: UUID, grant_id: UUID
    ) -> None:
        """EndUserNotFound, ConnectionNotFound, GrantNotFound."""

        async def decide() -> tuple[Changes, None]:
            state, version = await self._load(project_id, end_user_id, connection_id)
            stream = StreamEvents(connection_id, CONNECTION.stream_type, version, revoke_grant(state, grant_id))
            return Changes(streams=(stream,), subject_id=end_user_id), None

        await self._desk.execute(project_id, caller, decide)

    async def _load(self, project_id: UUID, end_user_id: UUID, connection_id: UUID) -> tuple[Connection, int]:
        await self._owners.end_user(project_id, end_user_id)
        state, version = await load(self._desk.store, CONNECTION, project_id, connection_id)
        if not state.present or state.end_user_id != end_user_id:
            raise ConnectionNotFound
        return state, version

    async def _instance(self, project_id: UUID, end_user_id: UUID, instance_id: UUID) -> FactChange:
        fact = instance_fact(instance_id)
        if fact not in await self._desk.store.holders(project_id, [fact]):
            raise InstanceNotFound
        instance, _ = await load(self._desk.store, INSTANCE, project_id, instance_id)
        if instance.end_user_id not in (None, end_user_id):
            raise InstanceOfAnotherCustomer
        return FactChange(FactUse.REQUIRE, fact, instance_id)

    async def _renewed_with(self, project_id: UUID, provider: str, secret: Secret) -> dict[str, str] | None:
        """What the provider's addresses need of the credentials, such as a shop's name. None where nobody can renew the token: without
        a refresh token, an integration of the project's that knows as whom to present it, or one of those fields.
        """
        if secret.refresh_token is None:
            return None
        try:
            target = await self._targets.target(project_id, provider, "oauth2", {})
            asked = {field.name for field in target.scheme.fields}
            return check_fields(
                target.scheme, {name: secret.credentials[name] for name in asked & set(secret.credentials)}
            )
        except Refusal:
            return None
