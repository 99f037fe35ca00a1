"""Decisions of the token refresh: whether to, who may, and what an answer means however late it comes. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from domain.connections.connection import Connection
from domain.connections.events import ConnectionInvalidated, RefreshFailed, RefreshStarted, TokenRefreshed
from domain.connections.oauth import ProviderTrouble
from domain.connections.secret import Secret
from domain.errors import Conflict, Unavailable
from domain.events import Event

MARGIN = timedelta(seconds=60)
"""How long before its end an access token is renewed by whoever uses it."""

AHEAD = timedelta(minutes=5)
"""How long before its end the worker renews the token of a connection in use."""

SKEW = timedelta(seconds=10)
"""How far a provider's clock may be ahead of ours."""

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
LONGEST_OBEYED = timedelta(hours=6)
"""A provider's Retry-After beyond this is taken for a mistake."""

LOST_FROM_SIGHT = "A refresh was interrupted, and the application no longer takes the old token; connect again."
REVOKED = "The application says that this authorisation has ended; connect again."
EXPIRED = "The token has expired, and there is none to renew it with; connect again."


class ConnectionUnusable(Conflict):
    """The connection cannot be used until somebody connects again."""

    code = "connection_unusable"


class RefreshTrouble(Unavailable):
    """The application did not renew the token just now; it is tried again soon."""

    code = "refresh_trouble"

    def __init__(self, message: str | None = None, retry_at: datetime | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class Refresh(msgspec.Struct, frozen=True):
    """One attempt: which credential it renews, and of which authorisation. Whoever began it asks the provider before ``ask_by`` or
    never, and hears the answer before ``answer_by``: until ``until`` nobody else asks.
    """

    fence: int
    credential_version: int
    rooted_at: int
    ask_by: datetime
    answer_by: datetime
    until: datetime


def margin(state: Connection, wanted: timedelta = MARGIN) -> timedelta:
    """Short-lived tokens are not renewed before a fifth of their life is left."""
    return min(wanted, state.life / 5) if state.life is not None else wanted


def is_due(state: Connection, now: datetime, wanted: timedelta = MARGIN) -> bool:
    return state.expires_at is not None and now >= state.expires_at - margin(state, wanted)


def is_good(state: Connection, now: datetime) -> bool:
    """Whether the present token can still be sent."""
    return state.expires_at is None or now < state.expires_at - min(SKEW, margin(state))


def check_usable(state: Connection) -> None:
    if state.ended:
        raise ConnectionUnusable(state.message or None)


def is_taken(state: Connection, now: datetime) -> bool:
    """Whether somebody else may still be asking the provider."""
    return state.flight is not None and now < state.flight.until


def is_pausing(state: Connection, now: datetime) -> bool:
    return state.retry_at is not None and now < state.retry_at


def adopt(state: Connection, version: int, secret: Secret) -> Connection:
    """The state with the newest secret that is stored, also where no event names it yet."""
    if version <= state.credential_version or secret.obtained_at is None:
        return state
    return msgspec.structs.replace(
        state, credential_version=version, obtained_at=secret.obtained_at, expires_at=secret.expires_at, ended=""
    )


def start(state: Connection, now: datetime, lease: timedelta) -> tuple[Refresh, RefreshStarted]:
    """The caller has made sure that nobody else is at it: `is_taken` is no."""
    refresh = Refresh(
        fence=state.fence + 1,
        credential_version=state.credential_version,
        rooted_at=state.rooted_at,
        ask_by=now + lease / 4,
        answer_by=now + lease / 2,
        until=now + lease,
    )
    return refresh, RefreshStarted(
        fence=refresh.fence, credential_version=refresh.credential_version, until=refresh.until
    )


def succeed(state: Connection, refresh: Refresh, secret: Secret, credential_version: int) -> tuple[Event, ...]:
    """An answer is kept however late it comes, unless the authorisation that it belongs to has been replaced or deleted, or the
    provider has given a later one meanwhile.
    """
    if not state.present or state.rooted_at != refresh.rooted_at or secret.obtained_at is None:
        return ()
    is_behind = state.credential_version > refresh.credential_version
    if is_behind and state.obtained_at is not None and state.obtained_at > secret.obtained_at:
        return ()
    return (
        TokenRefreshed(
            fence=refresh.fence,
            credential_version=credential_version,
            obtained_at=secret.obtained_at,
            expires_at=secret.expires_at,
            scopes=secret.scopes if secret.scopes != state.scopes else None,
            revives=bool(state.ended),
        ),
    )


def refuse(state: Connection, refresh: Refresh) -> tuple[Event, ...]:
    """A definite no ends the connection, if it is about the token that it still has. After a refresh that was lost from sight it
    may only mean that the provider knows a newer one.
    """
    if not _is_current(state, refresh):
        return ()
    if state.unsure:
        return (ConnectionInvalidated(status="error", message=LOST_FROM_SIGHT, fence=refresh.fence),)
    return (ConnectionInvalidated(status="revoked", message=REVOKED, fence=refresh.fence),)


def trouble(
    state: Connection, refresh: Refresh, failure: ProviderTrouble, now: datetime, jitter: float
) -> tuple[Event, ...]:
    """Nothing is known, so nothing ends; the next try waits. ``jitter`` is between 0 and 1."""
    if not _is_current(state, refresh):
        return ()
    pause = min(FIRST_PAUSE * 2 ** min(state.failures, 20), LONGEST_PAUSE) * (0.75 + jitter / 2)
    if failure.retry_after is not None:
        pause = max(pause, min(timedelta(seconds=failure.retry_after), LONGEST_OBEYED))
    return (
        RefreshFailed(
            fence=refresh.fence,
            message=failure.message,
            retry_at=now + pause,
            may_have_arrived=failure.may_have_arrived,
        ),
    )


def expire(state: Connection, now: datetime) -> tuple[Event, ...]:
    """Says aloud that a token has run out which cannot be renewed."""
    if not state.present or state.ended or state.renewable or state.expires_at is None or now < state.expires_at:
        return ()
    return (ConnectionInvalidated(status="expired", message=EXPIRED),)


def next_look(state: Connection, now: datetime) -> datetime | None:
    """When the worker should see to the connection again; None: never, as long as nobody uses it."""
    if not state.present or state.ended or state.expires_at is None:
        return None
    if not state.renewable:
        return state.expires_at
    due = state.expires_at - margin(state, AHEAD)
    return max(due, state.retry_at or now, state.flight.until if state.flight else now)


def _is_current(state: Connection, refresh: Refresh) -> bool:
    return (
        state.present
        and not state.ended
        and state.rooted_at == refresh.rooted_at
        and state.credential_version == refresh.credential_version
        and state.flight is not None
        and state.flight.fence == refresh.fence
    )
