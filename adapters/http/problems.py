"""Where a refusal becomes a status: families map to statuses here, once; dialects only word them."""

from __future__ import annotations

from aiohttp import web

from domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UpstreamFailed,
)

STATUSES: dict[type[Refusal], int] = {
    Invalid: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    UpstreamFailed: 502,
    Unavailable: 503,
}


class RouteNotFound(NotFound):
    """There is nothing at this path."""

    code = "route_not_found"


class MethodNotAllowed(Invalid):
    """This path does not take that method."""

    code = "method_not_allowed"


class BodyTooLarge(TooLarge):
    """The body is larger than what is accepted here."""

    code = "body_too_large"


class DatabaseAway(Unavailable):
    """The database does not answer at the moment; send the request again."""

    code = "database_away"


class BadRequest(Invalid):
    """The request could not be read."""

    code = "bad_request"


class TokenInvalid(Unauthenticated):
    """The token used in the request is invalid or not related to the project."""

    code = "token_invalid"


def status_of(refusal: Refusal) -> int:
    """The status of the refusal's family; 405 has none of its own in the domain."""
    if isinstance(refusal, MethodNotAllowed):
        return 405
    for family in type(refusal).__mro__:
        if family in STATUSES:
            return STATUSES[family]
    raise TypeError(f"{type(refusal).__name__} belongs to no family")


def refusal_of(error: web.HTTPException) -> Refusal:
    """aiohttp's own refusals (unknown route, wrong method, body too large) as ours."""
    if error.status == 404:
        return RouteNotFound()
    if error.status == 405:
        return MethodNotAllowed()
    if error.status == 413:
        return BodyTooLarge()
    return BadRequest(error.reason)
