"""What the catalogue's rules have in common: the parts of a manifest, with their place in words."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.connectors.templates import names_in
from domain.apps.app import (
    App,
    AuthScheme,
    Field,
    KeyScheme,
    OAuth1Scheme,
    OAuth2Scheme,
    Place,
    Request,
    Scheme,
    TwoStepScheme,
)
from domain.apps.connection_fields import as_text


def schemes_of(manifest: App) -> Iterator[tuple[str, Scheme]]:
    for scheme in manifest.auth:
        yield f"auth {scheme.type}", scheme


def key_schemes_of(manifest: App) -> Iterator[tuple[str, KeyScheme]]:
    for place, scheme in schemes_of(manifest):
        if isinstance(scheme, KeyScheme):
            yield place, scheme


def oauth2_schemes_of(manifest: App) -> Iterator[tuple[str, OAuth2Scheme]]:
    for place, scheme in schemes_of(manifest):
        if isinstance(scheme, OAuth2Scheme):
            yield place, scheme


def token_schemes_of(manifest: App) -> Iterator[tuple[str, OAuth2Scheme | OAuth1Scheme | TwoStepScheme]]:
    """The schemes in which the app hands out the token."""
    for place, scheme in schemes_of(manifest):
        if isinstance(scheme, OAuth2Scheme | OAuth1Scheme | TwoStepScheme):
            yield place, scheme


def fields_of(scheme: AuthScheme) -> tuple[Field, ...]:
    """What the person and what the project fills in."""
    own = scheme.client_fields if isinstance(scheme, OAuth2Scheme | OAuth1Scheme) else ()
    return (*scheme.fields, *own)


def names_of(scheme: AuthScheme) -> set[str]:
    """The names that every template of the scheme may use."""
    return {field.name for field in fields_of(scheme)} | {derived.name for derived in scheme.derived}


def request_texts(request: Request | Place | None) -> list[str]:
    """Every template in a request or a place, the address first."""
    if request is None:
        return []
    tables = [request.headers, request.query]
    if isinstance(request, Request):
        tables += [request.form or {}, request.json or {}]
    address = [request.url] if isinstance(request, Request) else []
    return [*address, *(request.basic or ()), *(text for table in tables for text in table.values())]


def host_variants(scheme: AuthScheme, url: str) -> list[str]:
    """The host's template, once for every option of the derived names that it is made of."""
    host = url.partition("://")[2].partition("/")[0]
    variants = [host]
    for derived in scheme.derived:
        if f"{{{derived.name}}}" in host:
            variants = [
                one.replace(f"{{{derived.name}}}", text) for one in variants for text in derived.values.values()
            ]
    return variants


def names_used(scheme: AuthScheme, texts: list[str]) -> set[str]:
    """The names in the templates, and those in the derived names that they use."""
    used = {name for text in texts for name in names_in(text)}
    within = (derived for derived in scheme.derived if derived.name in used)
    return used | {name for derived in within for name in names_in("".join(derived.values.values()))}


def is_always_there(scheme: AuthScheme, name: str) -> bool:
    field = next((field for field in fields_of(scheme) if field.name == name), None)
    return field is None or (not field.optional and field.show_when is None and field.show is not False)


def is_there_when(scheme: AuthScheme, name: str, decider: str, option: str) -> bool:
    if is_always_there(scheme, name):
        return True
    field = scheme.field(name)
    shown = field.show_when if field is not None and not field.optional else None
    return shown is not None and shown.key == decider and as_text(shown.value) == option


def listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
