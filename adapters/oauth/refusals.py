"""What a provider's no means: the end of a grant, the developer's configuration, or nothing that is certain."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from adapters.oauth.answers import Answer
from adapters.oauth.errand import Errand, Purpose
from adapters.oauth.lifetimes import retry_after
from domain.connections.oauth import ProviderRefused, ProviderTrouble

GRANT_ENDED = "invalid_grant"
"""RFC 6749, 5.2: the code or the refresh token is invalid, expired or revoked."""

CONFIGURATION = {
    "invalid_client": "does not accept the client id and secret; correct them in the integration",
    "unauthorized_client": "does not let this OAuth client ask for tokens in this way; allow it in the client's settings",
    "unsupported_grant_type": "does not give tokens in this way to this OAuth client; check the client's settings",
    "invalid_scope": "does not know or does not allow one of the scopes; correct them in the integration",
    "invalid_request": "finds something missing or wrong in the request; check the integration's settings",
    "invalid_target": "does not give tokens for the resource that was named; check the integration's settings",
    "redirect_uri_mismatch": "does not know our callback address; add it to the OAuth client's settings",
    "incorrect_client_credentials": "does not accept the client id and secret; correct them in the integration",
    "bad_client_secret": "does not accept the client secret; correct it in the integration",
    "invalid_client_id": "does not know the client id; correct it in the integration",
}
"""RFC 6749, 5.2 and RFC 8707, 2; the last four are what large providers say in their place."""

PASSING = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
"""RFC 6749, 4.1.2.1 and RFC 8628, 3.5: said by some at the token endpoint too."""

_TRY_LATER = frozenset({408, 425, 429})


def is_judgeable(answer: Answer) -> bool:
    """Whether a refusal in this answer can be the provider's own word on what was asked."""
    return answer.document is not None and (
        answer.succeeded or (400 <= answer.status < 500 and answer.status not in _TRY_LATER)
    )


def refused(errand: Errand, answer: Answer, code: str | None, permanent: Collection[str]) -> Exception:
    """The exception for an answer that `is_judgeable` and refuses with that error code, None when it names none."""
    name, is_linking = errand.target.app.name, errand.purpose is Purpose.LINKING
    if code == GRANT_ENDED or code in permanent:
        ended = (
            "The code was used already or has expired; start again." if is_linking else "The authorisation has ended."
        )
        return ProviderRefused(code or GRANT_ENDED, f"{name} refuses ({code}). {ended}")
    if code in PASSING:
        return ProviderTrouble(f"{name} could not answer just now ({code}).", retry_after=_wait(errand, answer))
    if code in CONFIGURATION:
        message = f"{name} {CONFIGURATION[code]} ({code})."
        return ProviderRefused(code, message) if is_linking else ProviderTrouble(message, may_have_arrived=False)
    if code is not None or not answer.succeeded:
        message = f"{name} refuses, without one of OAuth's reasons (HTTP {answer.status})."
        return ProviderRefused("refused", message) if is_linking else trouble(errand, answer, message)
    return trouble(errand, answer, f"{name} answered without a token.")


def trouble(errand: Errand, answer: Answer, message: str | None = None) -> ProviderTrouble:
    """For an answer that says nothing certain. Only after 429 was the request surely not processed (RFC 6585, 4)."""
    return ProviderTrouble(
        message or f"{errand.target.app.name} {_what(answer)} (HTTP {answer.status}).",
        retry_after=_wait(errand, answer),
        may_have_arrived=answer.status != 429,
    )


def _what(answer: Answer) -> str:
    if answer.status in _TRY_LATER or answer.status >= 500:
        return "could not answer just now"
    if 300 <= answer.status < 400:
        return "points to another address"
    return "answered with something that is no answer to the question"


def _wait(errand: Errand, answer: Answer) -> float | None:
    now: datetime = errand.clock()
    return retry_after(answer.headers, now)
