"""An integration: a project's registration of an app, with its OAuth client where the app has one."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

import msgspec

from domain.deciding import Decider, load
from domain.errors import Conflict, NotFound
from domain.events import Event
from domain.ports import EventStore


class IntegrationAdded(Event, frozen=True):
    """``credential_version`` 0: it came without a client secret."""

    TOPIC = "integration.added"
    app_key: str
    auth_type: str
    client_id: str | None = None
    scopes: tuple[str, ...] = ()
    credential_version: int = 0


class IntegrationRemoved(Event, frozen=True):
    TOPIC = "integration.removed"


class IntegrationNotFound(NotFound):
    """No application record found in the project's settings page."""

    code = "integration_not_found"


class IntegrationAlreadyExists(Conflict):
    """The project has an integration of this app already."""

    code = "integration_already_exists"


class Integration(msgspec.Struct, frozen=True):
    present: bool = False
    app_key: str = ""
    auth_type: str = ""
    client_id: str | None = None
    scopes: tuple[str, ...] = ()


def evolve(state: Integration, event: Event) -> Integration:
    match event:
        case IntegrationAdded():
            return Integration(True, event.app_key, event.auth_type, event.client_id, event.scopes)
        case IntegrationRemoved():
            return Integration()
    return state


def callback_path(project_id: UUID, *, of_installation: bool) -> str:
    """Where providers send people back to: what is registered with the OAuth client, below the public URL."""
    return "/platform/installation/oauth" if of_installation else f"/platform/{project_id}/oauth"


INTEGRATION = Decider("integration", Integration(), evolve)


def remove(state: Integration) -> tuple[Event, ...]:
    if not state.present:
        raise IntegrationNotFound
    return (IntegrationRemoved(),)


class IntegrationReader:
    """Reads an integration whose fact has just been seen. It never changes while its fact is held, so that what was read
    once is as new as the database.
    """

    def __init__(self, store: EventStore, kept: int = 10_000) -> None:
        self._store = store
        self._kept = kept
        self._read: OrderedDict[tuple[UUID, UUID], Integration] = OrderedDict()

    async def read(self, project_id: UUID, integration_id: UUID) -> Integration:
        found = self._read.get((project_id, integration_id))
        if found is None:
            integration, _ = await load(self._store, INTEGRATION, project_id, integration_id)
            if not integration.present:
                raise IntegrationNotFound
            found = self._read[project_id, integration_id] = integration
            if len(self._read) > self._kept:
                self._read.popitem(last=False)
        return found
