"""The catalogue's rules for test requests and the templates in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from adapters.connectors.templates import names_in, without_names
from domain.apps.app import App, AuthScheme, TestRequest
from domain.apps.connection_fields import as_text

_STATUS = re.compile(r"[1-5]\d\d(-[1-5]\d\d)?")
_POINTER = re.compile(r"(/([^~/]|~[01])*)+")


def hosts_name_fields(app: App) -> Iterator[str]:
    known = {field.name for scheme in app.auth for field in scheme.fields}
    for host in app.hosts:
        for name in names_in(host):
            if name not in known:
                yield f'hosts: "{host}": {{{name}}} is no field; write one of {_listed(known)}'


def derived_names_follow_a_select(app: App) -> Iterator[str]:
    for place, scheme in _schemes(app):
        for derived in scheme.derived:
            decider = scheme.field(derived.by)
            if scheme.field(derived.name) is not None:
                yield f'{place}: derived "{derived.name}": a field has this name; write another one'
            if decider is None or decider.type != "select":
                yield f'{place}: derived "{derived.name}": by must name a select, not "{derived.by}"'
            elif set(derived.values) != {option.value for option in decider.options}:
                yield f'{place}: derived "{derived.name}": write one value for each option of "{derived.by}"'


def templates_name_fields(app: App) -> Iterator[str]:
    for place, scheme in _schemes(app):
        known = {field.name for field in scheme.fields} | {derived.name for derived in scheme.derived}
        for text in _texts(scheme):
            for name in names_in(text):
                if name not in known:
                    yield f"{place}: {{{name}}} is neither a field nor a derived name; write one of {_listed(known)}"
            if set("{}") & set(without_names(text)):
                yield f'{place}: test: a brace stands alone in "{text}"; write {{name}}'
        for derived in scheme.derived:
            for name in names_in("".join(derived.values.values())):
                if scheme.field(name) is None:
                    yield f'{place}: derived "{derived.name}": {{{name}}} is no field; write one of {_listed(known)}'


def templates_are_always_filled(app: App) -> Iterator[str]:
    for place, scheme in _schemes(app):
        for name in sorted({name for text in _texts(scheme) for name in names_in(text)}):
            if not _is_always_there(scheme, name):
                yield f"{place}: test uses {{{name}}}, which may be left out; make the field required, or derive a name"
        for derived in scheme.derived:
            for option, text in derived.values.items():
                for name in names_in(text):
                    if not _is_there_when(scheme, name, derived.by, option):
                        yield f'{place}: derived "{derived.name}": {{{name}}} may be missing for the option "{option}"'


def request_is_there_and_carries_the_secret(app: App) -> Iterator[str]:
    for place, scheme in _schemes(app):
        if scheme.test is None:
            yield f"{place}: write a [auth.test] request that only a working credential passes"
            continue
        used = {name for text in _texts(scheme) for name in names_in(text)}
        used |= {
            name
            for derived in scheme.derived
            if derived.name in used
            for name in names_in("".join(derived.values.values()))
        }
        if scheme.token_field not in used:
            yield f"{place}: test does not use {{{scheme.token_field}}}; put the secret where the vendor wants it"


def request_goes_to_a_declared_host(app: App) -> Iterator[str]:
    for place, scheme, test in _tests(app):
        if not test.url.startswith("https://"):
            yield f"{place}: test.url: write an address that begins with https://"
        if "?" in test.url or "#" in test.url:
            yield f"{place}: test.url: write the parameters into test.query"
        for host in _host_variants(scheme, test.url):
            if host not in app.hosts:
                yield f'{place}: test.url: the host "{host}" is not in hosts; add it there'


def request_is_well_formed(app: App) -> Iterator[str]:
    for place, _, test in _tests(app):
        if test.form is not None and test.json is not None:
            yield f"{place}: test: write form or json, not both"
        if test.method == "GET" and (test.form is not None or test.json is not None):
            yield f'{place}: test: a body needs method = "POST"'
        if test.basic is not None and "authorization" in {name.lower() for name in test.headers}:
            yield f"{place}: test: basic writes the Authorization header; leave it out of headers"


def outcome_is_well_formed(app: App) -> Iterator[str]:
    for place, _, test in _tests(app):
        if not test.expect_status:
            yield f"{place}: test.expect_status: write at least one status"
        for status in test.expect_status:
            if not _STATUS.fullmatch(str(status)):
                yield f'{place}: test.expect_status: write {status!r} as a number, or as a range such as "200-299"'
        if test.refuse_when is not None and not _POINTER.fullmatch(test.refuse_when.pointer):
            yield f'{place}: test.refuse_when.pointer: write a JSON pointer such as "/ok"'


def _schemes(app: App) -> Iterator[tuple[str, AuthScheme]]:
    for scheme in app.auth:
        yield f"auth {scheme.type}", scheme


def _tests(app: App) -> Iterator[tuple[str, AuthScheme, TestRequest]]:
    for place, scheme in _schemes(app):
        if scheme.test is not None:
            yield place, scheme, scheme.test


def _texts(scheme: AuthScheme) -> list[str]:
    test = scheme.test
    if test is None:
        return []
    tables = (test.headers, test.query, test.form or {}, test.json or {})
    return [test.url, *(test.basic or ()), *(text for table in tables for text in table.values())]


def _host_variants(scheme: AuthScheme, url: str) -> list[str]:
    """The host's template, once for every option of the derived name that it is made of."""
    host = url.partition("://")[2].partition("/")[0]
    variants = [host]
    for derived in scheme.derived:
        if f"{{{derived.name}}}" in host:
            variants = [
                one.replace(f"{{{derived.name}}}", text) for one in variants for text in derived.values.values()
            ]
    return variants


def _is_always_there(scheme: AuthScheme, name: str) -> bool:
    if any(derived.name == name for derived in scheme.derived):
        return True
    field = scheme.field(name)
    return field is None or (not field.optional and field.show_when is None and field.show is not False)


def _is_there_when(scheme: AuthScheme, name: str, decider: str, option: str) -> bool:
    if _is_always_there(scheme, name):
        return True
    field = scheme.field(name)
    shown = field.show_when if field is not None and not field.optional else None
    return shown is not None and shown.key == decider and as_text(shown.value) == option


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


REQUEST_RULES: tuple[Callable[[App], Iterator[str]], ...] = (
    hosts_name_fields,
    derived_names_follow_a_select,
    templates_name_fields,
    templates_are_always_filled,
    request_is_there_and_carries_the_secret,
    request_goes_to_a_declared_host,
    request_is_well_formed,
    outcome_is_well_formed,
)
