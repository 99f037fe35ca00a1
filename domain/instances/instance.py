"""An instance: a runtime that fetches credentials with a proxy key of its own, which is kept as a hash."""

from __future__ import annotations

from uuid import UUID

import msgspec

from domain.deciding import Decider
from domain.errors import NotFound
from domain.events import Event, Sealed


class InstanceCreated(Event, frozen=True):
    """``digest`` is the proxy key's SHA-256; the key itself is nowhere. One that belongs to an end user has its name sealed with
    their data key, and goes with them.
    """

    TOPIC = "instance.created"
    digest: bytes
    end_user_id: UUID | None = None
    name: str = ""
    sealed_name: Sealed | None = None


class InstanceKeyRotated(Event, frozen=True):
    """The key before opens nothing from here on."""

    TOPIC = "instance.key_rotated"
    digest: bytes


class InstanceDeleted(Event, frozen=True):
    """Its grants went with it."""

    TOPIC = "instance.deleted"


class InstanceNotFound(NotFound):
    """No such instance."""

    code = "instance_not_found"


class Instance(msgspec.Struct, frozen=True):
    present: bool = False
    end_user_id: UUID | None = None


def evolve(state: Instance, event: Event) -> Instance:
    match event:
        case InstanceCreated():
            return Instance(present=True, end_user_id=event.end_user_id)
        case InstanceDeleted():
            return Instance()
    return state


INSTANCE = Decider("instance", Instance(), evolve)


def rotate(state: Instance, digest: bytes) -> tuple[Event, ...]:
    if not state.present:
        raise InstanceNotFound
    return (InstanceKeyRotated(digest=digest),)


def delete(state: Instance) -> tuple[Event, ...]:
    if not state.present:
        raise InstanceNotFound
    return (InstanceDeleted(),)
