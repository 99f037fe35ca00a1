"""The catalogue's rules for where an app's tokens come from: addresses, their hosts, and the templates in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from adapters.connectors.catalogue_check_parts import (
    fields_of,
    host_variants,
    is_always_there,
    listed,
    names_of,
    names_used,
    oauth2_schemes_of,
    request_texts,
    token_schemes_of,
)
from adapters.connectors.templates import names_in, without_names
from domain.apps.app import App, OAuth1Scheme, OAuth2Scheme, TwoStepScheme

TokenScheme = OAuth2Scheme | OAuth1Scheme | TwoStepScheme

_OURS = frozenset({"token", "client_id", "client_secret"})
"""Names that templates know without a field."""

_WHOLE_HOST = re.compile(r"\{[A-Za-z][A-Za-z0-9_]*\}")


def addresses_are_https(app: App) -> Iterator[str]:
    for place, scheme in token_schemes_of(app):
        for member, url in _addresses(scheme).items():
            if not url.startswith("https://"):
                yield f'{place}: {member}: write "{url}" as an address that begins with https://'
            if "?" in url or "#" in url:
                yield f"{place}: {member}: write the parameters into the table of parameters"


def addresses_go_to_declared_hosts(app: App) -> Iterator[str]:
    declared = {*app.hosts, *app.oauth_hosts}
    for place, scheme in token_schemes_of(app):
        for member, url in _addresses(scheme).items():
            for host in host_variants(scheme, url):
                if host not in declared:
                    yield f'{place}: {member}: the host "{host}" is neither in hosts nor in oauth_hosts; add it'


def oauth_hosts_are_used(app: App) -> Iterator[str]:
    used = {
        host
        for _, scheme in token_schemes_of(app)
        for url in _addresses(scheme).values()
        for host in host_variants(scheme, url)
    }
    for host in app.oauth_hosts:
        if host not in used:
            yield f'oauth_hosts: no address uses "{host}"; take it out, or write it into hosts'


def client_secret_stays_with_the_vendor(app: App) -> Iterator[str]:
    """Whoever may choose the whole host of a token address is sent the client's secret."""
    for place, scheme in token_schemes_of(app):
        if isinstance(scheme, TwoStepScheme):
            continue
        own = {field.name for field in scheme.client_fields}
        for member, url in _addresses(scheme).items():
            for host in host_variants(scheme, url):
                if _WHOLE_HOST.fullmatch(host) and not own.issuperset(names_in(host)):
                    yield f"{place}: {member}: the project must choose the host; write {host} as one of client_fields"


def client_fields_are_always_given(app: App) -> Iterator[str]:
    for place, scheme in token_schemes_of(app):
        for field in () if isinstance(scheme, TwoStepScheme) else scheme.client_fields:
            if field.optional or field.show is False or field.show_when is not None:
                yield f'{place}: client field "{field.name}": every project fills it in; leave out optional and show'
            if field.secret:
                yield f'{place}: client field "{field.name}": the client secret has its own place; write a plain field'


def fields_leave_our_names_alone(app: App) -> Iterator[str]:
    for place, scheme in token_schemes_of(app):
        kept = set(scheme.from_token) if isinstance(scheme, OAuth2Scheme) else set()
        taken = [field.name for field in fields_of(scheme)] + [derived.name for derived in scheme.derived]
        for name in taken:
            if name in _OURS:
                yield f'{place}: field "{name}": templates know this name already; write another one'
        for name in sorted(kept & {*taken, *_OURS}):
            yield f'{place}: from_token "{name}": this name is taken; write another one'


def token_templates_name_what_is_known(app: App) -> Iterator[str]:
    for place, scheme in token_schemes_of(app):
        before = names_of(scheme) | ({"client_id"} if isinstance(scheme, OAuth2Scheme) else set())
        after = before | {"token"} | (set(scheme.from_token) if isinstance(scheme, OAuth2Scheme) else set())
        last = after | {"client_secret"}
        for known, texts in (
            (before, _texts_before(scheme)),
            (after, _texts_after(scheme)),
            (last, _texts_of_revocation(scheme)),
        ):
            for text in texts:
                for name in names_in(text):
                    if name not in known:
                        yield f'{place}: {{{name}}} in "{text}" is not known there; write one of {listed(known)}'
                if set("{}") & set(without_names(text)):
                    yield f'{place}: a brace stands alone in "{text}"; write {{name}}'


