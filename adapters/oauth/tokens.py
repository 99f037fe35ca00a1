"""Reads what a provider hands out: an answer is a token, a refusal, or trouble."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from adapters.connectors.pointers import ABSENT
from adapters.oauth.answers import Answer
from adapters.oauth.errand import Errand
from adapters.oauth.lifetimes import expiry
from adapters.oauth.refusals import is_judgeable, refused, trouble
from domain.apps.app import OAuth2Scheme
from domain.connections.oauth import Obtained

STANDARD_ERROR = "/error"
"""RFC 6749, 5.2."""

_SENDABLE = re.compile(r"[\x20-\x7e]{1,65536}")
"""RFC 6749, A.12: what an access token is made of."""

_TOKEN_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_BETWEEN_SCOPES = re.compile(r"[\s,]+")
_NAME_VALUE = re.compile(r"[\x20-\x7e]{1,2000}")


def obtained(errand: Errand, scheme: OAuth2Scheme, answer: Answer) -> Obtained:
    """The tokens in the answer of a token endpoint; ProviderRefused or ProviderTrouble when it brings none.

    The content type does not matter. An answer with a token and with an error at once is trouble: neither is believed.
    """
    if not is_judgeable(answer):
        raise trouble(errand, answer)
    token = sendable(answer.at(scheme.access_token_path))
    if token is None or not answer.succeeded or says_no(answer, scheme.ok_pointer):
        code = _code(answer, scheme.error_path) or _code(answer, STANDARD_ERROR)
        raise refused(errand, answer, code, scheme.permanent_errors)
    if _code(answer, STANDARD_ERROR) is not None:
        raise trouble(errand, answer)
    return Obtained(
        access_token=token,
        token_type=_token_type(answer.text(scheme.token_type_path)),
        refresh_token=answer.text(scheme.refresh_token_path),
        expires_at=expiry(answer.sent_at, answer.at(scheme.expires_in_path), scheme.default_expires_in),
        scopes=_scopes(answer.at(scheme.scope_path)),
        names=_names(answer, scheme),
    )


def sendable(found: object) -> str | None:
    """A token that a header can carry, else None."""
    return found if isinstance(found, str) and _SENDABLE.fullmatch(found) else None


def says_no(answer: Answer, ok_pointer: str | None) -> bool:
    """Whether the provider says at that place that it refuses; saying nothing there is no refusal."""
    return ok_pointer is not None and answer.at(ok_pointer) not in (ABSENT, True)


def _code(answer: Answer, pointer: str) -> str | None:
    found = answer.at(pointer)
    if isinstance(found, int) and not isinstance(found, bool) and found:
        return str(found)
    return found if isinstance(found, str) and found else None


def _token_type(said: str | None) -> str:
    """As it was said; the usual one in its usual spelling (RFC 6750, 2.1)."""
    return said if said and said.lower() != "bearer" and _TOKEN_TYPE.fullmatch(said) else "Bearer"


def _scopes(said: object) -> tuple[str, ...] | None:
    """Providers separate with spaces or commas, whatever they are asked with; some send a list. None: not said."""
    if isinstance(said, str):
        return tuple(scope for scope in _BETWEEN_SCOPES.split(said) if scope)
    if isinstance(said, list):
        return tuple(scope for scope in said if isinstance(scope, str) and scope)
    return None


def _names(answer: Answer, scheme: OAuth2Scheme) -> dict[str, str]:
    found = {name: _name(answer.at(pointer)) for name, pointer in scheme.from_token.items()}
    return {name: value for name, value in found.items() if value}


def _name(found: object) -> str:
    """A text or a whole number; of a web address its host."""
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if not isinstance(found, str) or not _NAME_VALUE.fullmatch(found):
        return ""
    return _host(found) if found.startswith(("https://", "http://")) else found


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
