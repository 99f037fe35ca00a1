"""The manifests' templates: `{name}` in a text stands for a field of the connection, or for a derived name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

from domain.apps.app import App, AuthScheme

_NAME = re.compile(r"\{([A-Za-z][A-Za-z0-9_]*)\}")
_LABEL = re.compile(r"[A-Za-z0-9-]+")
_WHOLE_HOST = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


class CannotRender(Exception):
    """A template has no value, or one that does not fit its place. Names the field, never its value."""


def names_in(text: str) -> list[str]:
    """The names that a template refers to, in order."""
    return _NAME.findall(text)


def without_names(text: str) -> str:
    """A template's fixed text: a brace that is left over belongs to a misspelt name."""
    return _NAME.sub("", text)


def values_of(scheme: AuthScheme, fields: Mapping[str, str]) -> dict[str, str]:
    """The fields, and the derived names that can be told from them."""
    values = dict(fields)
    for derived in scheme.derived:
        template = derived.values.get(fields.get(derived.by, ""))
        if template is not None and all(name in fields for name in names_in(template)):
            values[derived.name] = render(template, fields)
    return values


def render(template: str, values: Mapping[str, str], escape: Callable[[str], str] = str) -> str:
    """The template with its values in place, each passed through `escape`. CannotRender when one is missing."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            raise CannotRender(f'The field "{name}" is missing.')
        return escape(values[name])

    return _NAME.sub(value, template)


def render_url(template: str, values: Mapping[str, str]) -> str:
    """An https address from a template: labels in the host stay labels, and values in the path are percent-encoded."""
    scheme, _, rest = template.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{render_host(host, values)}{slash}{render(path, values, _path_segment)}"


def render_host(template: str, values: Mapping[str, str]) -> str:
    """A host from a template. A name alone may be a whole host; inside a host it is letters, digits and hyphens."""
    allowed = _WHOLE_HOST if not without_names(template) else _LABEL
    for name in names_in(template):
        if name in values and not allowed.fullmatch(values[name]):
            raise CannotRender(f'The field "{name}" must hold the bare name, without https:// and without a path.')
    return render(template, values)


def hosts_of(app: App, values: Mapping[str, str], *, connecting: bool = False) -> tuple[str, ...]:
    """The hosts that this one connection may call: the declared ones for which it has all values.

    `connecting` adds those that only serve the connecting itself.
    """
    hosts = (*app.hosts, *app.oauth_hosts) if connecting else app.hosts
    return tuple(render_host(host, values) for host in hosts if all(name in values for name in names_in(host)))


def _path_segment(value: str) -> str:
    if value in {".", ".."}:
        raise CannotRender("A value in the address must not be a dot.")
    return quote(value, safe="")
