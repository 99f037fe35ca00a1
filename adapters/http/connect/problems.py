"""Refusals in words, on a page."""

from __future__ import annotations

from aiohttp import web

from adapters.http.connect.rendering import page
from adapters.http.problems import status_of
from domain.connections.connect_link import LinkNotFound, LinkUsedUp, StateInvalid
from domain.connections.targets import ClientMissing
from domain.errors import Refusal
from domain.projects.integration import IntegrationNotFound

_HEADLINES: dict[type[Refusal], str] = {
    LinkNotFound: "This link does not work",
    LinkUsedUp: "This link was used already",
    StateInvalid: "This did not begin here",
}
_NOT_OFFERED = "This application is not offered here any more; ask whoever gave you the link."
_FOR_PEOPLE: dict[type[Refusal], str] = {
    IntegrationNotFound: _NOT_OFFERED,
    ClientMissing: _NOT_OFFERED,
}
"""Where the refusal's own words are meant for developers."""


def render(refusal: Refusal) -> web.Response:
    headline = _HEADLINES.get(type(refusal), "That did not work")
    return page("problem.html", {"headline": headline, "message": words(refusal)}, status=status_of(refusal))


def render_fault(fault_id: str) -> web.Response:
    message = f"Something went wrong here; it is logged as {fault_id}."
    return page("problem.html", {"headline": "That did not work", "message": message}, status=500)


def words(refusal: Refusal) -> str:
    """What to tell a person."""
    kind = type(refusal)
    if kind in _FOR_PEOPLE and refusal.message == kind().message:
        return _FOR_PEOPLE[kind]
    return refusal.message
