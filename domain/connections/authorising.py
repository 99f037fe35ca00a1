"""Decisions about who may have which connection: request, import, connect, link, delete, grant. Pure."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from domain.connections.connection import Connection, ConnectionAlreadyExists, ConnectionNotFound, Grant
from domain.connections.events import (
    AppConnected,
    ConnectionDeleted,
    ConnectionLinked,
    ConnectionRequested,
    GrantMade,
    GrantRevoked,
    TokenImported,
)
from domain.errors import Conflict, NotFound
from domain.events import Event, Sealed


class DifferentAccount(Conflict):
    """Another account than before was chosen at the application; log out there and choose the one that was connected."""

    code = "different_account"


class GrantAlreadyExists(Conflict):
    """This instance has a grant of the connection already."""

    code = "grant_already_exists"


class GrantNotFound(NotFound):
    """No such grant of this connection."""

    code = "grant_not_found"


class Whose(msgspec.Struct, frozen=True, kw_only=True):
    """Whose connection, to what, by which scheme. ``replaces``: a valid one gives way instead of refusing. One that has a
    ``sealed_name`` keeps it when it is connected again without one.
    """

    end_user_id: UUID | None
    app_key: str
    auth_type: str
    name: str = ""
    sealed_name: Sealed | None = None
    is_default: bool = True
    replaces: bool
    now: datetime


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a token beside itself."""

    scopes: tuple[str, ...] = ()
    obtained_at: datetime
    expires_at: datetime | None = None
    renewable: bool = False


class Account(msgspec.Struct, frozen=True):
    """The account at the provider: a keyed hash of its id (b"" when unknown), and its sealed name."""

    digest: bytes = b""
    name: Sealed | None = None


def _refuse_second(state: Connection, whose: Whose) -> None:
    if state.is_valid(whose.now) and not whose.replaces:
        raise ConnectionAlreadyExists


def request(state: Connection, whose: Whose) -> tuple[Event, ...]:
    """A link is about to be handed out. A connection that stands, or is pending already, says nothing new."""
    _refuse_second(state, whose)
    if state.app_key:
        return ()
    return (
        ConnectionRequested(
            end_user_id=whose.end_user_id,
            app_key=whose.app_key,
            auth_type=whose.auth_type,
            name=whose.name,
            sealed_name=whose.sealed_name or state.sealed_name,
            is_default=whose.is_default,
        ),
    )


def import_token(state: Connection, whose: Whose, life: Life, credential_version: int) -> tuple[Event, ...]:
    _refuse_second(state, whose)
    return (
        TokenImported(
            end_user_id=whose.end_user_id,
            app_key=whose.app_key,
            auth_type=whose.auth_type,
            name=whose.name,
            sealed_name=whose.sealed_name or state.sealed_name,
            is_default=whose.is_default,
            credential_version=credential_version,
            scopes=life.scopes,
            expires_at=life.expires_at,
            renewable=life.renewable,
        ),
    )


def connect_app(state: Connection, whose: Whose, credential_version: int) -> tuple[Event, ...]:
    _refuse_second(state, whose)
    return (
        AppConnected(
            end_user_id=whose.end_user_id,
            app_key=whose.app_key,
            auth_type=whose.auth_type,
            name=whose.name,
            sealed_name=whose.sealed_name or state.sealed_name,
            is_default=whose.is_default,
            credential_version=credential_version,
        ),
    )


def link(
    state: Connection, whose: Whose, life: Life, account: Account, credential_version: int, *, keeps_account: bool
) -> tuple[Event, ...]:
    """``keeps_account``: whoever connects again must choose the account of before, where both are known."""
    _refuse_second(state, whose)
    is_other = state.account_digest and account.digest and state.account_digest != account.digest
    if keeps_account and is_other:
        raise DifferentAccount
    return (
        ConnectionLinked(
            end_user_id=whose.end_user_id,
            app_key=whose.app_key,
            auth_type=whose.auth_type,
            name=whose.name,
            sealed_name=whose.sealed_name or state.sealed_name,
            is_default=whose.is_default,
            credential_version=credential_version,
            obtained_at=life.obtained_at,
            scopes=life.scopes,
            expires_at=life.expires_at,
            renewable=life.renewable,
            account_digest=account.digest,
            account_name=account.name,
        ),
    )


def delete(state: Connection) -> tuple[Event, ...]:
    """Also of one that still waits for its link to be followed."""
    if not state.app_key:
        raise ConnectionNotFound
    return (ConnectionDeleted(),)


def grant(state: Connection, made: Grant) -> tuple[Event, ...]:
    if not state.present:
        raise ConnectionNotFound
    if any(one.instance_id == made.instance_id for one in state.grants):
        raise GrantAlreadyExists
    return (
        GrantMade(
            grant_id=made.grant_id,
            instance_id=made.instance_id,
            end_user_id=state.end_user_id,
            app_key=state.app_key,
            sealed_name=state.sealed_name,
            capabilities=made.capabilities,
        ),
    )


def revoke_grant(state: Connection, grant_id: UUID) -> tuple[Event, ...]:
    if not state.present:
        raise ConnectionNotFound
    if all(one.grant_id != grant_id for one in state.grants):
        raise GrantNotFound
    return (GrantRevoked(grant_id=grant_id),)
