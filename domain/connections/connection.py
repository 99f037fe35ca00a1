"""A connection: one end user's, or the developer's own, authorised link to an app; its state, its status, its refusals."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec

from domain.connections.events import (
    AppConnected,
    ConnectionDeleted,
    ConnectionInvalidated,
    ConnectionLinked,
    ConnectionRequested,
    GrantMade,
    GrantRevoked,
    RefreshFailed,
    RefreshStarted,
    TokenImported,
    TokenRefreshed,
)
from domain.deciding import Decider
from domain.errors import Conflict, Invalid, NotFound
from domain.events import Event, Sealed


class ConnectionNotFound(NotFound):
    """No connection record found for the user."""

    code = "connection_not_found"


class ConnectionAlreadyExists(Conflict):
    """The user already has a connection for this application."""

    code = "connection_already_exists"


class CredentialRejected(Invalid):
    """The application did not accept these credentials."""

    code = "credential_rejected"


class Status(StrEnum):
    """What can be said of a connection. Only an active one may be used."""

    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"
    ERROR = "error"


def status_of(*, present: bool, ended: str, expires_at: datetime | None, renewable: bool, now: datetime) -> Status:
    """``ended``: what an event said, or nothing. A token past its time that cannot be renewed has expired, said or not."""
    if ended:
        return Status(ended)
    if not present:
        return Status.PENDING
    return Status.ACTIVE if expires_at is None or renewable or expires_at > now else Status.EXPIRED


class Flight(msgspec.Struct, frozen=True):
    """A refresh that has begun and of whose end nothing is known yet."""

    fence: int
    until: datetime


class Grant(msgspec.Struct, frozen=True):
    grant_id: UUID
    instance_id: UUID
    capabilities: tuple[str, ...] = ()


class Connection(msgspec.Struct, frozen=True):
    """``end_user_id`` None: the developer's own, which has a name. ``rooted_at`` is the credential version with which the present
    authorisation began: what was obtained from an earlier one is worthless. ``unsure``: a refresh was lost from sight, so that
    the provider may know a newer token than we do.
    """

    present: bool = False
    end_user_id: UUID | None = None
    app_key: str = ""
    auth_type: str = ""
    name: str = ""
    sealed_name: Sealed | None = None
    is_default: bool = True
    scopes: tuple[str, ...] = ()
    obtained_at: datetime | None = None
    expires_at: datetime | None = None
    renewable: bool = False
    credential_version: int = 0
    rooted_at: int = 0
    account_digest: bytes = b""
    ended: str = ""
    message: str = ""
    fence: int = 0
    flight: Flight | None = None
    unsure: bool = False
    failures: int = 0
    retry_at: datetime | None = None
    grants: tuple[Grant, ...] = ()

    def status(self, now: datetime) -> Status:
        return status_of(
            present=self.present, ended=self.ended, expires_at=self.expires_at, renewable=self.renewable, now=now
        )

    def is_valid(self, now: datetime) -> bool:
        return self.status(now) is Status.ACTIVE

    @property
    def life(self) -> timedelta | None:
        """How long the present access token lives in all, where that is known."""
        return self.expires_at - self.obtained_at if self.expires_at and self.obtained_at else None


def evolve(state: Connection, event: Event) -> Connection:
    change = msgspec.structs.replace
    match event:
        case ConnectionRequested():
            return change(
                state,
                end_user_id=event.end_user_id,
                app_key=event.app_key,
                auth_type=event.auth_type,
                name=event.name,
                sealed_name=event.sealed_name,
                is_default=event.is_default,
            )
        case TokenImported() | AppConnected() | ConnectionLinked():
            return _authorised(state, event)
        case RefreshStarted():
            lost = state.flight is not None
            flight = Flight(event.fence, event.until)
            return change(state, fence=event.fence, flight=flight, unsure=state.unsure or lost)
        case TokenRefreshed():
            return change(
                state,
                credential_version=event.credential_version,
                obtained_at=event.obtained_at,
                expires_at=event.expires_at,
                renewable=event.renewable,
                scopes=state.scopes if event.scopes is None else event.scopes,
                ended="",
                message="",
                flight=state.flight if state.flight and state.flight.fence > event.fence else None,
                unsure=False,
                failures=0,
                retry_at=None,
            )
        case RefreshFailed():
            return change(
                state,
                flight=None,
                unsure=state.unsure or event.may_have_arrived,
                failures=state.failures + 1,
                retry_at=event.retry_at,
                message=event.message,
            )
        case ConnectionInvalidated():
            return change(state, ended=event.status, message=event.message, flight=None, retry_at=None)
        case ConnectionDeleted():
            return Connection(credential_version=state.credential_version, fence=state.fence)
        case GrantMade():
            grant = Grant(event.grant_id, event.instance_id, event.capabilities)
            return change(state, grants=(*state.grants, grant))
        case GrantRevoked():
            return change(state, grants=tuple(one for one in state.grants if one.grant_id != event.grant_id))
    return state


def _authorised(state: Connection, event: TokenImported | AppConnected | ConnectionLinked) -> Connection:
    """A new authorisation; what grants were made stay, because the connection keeps its identity."""
    begun = Connection(
        present=True,
        end_user_id=event.end_user_id,
        app_key=event.app_key,
        auth_type=event.auth_type,
        name=event.name,
        sealed_name=event.sealed_name,
        is_default=event.is_default,
        credential_version=event.credential_version,
        rooted_at=event.credential_version,
        fence=state.fence,
        grants=state.grants,
    )
    if isinstance(event, AppConnected):
        return begun
    scopes, expires_at, renewable = event.scopes, event.expires_at, event.renewable
    begun = msgspec.structs.replace(begun, scopes=scopes, expires_at=expires_at, renewable=renewable)
    if isinstance(event, TokenImported):
        return begun
    return msgspec.structs.replace(begun, obtained_at=event.obtained_at, account_digest=event.account_digest)


CONNECTION = Decider("connection", Connection(), evolve, snapshot_every=100)
