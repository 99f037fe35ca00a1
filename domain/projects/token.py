"""A project's API token: shown once, kept as a hash, revocable at once."""

from __future__ import annotations

import msgspec

from domain.deciding import Decider
from domain.errors import NotFound
from domain.events import Event


class ProjectTokenIssued(Event, frozen=True):
    """``digest`` is the token's SHA-256; the token itself is nowhere."""

    TOPIC = "project_token.issued"
    name: str
    digest: bytes


class ProjectTokenRevoked(Event, frozen=True):
    TOPIC = "project_token.revoked"


class ProjectTokenNotFound(NotFound):
    """No token with that id in this project."""

    code = "project_token_not_found"


class ProjectToken(msgspec.Struct, frozen=True):
    valid: bool = False


def evolve(state: ProjectToken, event: Event) -> ProjectToken:
    match event:
        case ProjectTokenIssued():
            return ProjectToken(valid=True)
        case ProjectTokenRevoked():
            return ProjectToken(valid=False)
    return state


PROJECT_TOKEN_STREAM = Decider("project_token", ProjectToken(), evolve)


def revoke(state: ProjectToken) -> tuple[Event, ...]:
    if not state.valid:
        raise ProjectTokenNotFound
    return (ProjectTokenRevoked(),)
