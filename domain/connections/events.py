"""What happens to a connection: the letters that its stream is made of."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from domain.events import Event, Sealed


class ConnectionRequested(Event, frozen=True):
    """Somebody was given a link to connect this; nothing is connected yet. ``name`` is a name of the developer's own connections;
    an end user's is often an address of theirs, and stands in ``sealed_name``, here and below.
    """

    TOPIC = "connection.requested"
    end_user_id: UUID | None
    app_key: str
    auth_type: str
    name: str = ""
    sealed_name: Sealed | None = None
    is_default: bool = True


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
    name: str = ""
    sealed_name: Sealed | None = None
    is_default: bool = True


class AppConnected(Event, frozen=True):
    """Fields were given (API key, user and password, custom). ``name`` tells apart several connections to one app; the default
    one is what APIs without names see.
    """

    TOPIC = "connection.app_connected"
    end_user_id: UUID | None
    app_key: str
    auth_type: str
    credential_version: int
    name: str = ""
    sealed_name: Sealed | None = None
    is_default: bool = True


class ConnectionLinked(Event, frozen=True):
    """The provider handed out tokens, first or again. ``account_digest`` is a keyed hash of the account's id at the provider;
    ``obtained_at`` and ``expires_at`` bound the access token's life; ``renewable``: no person is needed for the next one.
    """

    TOPIC = "connection.linked"
    end_user_id: UUID | None
    app_key: str
    auth_type: str
    credential_version: int
    obtained_at: datetime
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    renewable: bool = False
    name: str = ""
    sealed_name: Sealed | None = None
    is_default: bool = True
    account_digest: bytes = b""
    account_name: Sealed | None = None


class RefreshStarted(Event, frozen=True):
    """From now until ``until`` nobody else asks the provider. ``fence`` counts the refreshes of the connection."""

    TOPIC = "connection.refresh_started"
    fence: int
    credential_version: int
    until: datetime


class TokenRefreshed(Event, frozen=True):
    """The provider renewed the token; the new one is the credential of that version. ``revives``: the connection had been given up."""

    TOPIC = "connection.token_refreshed"
    fence: int
    credential_version: int
    obtained_at: datetime
    expires_at: datetime | None = None
    renewable: bool = True
    scopes: tuple[str, ...] | None = None
    revives: bool = False


class RefreshFailed(Event, frozen=True):
    """Trouble that may pass. ``may_have_arrived``: the provider may have renewed the token without our learning of it."""

    TOPIC = "connection.refresh_failed"
    fence: int
    message: str
    retry_at: datetime
    may_have_arrived: bool = True


class ConnectionInvalidated(Event, frozen=True):
    """It cannot be used any more until somebody connects again: ``status`` is revoked, expired or error."""

    TOPIC = "connection.invalidated"
    status: Literal["revoked", "expired", "error"]
    message: str
    fence: int = 0


class ConnectionDeleted(Event, frozen=True):
    TOPIC = "connection.deleted"


class RevocationAttempted(Event, frozen=True):
    """What became of asking the provider to end the deleted connection's token: revoked, failed or unsupported."""

    TOPIC = "connection.revocation_attempted"
    outcome: Literal["revoked", "failed", "unsupported"]
    message: str = ""


class GrantMade(Event, frozen=True):
    """A runtime may use the connection for these capabilities, which are the provider's own words."""

    TOPIC = "connection.grant_made"
    grant_id: UUID
    instance_id: UUID
    end_user_id: UUID | None
    app_key: str = ""
    sealed_name: Sealed | None = None
    capabilities: tuple[str, ...] = ()


class GrantRevoked(Event, frozen=True):
    TOPIC = "connection.grant_revoked"
    grant_id: UUID
