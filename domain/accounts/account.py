"""An account: a person who logs in and belongs to companies."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from domain.deciding import Decider
from domain.errors import NotFound, Unauthenticated
from domain.events import Event, Sealed


class AccountRegistered(Event, frozen=True):
    """``number`` is the integer that stands for the person outside. The password's hash lies in the vault as credential
    ``credential_version`` of the account.
    """

    TOPIC = "account.registered"
    number: int
    email: Sealed
    name: Sealed
    credential_version: int


class CompanyJoined(Event, frozen=True):
    TOPIC = "account.company_joined"
    company_id: UUID
    role: str


class SessionOpened(Event, frozen=True):
    """A login that succeeded: a stream of its own, so that accounts stay short. ``digest`` is the session token's SHA-256."""

    TOPIC = "session.opened"
    account_id: UUID
    digest: bytes
    expires_at: datetime


class WrongCredentials(Unauthenticated):
    """The e-mail address or the password is wrong."""

    code = "wrong_credentials"


class AccountNotFound(NotFound):
    """No such user."""

    code = "account_not_found"


class Account(msgspec.Struct, frozen=True):
    present: bool = False
    number: int = 0
    companies: frozenset[UUID] = frozenset()


def evolve(state: Account, event: Event) -> Account:
    match event:
        case AccountRegistered():
            return Account(True, event.number, state.companies)
        case CompanyJoined():
            return Account(state.present, state.number, state.companies | {event.company_id})
    return state


ACCOUNT = Decider("account", Account(), evolve)
SESSION_STREAM = "session"


def join(state: Account, company_id: UUID, role: str) -> tuple[Event, ...]:
    """Nothing happens when the person is in the company already."""
    if not state.present:
        raise AccountNotFound
    return () if company_id in state.companies else (CompanyJoined(company_id=company_id, role=role),)
