"""An end user: a person who uses a project's application, known by the application's own id for them."""

from __future__ import annotations

import msgspec

from domain.deciding import Decider
from domain.errors import NotFound
from domain.events import Event, Sealed


class EndUserAdded(Event, frozen=True):
    """The application's own id is personal: it is sealed with the end user's data key."""

    TOPIC = "end_user.added"
    external_id: Sealed


class EndUserErased(Event, frozen=True):
    """Everything personal about the end user became unreadable; connections and secrets went with it."""

    TOPIC = "end_user.erased"


class EndUserNotFound(NotFound):
    """No record found for the user."""

    code = "end_user_not_found"


class EndUser(msgspec.Struct, frozen=True):
    present: bool = False


def evolve(state: EndUser, event: Event) -> EndUser:
    match event:
        case EndUserAdded():
            return EndUser(present=True)
        case EndUserErased():
            return EndUser(present=False)
    return state


END_USER = Decider("end_user", EndUser(), evolve)


def erase(state: EndUser) -> tuple[Event, ...]:
    if not state.present:
        raise EndUserNotFound
    return (EndUserErased(),)
