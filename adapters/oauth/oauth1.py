"""OAuth 1.0a (RFC 5849): three steps, each of them signed."""

from __future__ import annotations

import logging

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from oauthlib.common import add_params_to_uri
from oauthlib.oauth1 import Client as Signer

from adapters.connectors.templates import CannotRender
from adapters.oauth.answers import Answer
from adapters.oauth.calls import Call, Templates
from adapters.oauth.errand import Errand
from adapters.oauth.refusals import is_judgeable, trouble
from adapters.oauth.tokens import sendable
from domain.apps.app import OAuth1Scheme
from domain.connections.oauth import Obtained, ProviderRefused, RequestToken, Target

logging.getLogger("oauthlib").setLevel(logging.WARNING)  # below that it writes what it signs, tokens included


async def request_token(errand: Errand, scheme: OAuth1Scheme, callback: str) -> RequestToken:
    """Step one (RFC 5849, 2.1). A provider that does not confirm the callback is refused: with it, whoever starts a link
    could have somebody else finish it.
    """
    with errand.told():
        url = errand.templates().url(scheme.request_token_url)
        call = signed(errand, scheme, Call("POST", url), callback=callback)
    answer = await errand.ask(call)
    _judge(errand, answer, "the OAuth client or the callback address; correct them in the integration")
    token, secret = _credentials(errand, answer)
    if str(answer.at("/oauth_callback_confirmed")).lower() != "true":
        name = errand.target.app.name
        raise ProviderRefused("refused", f"{name} speaks an older OAuth than 1.0a, which is not safe; it is not used.")
    return RequestToken(token, secret)


def authorize_url(target: Target, scheme: OAuth1Scheme, request_token: RequestToken) -> str:
    """Step two (RFC 5849, 2.2). CannotRender."""
    templates = Templates(target)
    added = {**templates.texts(scheme.authorize_params), "oauth_token": request_token.token}
    return add_params_to_uri(templates.url(scheme.authorize_url), list(added.items()))


async def access_token(
    errand: Errand, scheme: OAuth1Scheme, request_token: RequestToken, verifier: str
) -> tuple[Answer, Obtained]:
    """Step three (RFC 5849, 2.3). Its tokens have no end that the protocol could tell."""
    with errand.told():
        url = errand.templates().url(scheme.access_token_url)
        call = signed(errand, scheme, Call("POST", url), token=request_token, verifier=verifier)
    answer = await errand.ask(call)
    _judge(errand, answer, "the consent; it was used already or has expired, so start again")
    token, secret = _credentials(errand, answer)
    return answer, Obtained(access_token=token, token_type="OAuth", token_secret=secret)  # noqa: S106 - a kind


def signed(
    errand: Errand,
    scheme: OAuth1Scheme,
    call: Call,
    *,
    token: RequestToken | None = None,
    callback: str | None = None,
    verifier: str | None = None,
) -> Call:
    """The call with its signature in the header (RFC 5849, 3.5.1); CannotRender when the client's key cannot sign.

    The body takes no part: the calls here have none.
    """
    client = errand.target.client
    uses_key = scheme.signature_method == "RSA-SHA1"
    signer = Signer(
        client.client_id,
        client_secret=None if uses_key else client.secret,
        rsa_key=_private_key(client.secret) if uses_key else None,
        resource_owner_key=token.token if token else None,
        resource_owner_secret=token.secret if token else None,
        callback_uri=callback,
        verifier=verifier,
        signature_method=scheme.signature_method,
        realm=scheme.realm,
        timestamp=str(int(errand.clock().timestamp())),
    )
    url = add_params_to_uri(call.url, list(call.query.items())) if call.query else call.url
    _, headers, _ = signer.sign(url, call.method)
    return msgspec.structs.replace(call, url=url, query={}).carrying(headers)


def _private_key(pem: str) -> str:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CannotRender("The private key of the OAuth client cannot be read; give it as PEM, unencrypted.") from None
    if not isinstance(key, RSAPrivateKey):
        raise CannotRender("The private key of the OAuth client is no RSA key.")
    return pem


def _judge(errand: Errand, answer: Answer, refused: str) -> None:
    """400 and 401 are the protocol's own (RFC 5849, 3.2), with a document or without."""
    if answer.status in (400, 401):
        name = errand.target.app.name
        raise ProviderRefused("refused", f"{name} does not accept {refused} (HTTP {answer.status}).")
    if not answer.succeeded or not is_judgeable(answer):
        raise trouble(errand, answer)


def _credentials(errand: Errand, answer: Answer) -> tuple[str, str]:
    token, secret = sendable(answer.at("/oauth_token")), answer.at("/oauth_token_secret")
    if token is None or not isinstance(secret, str):
        raise trouble(errand, answer)
    return token, secret
