"""The catalogue's rules: each looks at one manifest and says what to write instead of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from adapters.connectors.catalogue_check_oauth import OAUTH_RULES
from adapters.connectors.catalogue_check_parts import fields_of, key_schemes_of, schemes_of
from adapters.connectors.catalogue_check_requests import REQUEST_RULES
from adapters.connectors.catalogue_check_tokens import TOKEN_RULES
from domain.apps.app import App
from domain.apps.connection_fields import as_text

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
_RESERVED_KEYS = frozenset({"status", "import"})
"""Words that stand where an app's key stands in the published paths."""

_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}")
_CATEGORY = re.compile(r"[a-z]+(-[a-z]+)*")
_VARIABLE = r"\{[A-Za-z][A-Za-z0-9_]*\}"
_FIXED_HOST = re.compile(rf"((?:[a-z0-9-]|{_VARIABLE})+\.)*[a-z0-9-]+\.[a-z]+")
_OWN_HOST = re.compile(_VARIABLE)

Rule = Callable[[App], Iterator[str]]


def complaints_about(app: App, rules: tuple[Rule, ...] | None = None) -> list[str]:
    """Every complaint of every rule; empty when the manifest is in order."""
    return [complaint for rule in (RULES if rules is None else rules) for complaint in rule(app)]


def key_is_plain(app: App) -> Iterator[str]:
    if not _KEY.fullmatch(app.key):
        yield f'key "{app.key}": write 1 to 50 small letters, digits, hyphens or underscores, a letter or digit first'
    if app.key in _RESERVED_KEYS:
        yield f'key "{app.key}": this word is part of the published paths; write another one'


def texts_are_there(app: App) -> Iterator[str]:
    if not app.name.strip():
        yield "name: write the product's name as its vendor does"
    if not app.desc.endswith("."):
        yield "desc: write one sentence that says what connecting the app allows, with a full stop"


def categories_are_plain(app: App) -> Iterator[str]:
    if not app.categories and app.review == "reviewed":
        yield 'categories: write at least one, such as "crm" or "messaging"'
    for category in app.categories:
        if not _CATEGORY.fullmatch(category):
            yield f'categories: write "{category}" in small letters with hyphens'


def sources_are_cited(app: App) -> Iterator[str]:
    if not app.docs:
        yield "docs: write the addresses of the vendor's pages on which the manifest rests"
    for address in app.docs:
        if not address.startswith("https://"):
            yield f'docs: write "{address}" as a full https address'


def hosts_are_narrow(app: App) -> Iterator[str]:
    if not app.hosts and app.review == "reviewed":
        yield "hosts: write every host that may be called with the app's credentials"
    for place, hosts in (("hosts", app.hosts), ("oauth_hosts", app.oauth_hosts)):
        for host in hosts:
            if not _FIXED_HOST.fullmatch(host) and not _OWN_HOST.fullmatch(host):
                yield f'{place}: "{host}": write a bare host that ends in two fixed labels, or one {{field}} alone'


def hosts_are_distinct(app: App) -> Iterator[str]:
    hosts = [*app.hosts, *app.oauth_hosts]
    for host in sorted({host for host in hosts if hosts.count(host) > 1}):
        yield f'hosts: "{host}" is there twice; write it once, in hosts or in oauth_hosts'


def schemes_are_distinct(app: App) -> Iterator[str]:
    types = [scheme.type for scheme in app.auth]
    if not types:
        yield "auth: write at least one [[auth]] table"
    if len(set(types)) < len(types):
        yield "auth: two tables have the same type; join them with a select and show_when"


def fields_are_named(app: App) -> Iterator[str]:
    for place, scheme in schemes_of(app):
        names = [field.name for field in fields_of(scheme)]
        for name in names:
            if not _FIELD_NAME.fullmatch(name):
                yield f'{place}: field "{name}": write up to 50 letters, digits and underscores, a letter first'
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f'{place}: field "{name}" is there twice; give one of them another name'


def fields_are_explained(app: App) -> Iterator[str]:
    for place, scheme in schemes_of(app):
        for field in fields_of(scheme):
            if not field.label.strip():
                yield f'{place}: field "{field.name}": write a label'
            if len(field.desc) < 20 or not field.desc.endswith("."):
                yield f'{place}: field "{field.name}": say in desc where to find the value, with a full stop'


def selects_have_options(app: App) -> Iterator[str]:
    for place, scheme in schemes_of(app):
        for field in fields_of(scheme):
            values = [option.value for option in field.options]
            if field.type == "select" and len(values) < 2:
                yield f'{place}: field "{field.name}": write at least two options for a select'
            if field.type != "select" and values:
                yield f'{place}: field "{field.name}": only a select has options; write type = "select"'
            if len(set(values)) < len(values):
                yield f'{place}: field "{field.name}": two options have the same value; change one of them'


def show_when_names_an_earlier_field(app: App) -> Iterator[str]:
    for place, scheme in schemes_of(app):
        earlier: dict[str, set[str]] = {}
        for field in fields_of(scheme):
            rule = field.show_when
            if rule is not None and rule.key not in earlier:
                yield f'{place}: field "{field.name}": show_when.key must name a field above it, not "{rule.key}"'
            elif rule is not None and earlier[rule.key] and as_text(rule.value) not in earlier[rule.key]:
                yield f'{place}: field "{field.name}": show_when.value must be one of the options of "{rule.key}"'
            earlier[field.name] = {option.value for option in field.options}


def patterns_compile(app: App) -> Iterator[str]:
    for place, scheme in schemes_of(app):
        for field in fields_of(scheme):
            try:
                re.compile(field.pattern or "")
            except re.error as error:
                yield f'{place}: field "{field.name}": pattern is not a regular expression: {error}'


def secrets_are_hidden(app: App) -> Iterator[str]:
    for place, scheme in schemes_of(app):
        for field in fields_of(scheme):
            if field.secret and field.type not in {"password", "textarea"}:
                yield f'{place}: field "{field.name}": a secret is typed into type = "password" or "textarea"'
            if field.type == "password" and not field.secret:
                yield f'{place}: field "{field.name}": write secret = true for a password field'


def token_field_is_a_secret(app: App) -> Iterator[str]:
    for place, scheme in key_schemes_of(app):
        field = scheme.field(scheme.token_field)
        if field is None:
            yield f'{place}: token_field "{scheme.token_field}": write the name of one of the fields'
        elif not field.secret:
            yield f'{place}: token_field "{scheme.token_field}": name the field that is the secret'


RULES: tuple[Rule, ...] = (
    key_is_plain,
    texts_are_there,
    categories_are_plain,
    sources_are_cited,
    hosts_are_narrow,
    hosts_are_distinct,
    schemes_are_distinct,
    fields_are_named,
    fields_are_explained,
    selects_have_options,
    show_when_names_an_earlier_field,
    patterns_compile,
    secrets_are_hidden,
    token_field_is_a_secret,
    *REQUEST_RULES,
    *OAUTH_RULES,
    *TOKEN_RULES,
)

_ABOUT_ADDRESSES = {
    "hosts_are_narrow",
    "request_goes_to_a_declared_host",
    "addresses_are_https",
    "addresses_go_to_declared_hosts",
    "issuer_is_known",
}
ANYWHERE_RULES: tuple[Rule, ...] = tuple(rule for rule in RULES if rule.__name__ not in _ABOUT_ADDRESSES)
"""What is left for apps in a private network: a host may be an address there, and speak plain http."""
