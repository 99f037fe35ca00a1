"""The catalogue's rules for what is said to a token endpoint, what is read from it, and who says that it is so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

import msgspec

from adapters.connectors.catalogue_check_parts import oauth2_schemes_of, request_texts, token_schemes_of
from adapters.connectors.templates import names_in
from domain.apps.app import App, AuthScheme, OAuth1Scheme, OAuth2Scheme, TwoStepScheme

_POINTER = re.compile(r"(/([^~/]|~[01])*)+")
_ERROR = re.compile(r"[A-Za-z0-9_.:-]+")
_SEPARATORS = frozenset({" ", ",", "+", ";", "|"})
_NOT_CITED = frozenset({"fields", "derived", "client_fields", "review", "sources", "test"})
"""Members in our own words; all others are a vendor's facts."""

_IN_AUTHORIZE = frozenset(
    {"response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"}
)
_IN_TOKEN = frozenset(
    {"grant_type", "client_id", "client_secret", "code", "code_verifier", "redirect_uri", "refresh_token"}
)
_IN_OAUTH1 = frozenset({"oauth_token", "oauth_callback"})


def grant_has_its_addresses(app: App) -> Iterator[str]:
    for place, scheme in oauth2_schemes_of(app):
        by_code = scheme.grant == "authorization_code"
        if by_code and scheme.authorize_url is None:
            yield f"{place}: authorize_url: write the address where the person consents"
        if not by_code and (scheme.authorize_url is not None or scheme.authorize_params):
            yield f"{place}: authorize_url: client credentials need no consent; leave out what begins with authorize_"


def scopes_are_plain(app: App) -> Iterator[str]:
    for place, scheme in oauth2_schemes_of(app):
        scopes = scheme.default_scopes
        if scheme.scope_separator not in _SEPARATORS:
            yield f'{place}: scope_separator "{scheme.scope_separator}": write a blank, or the one character between scopes'
        for scope in scopes:
            if not scope.strip() or scheme.scope_separator in scope:
                yield f'{place}: default_scopes "{scope}": write one scope in each entry'
        for scope in sorted({scope for scope in scopes if scopes.count(scope) > 1}):
            yield f'{place}: default_scopes "{scope}" is there twice; write it once'


def parameters_leave_the_protocol_alone(app: App) -> Iterator[str]:
    for place, scheme in token_schemes_of(app):
        if isinstance(scheme, OAuth1Scheme):
            tables = [("authorize_params", scheme.authorize_params, _IN_OAUTH1)]
        elif isinstance(scheme, OAuth2Scheme):
            tables = [
                ("authorize_params", scheme.authorize_params, _IN_AUTHORIZE | {scheme.scope_param}),
                ("token_params", scheme.token_params, _IN_TOKEN),
                ("refresh_params", scheme.refresh_params, _IN_TOKEN),
            ]
        else:
            continue
        for member, table, taken in tables:
            for name in sorted(taken & set(table)):
                yield f'{place}: {member}: "{name}" is part of the protocol and always sent; take it out'


def pointers_are_json_pointers(app: App) -> Iterator[str]:
    for place, scheme in token_schemes_of(app):
        for member, pointer in _pointers(scheme).items():
            if not _POINTER.fullmatch(pointer):
                yield f'{place}: {member}: write "{pointer}" as a JSON pointer such as "/access_token"'


def account_can_be_learnt(app: App) -> Iterator[str]:
    for place, scheme in token_schemes_of(app):
        userinfo = None if isinstance(scheme, TwoStepScheme) else scheme.userinfo
        if userinfo is None:
            continue
        if userinfo.source == "request" and userinfo.request is None:
            yield f"{place}: userinfo.request: write the call that tells the account"
        if userinfo.source != "request" and userinfo.request is not None:
            yield f'{place}: userinfo.request: nothing is asked for; leave it out, or write source = "request"'
        if userinfo.source == "id_token" and isinstance(scheme, OAuth2Scheme) and "openid" not in scheme.default_scopes:
            yield f'{place}: userinfo: an ID token comes with the scope "openid"; write it into default_scopes'


def revocation_is_whole(app: App) -> Iterator[str]:
    for place, scheme in oauth2_schemes_of(app):
        how = scheme.revoke_how
        if scheme.revoke_url is None:
            if how != type(how)():
                yield f"{place}: revoke_how: write revoke_url too"
            continue
        tables = (how.headers, how.query, how.form, how.json or {})
        texts = [scheme.revoke_url, *(text for table in tables for text in table.values())]
        said = {name for text in texts for name in names_in(text)}
        if how.auth != "bearer" and not said & {"token", *scheme.from_token}:
            yield f"{place}: revoke_how: nothing says what is revoked; write {{token}} where the vendor wants it"


