"""Asks a provider to end an authorisation: RFC 7009, or as the app declares."""

from __future__ import annotations

import msgspec

from adapters.oauth.answers import Answer
from adapters.oauth.calls import Call, with_form, with_json
from adapters.oauth.errand import Errand
from adapters.oauth.oauth2 import authenticated
from adapters.oauth.refusals import is_judgeable, trouble
from adapters.oauth.tokens import says_no
from domain.apps.app import OAuth2Scheme
from domain.connections.oauth import ProviderRefused


async def revoke(errand: Errand, scheme: OAuth2Scheme, *, access_token: str, refresh_token: str | None) -> bool:
    """False where the provider has no such endpoint. A token that it does not know is as good as ended (RFC 7009, 2.2)."""
    if scheme.revoke_url is None:
        return False
    token = refresh_token if scheme.revoke_how.token == "refresh_token" else None  # noqa: S105 - which one, not a secret
    with errand.told():
        call = _call(errand, scheme, scheme.revoke_url, token or access_token)
    _judge(errand, scheme, await errand.ask(call))
    return True


def _call(errand: Errand, scheme: OAuth2Scheme, url: str, token: str) -> Call:
    how, client = scheme.revoke_how, errand.target.client
    templates = errand.templates({"token": token, "client_secret": client.secret})
    call = Call(how.method, templates.url(url), {"accept": "application/json"}, templates.texts(how.query))
    fields = templates.texts(how.form if how.json is None else how.json)
    proof = how.auth or scheme.token_auth
    if proof == "bearer":
        call = templates.placed(call, scheme.place)
    elif how.auth != "none":
        call, proven = authenticated(call, client, proof, fields)
        fields = proven if how.method != "GET" else fields
    call = call.carrying(templates.texts(how.headers))
    if how.json is not None:
        return with_json(call, fields)
    return with_form(call, fields) if fields else msgspec.structs.replace(call, body=None)


def _judge(errand: Errand, scheme: OAuth2Scheme, answer: Answer) -> None:
    """Any answer of success counts, whatever it says, unless it says no in the place that is declared for that."""
    if answer.succeeded and not says_no(answer, scheme.ok_pointer):
        return
    if is_judgeable(answer) or answer.status in (400, 401, 403, 404, 405, 410, 422):
        raise ProviderRefused("refused", f"{errand.target.app.name} refuses to end it (HTTP {answer.status}).")
    raise trouble(errand, answer)
