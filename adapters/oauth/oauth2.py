"""OAuth 2 (RFC 6749): where a person consents, and what the token endpoint is asked."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from oauthlib.common import add_params_to_uri
from oauthlib.oauth2 import BackendApplicationClient, WebApplicationClient

from adapters.connectors.templates import CannotRender
from adapters.oauth.answers import Answer
from adapters.oauth.calls import Call, Templates, client_basic, lower, with_form, with_json
from adapters.oauth.errand import Errand
from domain.apps.app import OAuth2Scheme
from domain.connections.oauth import Client, ProviderRefused, Target

_ANY_ADDRESS = "https://provider.invalid/"
"""The library adds its parameters to https addresses alone; which addresses are allowed is decided elsewhere."""


def authorize_url(
    target: Target, scheme: OAuth2Scheme, *, redirect_uri: str, state: str, verifier: str, scopes: tuple[str, ...]
) -> str:
    """The authorization endpoint with its parameters (RFC 6749, 4.1.1; RFC 7636, 4.3). CannotRender, also where the
    scheme has no such endpoint.
    """
    if scheme.authorize_url is None:
        raise CannotRender("It asks nobody for consent.")
    templates, protocol = Templates(target), WebApplicationClient(target.client.client_id)
    challenge = protocol.create_code_challenge(verifier, "S256") if scheme.pkce == "S256" else None
    own = _query(
        protocol.prepare_request_uri(
            _ANY_ADDRESS,
            redirect_uri=redirect_uri,
            state=state,
            code_challenge=challenge,
            code_challenge_method="S256",
        )
    )
    added = {**templates.texts(scheme.authorize_params), **_scope(scheme, scopes or scheme.default_scopes), **own}
    return add_params_to_uri(templates.url(scheme.authorize_url), list(added.items()))


def check_issuer(target: Target, scheme: OAuth2Scheme, issuer: str) -> None:
    """ProviderRefused for an authorization response of another provider (RFC 9207, 2.4): its code belongs to somebody else.
    An `iss` that nothing is known about is let pass. CannotRender.
    """
    known = None if scheme.issuer is None else Templates(target).text(scheme.issuer)
    if (scheme.sends_iss and not issuer) or (issuer and known is not None and issuer != known):
        raise ProviderRefused("refused", f"The answer does not come from {target.app.name}; start again.")


async def exchange(errand: Errand, scheme: OAuth2Scheme, *, code: str, redirect_uri: str, verifier: str) -> Answer:
    """The code against tokens (RFC 6749, 4.1.3)."""
    body = WebApplicationClient(errand.target.client.client_id).prepare_request_body(
        code=code,
        redirect_uri=redirect_uri,
        include_client_id=False,
        code_verifier=verifier if scheme.pkce == "S256" else None,
    )
    return await _ask(errand, scheme, scheme.token_url, body, scheme.token_params)


async def refresh(errand: Errand, scheme: OAuth2Scheme, refresh_token: str) -> Answer:
    """A new access token (RFC 6749, 6), with the scopes of the grant: naming them again is refused by some."""
    body = WebApplicationClient(errand.target.client.client_id).prepare_refresh_body(refresh_token=refresh_token)
    return await _ask(errand, scheme, scheme.refresh_url or scheme.token_url, body, scheme.refresh_params)


async def client_credentials(errand: Errand, scheme: OAuth2Scheme, scopes: tuple[str, ...]) -> Answer:
    """A token for the client itself (RFC 6749, 4.4.2)."""
    body = BackendApplicationClient(errand.target.client.client_id).prepare_request_body(include_client_id=False)
    scope = _scope(scheme, scopes or scheme.default_scopes)
    return await _ask(errand, scheme, scheme.token_url, body, scheme.token_params, scope)


def authenticated(call: Call, client: Client, how: str, fields: Mapping[str, str]) -> tuple[Call, dict[str, str]]:
    """The call and its fields with the client's proof of itself (RFC 6749, 2.3.1); a public client says who it is."""
    if how == "client_secret_basic":
        return call.carrying({"authorization": client_basic(client)}), dict(fields)
    secret = {"client_secret": client.secret} if how == "client_secret_post" else {}
    return call, {**fields, "client_id": client.client_id, **secret}


async def _ask(
    errand: Errand,
    scheme: OAuth2Scheme,
    url: str,
    body: str,
    declared: Mapping[str, str],
    more: Mapping[str, str] | None = None,
) -> Answer:
    with errand.told():
        templates = errand.templates()
        fields = {**dict(parse_qsl(body)), **(more or {}), **templates.texts(declared)}
        call = Call("POST", templates.url(url), {"accept": "application/json"})
        call, fields = authenticated(call, errand.target.client, scheme.token_auth, fields)
        call = call.carrying(lower(templates.texts(scheme.token_headers)))
        encoded = {"json": with_json, "form": with_form}[scheme.token_body]
        call = encoded(call, fields)
    return await errand.ask(call)


def _scope(scheme: OAuth2Scheme, scopes: tuple[str, ...]) -> dict[str, str]:
    return {scheme.scope_param: scheme.scope_separator.join(scopes)} if scopes else {}


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(url.partition("?")[2]))
