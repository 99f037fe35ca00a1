"""A connect link: one person's way to connect one app, from the link over the provider and back. Its own short stream."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from domain.deciding import Decider
from domain.errors import Forbidden, NotFound
from domain.events import Event
from domain.facts import Fact

LINK_LIFE = timedelta(minutes=30)
AUTHORIZATION_LIFE = timedelta(minutes=10)
MOST_AUTHORIZATIONS = 50
"""How often a person may set out for the provider by one link."""


class LinkIssued(Event, frozen=True):
    """``digest`` is the link's. ``connection_id`` is what it connects, ``fact`` what finds that. ``return_url`` and ``origin`` were
    allowed by the project's settings; ``keeps_account``: another account than before is refused; ``proves``: the app is asked
    whether what the person fills in works.
    """

    TOPIC = "connect_link.issued"
    connection_id: UUID
    end_user_id: UUID | None
    app_key: str
    auth_type: str
    fact: Fact
    digest: bytes
    expires_at: datetime
    return_url: str | None = None
    origin: str | None = None
    name: str = ""
    replaces: bool = False
    keeps_account: bool = False
    proves: bool = False


class AuthorizationStarted(Event, frozen=True):
    """The person confirmed and was sent to the provider. ``state_digest`` and ``cookie_digest`` must come back together, once."""

    TOPIC = "connect_link.authorization_started"
    state_digest: bytes
    cookie_digest: bytes
    expires_at: datetime


class AuthorizationFailed(Event, frozen=True):
    """The provider, or the check of its answer, said no; the person may try again while the link lives."""

    TOPIC = "connect_link.authorization_failed"
    code: str
    message: str


class AuthorizationReturned(Event, frozen=True):
    """The provider's answer arrived; its state is used up, whatever becomes of the answer."""

    TOPIC = "connect_link.authorization_returned"


class LinkCompleted(Event, frozen=True):
    TOPIC = "connect_link.completed"


class LinkNotFound(NotFound):
    """This link does not exist, or its time is over; ask for a new one."""

    code = "connect_link_not_found"


class LinkUsedUp(NotFound):
    """This link was used already; ask for a new one to connect again."""

    code = "connect_link_used_up"


class StateInvalid(Forbidden):
    """This answer does not belong to a connection that was begun here; open the link again in one and the same browser."""

    code = "connect_state_invalid"


class Authorization(msgspec.Struct, frozen=True):
    """One way to the provider and back. ``number`` counts them, and is the version of what was sealed for the way back."""

    number: int
    state_digest: bytes
    cookie_digest: bytes
    expires_at: datetime


class ConnectLink(msgspec.Struct, frozen=True):
    issued: LinkIssued | None = None
    authorization: Authorization | None = None
    authorizations: int = 0
    completed: bool = False


def evolve(state: ConnectLink, event: Event) -> ConnectLink:
    change = msgspec.structs.replace
    match event:
        case LinkIssued():
            return ConnectLink(issued=event)
        case AuthorizationStarted():
            number = state.authorizations + 1
            authorization = Authorization(number, event.state_digest, event.cookie_digest, event.expires_at)
            return change(state, authorization=authorization, authorizations=number)
        case AuthorizationReturned():
            return change(state, authorization=None)
        case LinkCompleted():
            return change(state, authorization=None, completed=True)
    return state


CONNECT_LINK = Decider("connect_link", ConnectLink(), evolve)


def live(state: ConnectLink, digest: bytes, now: datetime) -> LinkIssued:
    """What the link is for, while it may be used by whoever knows its text. LinkNotFound, LinkUsedUp."""
    if state.issued is None or state.issued.digest != digest:
        raise LinkNotFound
    if state.completed:
        raise LinkUsedUp
    if now >= state.issued.expires_at:
        raise LinkNotFound
    return state.issued


def start_authorization(
    state: ConnectLink, digest: bytes, now: datetime, *, state_digest: bytes, cookie_digest: bytes
) -> tuple[Event, ...]:
    """A later start makes the earlier one's state worthless. LinkUsedUp, LinkNotFound."""
    live(state, digest, now)
    if state.authorizations >= MOST_AUTHORIZATIONS:
        raise LinkUsedUp("This link was tried too often; ask for a new one.")
    return (
        AuthorizationStarted(
            state_digest=state_digest,
            cookie_digest=cookie_digest,
            expires_at=now + AUTHORIZATION_LIFE,
        ),
    )


def take_back(
    state: ConnectLink, now: datetime, *, state_digest: bytes, cookie_digest: bytes
) -> tuple[Authorization, tuple[Event, ...]]:
    """The provider sent the person back: uses the state up. StateInvalid when it is not the one that was given to this browser.

    The link itself may have run out meanwhile: whoever was sent in time may come back.
    """
    found = state.authorization
    if state.completed or found is None or now >= found.expires_at:
        raise StateInvalid
    if found.state_digest != state_digest or found.cookie_digest != cookie_digest:
        raise StateInvalid
    return found, (AuthorizationReturned(),)
