"""Two steps without OAuth: what a person filled in buys a token, and buys the next one when it ends."""

from __future__ import annotations

from adapters.oauth.answers import Answer
from adapters.oauth.errand import Errand, Purpose
from adapters.oauth.lifetimes import expiry
from adapters.oauth.refusals import is_judgeable, trouble
from adapters.oauth.tokens import says_no, sendable
from domain.apps.app import TwoStepScheme
from domain.connections.oauth import Obtained, ProviderRefused


async def obtain(errand: Errand, scheme: TwoStepScheme) -> Obtained:
    """ProviderRefused where the values are not accepted: to a person who links after every refusal, else after 401 alone."""
    with errand.told():
        call = errand.templates().call(scheme.token_request)
    answer = await errand.ask(call)
    token = sendable(answer.at(scheme.access_token_path))
    if token is None or not answer.succeeded or says_no(answer, scheme.ok_pointer):
        raise _refused(errand, answer)
    life = None if scheme.expires_in_path is None else answer.at(scheme.expires_in_path)
    return Obtained(access_token=token, expires_at=expiry(answer.sent_at, life, scheme.default_expires_in))


def _refused(errand: Errand, answer: Answer) -> Exception:
    if not is_judgeable(answer):
        return trouble(errand, answer)
    if answer.status == 401 or errand.purpose is Purpose.LINKING:
        name = errand.target.app.name
        return ProviderRefused("refused", f"{name} does not accept these values (HTTP {answer.status}).")
    return trouble(errand, answer)