def issuer_is_known(app: App) -> Iterator[str]:
    for place, scheme in oauth2_schemes_of(app):
        if scheme.sends_iss and scheme.issuer is None:
            yield f"{place}: issuer: write the value of iss that the provider sends back"
        if scheme.issuer is not None and not scheme.issuer.startswith("https://"):
            yield f'{place}: issuer: write "{scheme.issuer}" as a full https address'


def durations_are_positive(app: App) -> Iterator[str]:
    for place, scheme in token_schemes_of(app):
        if isinstance(scheme, OAuth1Scheme):
            continue
        durations = {"default_expires_in": scheme.default_expires_in, "refresh_margin": scheme.refresh_margin}
        for member, seconds in durations.items():
            if seconds is not None and seconds <= 0:
                yield f"{place}: {member}: write more than 0 seconds, or leave it out"
        if scheme.refresh_margin and scheme.default_expires_in and scheme.refresh_margin >= scheme.default_expires_in:
            yield f"{place}: refresh_margin: write less than default_expires_in, else every token is always due"


def permanent_errors_are_plain(app: App) -> Iterator[str]:
    for place, scheme in oauth2_schemes_of(app):
        for code in scheme.permanent_errors:
            if code == "invalid_grant":
                yield f'{place}: permanent_errors: "invalid_grant" always ends the grant; take it out'
            if not _ERROR.fullmatch(code) or scheme.permanent_errors.count(code) > 1:
                yield f'{place}: permanent_errors: write "{code}" as the bare code, once'


def token_goes_into_the_call(app: App) -> Iterator[str]:
    for place, scheme in token_schemes_of(app):
        if isinstance(scheme, OAuth1Scheme):
            if scheme.place is not None:
                yield f"{place}: place: OAuth 1.0a signs its calls; leave it out"
        elif "token" not in {name for text in request_texts(scheme.place) for name in names_in(text)}:
            yield f"{place}: place: write {{token}} where the vendor wants the access token"


def reviewed_members_cite_their_source(app: App) -> Iterator[str]:
    for place, scheme in token_schemes_of(app):
        if scheme.review != "reviewed":
            continue
        for member, default in _defaults(type(scheme)).items():
            if member not in _NOT_CITED and member not in scheme.sources and getattr(scheme, member) != default:
                yield f"{place}: sources: cite the vendor's public page for {member}"


def sources_are_addresses_of_known_members(app: App) -> Iterator[str]:
    for place, scheme in token_schemes_of(app):
        for member, address in scheme.sources.items():
            if member not in _defaults(type(scheme)) or member in _NOT_CITED:
                yield f'{place}: sources: "{member}" is no fact of this scheme; write the name of a member'
            if not address.startswith("https://"):
                yield f'{place}: sources: {member}: write "{address}" as a full https address'


def _pointers(scheme: OAuth2Scheme | OAuth1Scheme | TwoStepScheme) -> dict[str, str]:
    found = {
        member: getattr(scheme, member)
        for member in _defaults(type(scheme))
        if member.endswith("_path") or member == "ok_pointer"
    }
    if isinstance(scheme, OAuth2Scheme):
        found |= {f"from_token.{name}": pointer for name, pointer in scheme.from_token.items()}
    if not isinstance(scheme, TwoStepScheme) and scheme.userinfo is not None:
        found["userinfo.account_id"] = scheme.userinfo.account_id
        found["userinfo.account_name"] = scheme.userinfo.account_name
    return {member: pointer for member, pointer in found.items() if pointer is not None}


@cache
def _defaults(kind: type[AuthScheme]) -> dict[str, object]:
    """The members of a scheme with what they are when nobody sets them; UNSET for those that must be set."""
    return {
        field.name: field.default
        if field.default is not msgspec.NODEFAULT
        else msgspec.UNSET
        if field.default_factory is msgspec.NODEFAULT
        else field.default_factory()
        for field in msgspec.structs.fields(kind)
    }


TOKEN_RULES: tuple[Callable[[App], Iterator[str]], ...] = (
    grant_has_its_addresses,
    scopes_are_plain,
    parameters_leave_the_protocol_alone,
    pointers_are_json_pointers,
    account_can_be_learnt,
    revocation_is_whole,
    issuer_is_known,
    durations_are_positive,
    permanent_errors_are_plain,
    token_goes_into_the_call,
    reviewed_members_cite_their_source,
    sources_are_addresses_of_known_members,
)
