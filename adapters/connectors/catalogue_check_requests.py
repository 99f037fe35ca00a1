"""The catalogue's rules for test requests and the templates in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from adapters.connectors.catalogue_check_parts import (
    fields_of,
    host_variants,
    is_always_there,
    is_there_when,
    key_schemes_of,
    listed,
    names_of,
    names_used,
    request_texts,
    schemes_of,
)
from adapters.connectors.templates import names_in, without_names
from domain.apps.app import App, AuthScheme, KeyScheme, OAuth2Scheme, Scheme, TestRequest

_STATUS = re.compile(r"[1-5]\d\d(-[1-5]\d\d)?")
_POINTER = re.compile(r"(/([^~/]|~[01])*)+")


def hosts_name_fields(app: App) -> Iterator[str]:
    known = {field.name for scheme in app.auth for field in fields_of(scheme)}
    known |= {name for scheme in app.auth if isinstance(scheme, OAuth2Scheme) for name in scheme.from_token}
    for place, hosts in (("hosts", app.hosts), ("oauth_hosts", app.oauth_hosts)):
        for host in hosts:
            for name in names_in(host):
                if name not in known:
                    yield f'{place}: "{host}": {{{name}}} is no field; write one of {listed(known)}'


def derived_names_follow_a_select(app: App) -> Iterator[str]:
    for place, scheme in schemes_of(app):
        for derived in scheme.derived:
            decider = scheme.field(derived.by)
            if scheme.field(derived.name) is not None:
                yield f'{place}: derived "{derived.name}": a field has this name; write another one'
            if decider is None or decider.type != "select":
                yield f'{place}: derived "{derived.name}": by must name a select, not "{derived.by}"'
            elif set(derived.values) != {option.value for option in decider.options}:
                yield f'{place}: derived "{derived.name}": write one value for each option of "{derived.by}"'


def templates_name_fields(app: App) -> Iterator[str]:
    for place, scheme in schemes_of(app):
        known = names_of(scheme)
        for text in _texts(scheme):
            for name in names_in(text):
                if name not in known:
                    yield f"{place}: {{{name}}} is neither a field nor a derived name; write one of {listed(known)}"
            if set("{}") & set(without_names(text)):
                yield f'{place}: test: a brace stands alone in "{text}"; write {{name}}'
        for derived in scheme.derived:
            for name in names_in("".join(derived.values.values())):
                if scheme.field(name) is None:
                    yield f'{place}: derived "{derived.name}": {{{name}}} is no field; write one of {listed(known)}'


def templates_are_always_filled(app: App) -> Iterator[str]:
    for place, scheme in schemes_of(app):
        for name in sorted({name for text in _texts(scheme) for name in names_in(text)}):
            if not is_always_there(scheme, name):
                yield f"{place}: test uses {{{name}}}, which may be left out; make the field required, or derive a name"
        for derived in scheme.derived:
            for option, text in derived.values.items():
                for name in names_in(text):
                    if not is_there_when(scheme, name, derived.by, option):
                        yield f'{place}: derived "{derived.name}": {{{name}}} may be missing for the option "{option}"'


def request_is_there_and_carries_the_secret(app: App) -> Iterator[str]:
    for place, scheme in key_schemes_of(app):
        if scheme.test is None:
            yield f"{place}: write a [auth.test] request that only a working credential passes"
            continue
        used = names_used(scheme, _texts(scheme))
        if scheme.token_field not in used:
            yield f"{place}: test does not use {{{scheme.token_field}}}; put the secret where the vendor wants it"


def request_goes_to_a_declared_host(app: App) -> Iterator[str]:
    for place, scheme, test in _tests(app):
        if not test.url.startswith("https://"):
            yield f"{place}: test.url: write an address that begins with https://"
        if "?" in test.url or "#" in test.url:
            yield f"{place}: test.url: write the parameters into test.query"
        for host in host_variants(scheme, test.url):
            if host not in app.hosts:
                yield f'{place}: test.url: the host "{host}" is not in hosts; add it there'


def request_is_well_formed(app: App) -> Iterator[str]:
    for place, _, test in _tests(app):
        if test.form is not None and test.json is not None:
            yield f"{place}: test: write form or json, not both"
        if test.method == "GET" and (test.form is not None or test.json is not None):
            yield f'{place}: test: a body needs method = "POST"'


def authorization_is_written_once(app: App) -> Iterator[str]:
    for place, scheme in schemes_of(app):
        parts = [part for part in (scheme.place, scheme.test) if part is not None]
        writers = sum(part.basic is not None for part in parts)
        writers += sum(name.lower() == "authorization" for part in parts for name in part.headers)
        if writers > 1:
            yield f"{place}: basic writes the Authorization header; leave it out of headers, and of either place or test"


def outcome_is_well_formed(app: App) -> Iterator[str]:
    for place, _, test in _tests(app):
        if not test.expect_status:
            yield f"{place}: test.expect_status: write at least one status"
        for status in test.expect_status:
            if not _STATUS.fullmatch(str(status)):
                yield f'{place}: test.expect_status: write {status!r} as a number, or as a range such as "200-299"'
        if test.refuse_when is not None and not _POINTER.fullmatch(test.refuse_when.pointer):
            yield f'{place}: test.refuse_when.pointer: write a JSON pointer such as "/ok"'


def _tests(app: App) -> Iterator[tuple[str, Scheme, TestRequest]]:
    for place, scheme in schemes_of(app):
        if scheme.test is not None:
            yield place, scheme, scheme.test


def _texts(scheme: AuthScheme) -> list[str]:
    """Of the schemes whose secret is typed in; the others have rules of their own."""
    return request_texts(scheme.test) + request_texts(scheme.place) if isinstance(scheme, KeyScheme) else []


REQUEST_RULES: tuple[Callable[[App], Iterator[str]], ...] = (
    hosts_name_fields,
    derived_names_follow_a_select,
    templates_name_fields,
    templates_are_always_filled,
    request_is_there_and_carries_the_secret,
    request_goes_to_a_declared_host,
    request_is_well_formed,
    authorization_is_written_once,
    outcome_is_well_formed,
)
