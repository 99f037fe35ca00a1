"""Whose account was linked, where the manifest says how to learn it; a link that cannot learn it simply has no identity."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from adapters.connectors.pointers import at_pointer
from adapters.oauth.answers import Answer
from adapters.oauth.calls import Call, Templates
from adapters.oauth.errand import Errand
from domain.apps.app import Userinfo
from domain.connections.oauth import Identity, Obtained, ProviderRefused, ProviderTrouble

LONGEST_WAIT = 5.0
"""Seconds for the question whose account it is: the tokens are there already, and somebody is waiting."""

_SHARE = 0.8
"""Of the time that is left: whoever holds the tokens must be back before the errand's end."""

_LONGEST_ID = 500
_LONGEST_NAME = 200
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")

Signed = Callable[[Call, Templates], Call]
"""Puts the token into a call: in its place, or by signing it."""


async def identified(
    errand: Errand, userinfo: Userinfo | None, answer: Answer, obtained: Obtained, signed: Signed
) -> Obtained:
    """What was obtained, with whose it is. Never fails, so that no token is lost for want of a name."""
    if userinfo is None:
        return obtained
    errand.learn(obtained.names)
    document = await _document(errand, userinfo, answer, obtained, signed)
    account_id = _text(at_pointer(document, userinfo.account_id))
    if not account_id or len(account_id) > _LONGEST_ID:
        return obtained
    name = _text(at_pointer(document, userinfo.account_name)) if userinfo.account_name else ""
    return msgspec.structs.replace(obtained, identity=Identity(account_id, name[:_LONGEST_NAME]))


async def _document(
    errand: Errand, userinfo: Userinfo, answer: Answer, obtained: Obtained, signed: Signed
) -> Mapping[str, Any] | None:
    if userinfo.source == "token_response":
        return answer.document
    if userinfo.source == "id_token":
        return _claims(answer.text("/id_token"), errand.target.client.client_id)
    return await _asked(errand, userinfo, obtained.access_token, signed)


async def _asked(errand: Errand, userinfo: Userinfo, token: str, signed: Signed) -> Mapping[str, Any] | None:
    if userinfo.request is None:
        return None
    try:
        with errand.told():
            templates = errand.templates({"token": token})
            call = signed(templates.call(userinfo.request), templates)
        found = await errand.ask(call, min(LONGEST_WAIT, errand.left * _SHARE))
    except (ProviderRefused, ProviderTrouble):
        return None
    return found.document if found.succeeded else None


def _claims(id_token: str | None, client_id: str) -> Mapping[str, Any] | None:
    """What an ID token says, if it was made for this client. It came from the token endpoint itself over TLS, which may stand
    for the check of its signature (OpenID Connect Core, 3.1.3.7, item 6).
    """
    parts = (id_token or "").split(".")
    if len(parts) != 3:
        return None
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    audience = claims.get("aud") if isinstance(claims, dict) else None
    return claims if client_id in (audience if isinstance(audience, list) else [audience]) else None


def _text(found: object) -> str:
    """A text without anything that people do not see, or a whole number."""
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return _UNPRINTABLE.sub(" ", found).strip() if isinstance(found, str) else ""
