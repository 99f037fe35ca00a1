"""A project: one application of a company, and a tenant of its own."""

from __future__ import annotations

from uuid import UUID

import msgspec

from domain.deciding import Decider
from domain.errors import NotFound
from domain.events import Event


class ProjectCreated(Event, frozen=True):
    TOPIC = "project.created"
    company_id: UUID
    name: str
    webhook_url: str
    logo_url: str | None = None
    allowed_origins: tuple[str, ...] = ()


class ProjectChanged(Event, frozen=True):
    """All settings at once: what is not given is no more."""

    TOPIC = "project.changed"
    name: str
    webhook_url: str
    logo_url: str | None = None
    allowed_origins: tuple[str, ...] = ()


class ProjectDeleted(Event, frozen=True):
    """The last event of its tenant: everything under the project went with it, and its secrets were destroyed."""

    TOPIC = "project.deleted"


class ProjectNotFound(NotFound):
    """No project record found."""

    code = "project_not_found"


class ProjectSettings(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    webhook_url: str
    logo_url: str | None = None
    allowed_origins: tuple[str, ...] = ()


class Project(msgspec.Struct, frozen=True):
    present: bool = False
    settings: ProjectSettings | None = None


def evolve(state: Project, event: Event) -> Project:
    match event:
        case ProjectCreated() | ProjectChanged():
            settings = ProjectSettings(
                name=event.name,
                webhook_url=event.webhook_url,
                logo_url=event.logo_url,
                allowed_origins=event.allowed_origins,
            )
            return Project(True, settings)
        case ProjectDeleted():
            return Project()
    return state


PROJECT = Decider("project", Project(), evolve)


def create(company_id: UUID, settings: ProjectSettings) -> tuple[Event, ...]:
    return (ProjectCreated(company_id=company_id, **msgspec.structs.asdict(settings)),)


def change(state: Project, settings: ProjectSettings) -> tuple[Event, ...]:
    """Nothing happens when nothing changes."""
    if not state.present:
        raise ProjectNotFound
    if state.settings == settings:
        return ()
    return (ProjectChanged(**msgspec.structs.asdict(settings)),)


def delete(state: Project) -> tuple[Event, ...]:
    if not state.present:
        raise ProjectNotFound
    return (ProjectDeleted(),)