def token_templates_are_always_filled(app: App) -> Iterator[str]:
    for place, scheme in token_schemes_of(app):
        for name in sorted({name for text in _all_texts(scheme) for name in names_in(text)}):
            if not is_always_there(scheme, name):
                yield f"{place}: {{{name}}} may be left out; make the field required, or derive a name"


def fields_are_used(app: App) -> Iterator[str]:
    """A person is not asked for what connecting and calling do not need."""
    for place, scheme in token_schemes_of(app):
        texts = [*_all_texts(scheme), *app.hosts]
        deciding = {derived.by for derived in scheme.derived}
        used = names_used(scheme, texts) | deciding
        for field in fields_of(scheme):
            if field.name not in used:
                yield f'{place}: field "{field.name}": no address, parameter or host uses it; take it out'


def tables_are_for_oauth(app: App) -> Iterator[str]:
    if app.oauth_hosts and not any(True for _ in token_schemes_of(app)):
        yield "oauth_hosts: no scheme fetches a token; write the hosts into hosts"
    for place, scheme in oauth2_schemes_of(app):
        if scheme.test is not None:
            yield f"{place}: test: an OAuth app is asked by userinfo; write that instead"


def _addresses(scheme: TokenScheme) -> dict[str, str]:
    if isinstance(scheme, TwoStepScheme):
        return {"token_request.url": scheme.token_request.url}
    if isinstance(scheme, OAuth1Scheme):
        found: dict[str, str | None] = {
            "request_token_url": scheme.request_token_url,
            "authorize_url": scheme.authorize_url,
            "access_token_url": scheme.access_token_url,
        }
    else:
        found = {
            "authorize_url": scheme.authorize_url,
            "token_url": scheme.token_url,
            "refresh_url": scheme.refresh_url,
            "revoke_url": scheme.revoke_url,
        }
    request = scheme.userinfo.request if scheme.userinfo is not None else None
    found["userinfo.request.url"] = request.url if request is not None else None
    return {member: url for member, url in found.items() if url is not None}


def _texts_before(scheme: TokenScheme) -> list[str]:
    """The templates that are filled in while there is no token yet."""
    if isinstance(scheme, TwoStepScheme):
        return request_texts(scheme.token_request)
    if isinstance(scheme, OAuth1Scheme):
        addresses = [scheme.request_token_url, scheme.authorize_url, scheme.access_token_url]
        return [*addresses, *scheme.authorize_params.values()]
    tables = (scheme.authorize_params, scheme.token_params, scheme.refresh_params, scheme.token_headers)
    addresses = [url for url in (scheme.authorize_url, scheme.token_url, scheme.refresh_url, scheme.issuer) if url]
    return [*addresses, *(text for table in tables for text in table.values())]


def _texts_after(scheme: TokenScheme) -> list[str]:
    """The templates of calls with the token."""
    texts = request_texts(scheme.place)
    if isinstance(scheme, TwoStepScheme):
        return texts
    return texts + request_texts(scheme.userinfo.request if scheme.userinfo is not None else None)


def _texts_of_revocation(scheme: TokenScheme) -> list[str]:
    """The only ones that may name the client's secret: no browser and no access to the app's data sees them."""
    if not isinstance(scheme, OAuth2Scheme) or scheme.revoke_url is None:
        return []
    how = scheme.revoke_how
    tables = (how.headers, how.query, how.form, how.json or {})
    return [scheme.revoke_url, *(text for table in tables for text in table.values())]


def _all_texts(scheme: TokenScheme) -> list[str]:
    return _texts_before(scheme) + _texts_after(scheme) + _texts_of_revocation(scheme)


OAUTH_RULES: tuple[Callable[[App], Iterator[str]], ...] = (
    addresses_are_https,
    addresses_go_to_declared_hosts,
    oauth_hosts_are_used,
    client_secret_stays_with_the_vendor,
    client_fields_are_always_given,
    fields_leave_our_names_alone,
    token_templates_name_what_is_known,
    token_templates_are_always_filled,
    fields_are_used,
    tables_are_for_oauth,
)
