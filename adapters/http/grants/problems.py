"""Refusals in FastAPI's words: {"detail": "text"}, and 422 with a list of what is wrong where."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from adapters.http.problems import BadRequest, status_of
from adapters.http.routes import json_response
from domain.connections.given_credentials import InvalidCredentials
from domain.connections.refreshing import RefreshTrouble
from domain.errors import Invalid, Refusal


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: ``loc`` leads to it from "body", "query", "path" or "header"; ``type`` is pydantic's name for it."""

    loc: tuple[str | int, ...]
    msg: str
    type: str = "value_error"


class Unprocessable(BadRequest):
    """The request does not have the form that is needed here."""

    code = "unprocessable"

    def __init__(self, message: str | None = None, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class ProjectNotNamed(Unprocessable):
    """The company has several projects; name one in X-Project-Id."""

    code = "project_not_named"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message)
        self.problems = (Problem(("header", "x-project-id"), self.message, "missing"),)


def render(refusal: Refusal) -> web.Response:
    """RefreshTrouble passes by itself: it says when to come again."""
    status = status_of(refusal)
    if isinstance(refusal, Invalid) and status == 400:
        return json_response({"detail": _problems(refusal)}, 422)
    headers = {}
    if isinstance(refusal, RefreshTrouble) and refusal.retry_at is not None:
        seconds = (refusal.retry_at - datetime.now(UTC)).total_seconds()
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    return json_response({"detail": refusal.message}, status, headers)


def _problems(refusal: Invalid) -> tuple[Problem, ...]:
    if isinstance(refusal, Unprocessable) and refusal.problems:
        return refusal.problems
    if isinstance(refusal, InvalidCredentials):
        return (Problem(("body", "credentials", refusal.member), refusal.message),)
    return (Problem(("request",), refusal.message),)


def render_fault(fault_id: str) -> web.Response:
    return json_response({"detail": f"Something went wrong here; it is logged as {fault_id}."}, 500)
