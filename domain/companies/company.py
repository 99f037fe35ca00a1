"""A company: the customer of the platform, and the directory of its projects."""

from __future__ import annotations

from uuid import UUID

import msgspec

from domain.deciding import Decider
from domain.errors import NotFound
from domain.events import Event


class CompanyFounded(Event, frozen=True):
    TOPIC = "company.founded"
    name: str
    logo_url: str | None = None


class ProjectListed(Event, frozen=True):
    TOPIC = "company.project_listed"
    project_id: UUID


class ProjectUnlisted(Event, frozen=True):
    TOPIC = "company.project_unlisted"
    project_id: UUID


class CompanyNotFound(NotFound):
    """No such company."""

    code = "company_not_found"


class Company(msgspec.Struct, frozen=True):
    present: bool = False
    projects: frozenset[UUID] = frozenset()


def evolve(state: Company, event: Event) -> Company:
    match event:
        case CompanyFounded():
            return Company(present=True)
        case ProjectListed():
            return Company(state.present, state.projects | {event.project_id})
        case ProjectUnlisted():
            return Company(state.present, state.projects - {event.project_id})
    return state


COMPANY = Decider("company", Company(), evolve, snapshot_every=200)


def list_project(state: Company, project_id: UUID) -> tuple[Event, ...]:
    if not state.present:
        raise CompanyNotFound
    return (ProjectListed(project_id=project_id),)


def unlist_project(state: Company, project_id: UUID) -> tuple[Event, ...]:
    """Nothing happens when it is not listed."""
    return (ProjectUnlisted(project_id=project_id),) if project_id in state.projects else ()
