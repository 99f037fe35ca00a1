"""An end user: a person who uses a project's application, known by the application's own id for them."""

from __future__ import annotations

import msgspec

from domain.deciding import Decider
from domain.errors import Conflict, NotFound
from domain.events import Event, Sealed


class EndUserAdded(Event, frozen=True):
    """The application's own id is personal: it is sealed with the end user's data key."""

    TOPIC = "end_user.added"
    external_id: Sealed


class EndUserDescribed(Event, frozen=True):
    """``profile`` is a Profile as JSON, sealed with the end user's data key."""

    TOPIC = "end_user.described"
    profile: Sealed


class EndUserErased(Event, frozen=True):
    """Everything personal about the end user became unreadable; connections and secrets went with it."""

    TOPIC = "end_user.erased"


class EndUserNotFound(NotFound):
    """No record found for the user."""

    code = "end_user_not_found"


class EndUserAlreadyExists(Conflict):
    """The project has an end user with this id or e-mail address already."""

    code = "end_user_already_exists"


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an application may tell of its end user, all of it optional and in its own words."""

    email: str | None = None
    company_name: str | None = None
    country_code: str | None = None
    currency: str | None = None
    industry: str | None = None
    locale: str | None = None
    timezone: str | None = None

    def __repr__(self) -> str:
        return "Profile(...)"


class EndUser(msgspec.Struct, frozen=True):
    """``external_id`` as it was sealed; None when nobody is there."""

    present: bool = False
    external_id: Sealed | None = None


def evolve(state: EndUser, event: Event) -> EndUser:
    match event:
        case EndUserAdded():
            return EndUser(present=True, external_id=event.external_id)
        case EndUserErased():
            return EndUser()
    return state


END_USER = Decider("end_user", EndUser(), evolve)


def erase(state: EndUser) -> tuple[Event, ...]:
    if not state.present:
        raise EndUserNotFound
    return (EndUserErased(),)
