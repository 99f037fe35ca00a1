"""A connection: one end user's, or the developer's own, authorised link to an app."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from domain.deciding import Decider
from domain.errors import Conflict, Invalid, NotFound
from domain.events import Event


class TokenImported(Event, frozen=True):
    """A token set that was issued elsewhere. ``expires_at`` None: perpetual. ``renewable``: it came with a refresh token."""

    TOPIC = "connection.token_imported"
    end_user_id: UUID | None
    app_key: str
    auth_type: str
    credential_version: int
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    renewable: bool = False


class AppConnected(Event, frozen=True):
    """Fields were given (API key, user and password, custom). ``name`` tells apart the developer's own connections."""

    TOPIC = "connection.app_connected"
    end_user_id: UUID | None
    app_key: str
    auth_type: str
    credential_version: int
    name: str = ""


class ConnectionDeleted(Event, frozen=True):
    TOPIC = "connection.deleted"


class ConnectionNotFound(NotFound):
    """No connection record found for the user."""

    code = "connection_not_found"


class ConnectionAlreadyExists(Conflict):
    """The user already has a connection for this application."""

    code = "connection_already_exists"


class CredentialRejected(Invalid):
    """The application did not accept these credentials."""

    code = "credential_rejected"


class Connection(msgspec.Struct, frozen=True):
    """``end_user_id`` None: the developer's own, which has a name."""

    present: bool = False
    end_user_id: UUID | None = None
    app_key: str = ""
    expires_at: datetime | None = None
    renewable: bool = False
    credential_version: int = 0
    name: str = ""

    def is_valid(self, now: datetime) -> bool:
        """Whether it may be used: a token past its time that cannot be renewed may not."""
        return self.present and (self.expires_at is None or self.renewable or self.expires_at > now)


def evolve(state: Connection, event: Event) -> Connection:
    match event:
        case TokenImported():
            return Connection(
                True, event.end_user_id, event.app_key, event.expires_at, event.renewable, event.credential_version
            )
        case AppConnected():
            return Connection(
                True,
                event.end_user_id,
                event.app_key,
                credential_version=event.credential_version,
                name=event.name,
            )
        case ConnectionDeleted():
            return Connection(credential_version=state.credential_version)
    return state


CONNECTION = Decider("connection", Connection(), evolve, snapshot_every=100)


class ImportToken(msgspec.Struct, frozen=True, kw_only=True):
    """``replaces``: an existing valid connection gives way instead of refusing."""

    end_user_id: UUID
    app_key: str
    auth_type: str
    credential_version: int
    scopes: tuple[str, ...]
    expires_at: datetime | None
    renewable: bool
    replaces: bool
    now: datetime


class ConnectApp(msgspec.Struct, frozen=True, kw_only=True):
    """Connects with fields. The developer's own connection has no end user, but a name."""

    end_user_id: UUID | None
    app_key: str
    auth_type: str
    credential_version: int
    replaces: bool
    now: datetime
    name: str = ""


def import_token(state: Connection, command: ImportToken) -> tuple[Event, ...]:
    if state.is_valid(command.now) and not command.replaces:
        raise ConnectionAlreadyExists
    return (
        TokenImported(
            end_user_id=command.end_user_id,
            app_key=command.app_key,
            auth_type=command.auth_type,
            credential_version=command.credential_version,
            scopes=command.scopes,
            expires_at=command.expires_at,
            renewable=command.renewable,
        ),
    )


def connect_app(state: Connection, command: ConnectApp) -> tuple[Event, ...]:
    if state.is_valid(command.now) and not command.replaces:
        raise ConnectionAlreadyExists
    return (
        AppConnected(
            end_user_id=command.end_user_id,
            app_key=command.app_key,
            auth_type=command.auth_type,
            credential_version=command.credential_version,
            name=command.name,
        ),
    )


def delete(state: Connection) -> tuple[Event, ...]:
    if not state.present:
        raise ConnectionNotFound
    return (ConnectionDeleted(),)
