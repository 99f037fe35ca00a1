"""What a person fills in: read from the form with care, and put back into it with what is wrong beside each field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

import msgspec
from aiohttp import web

from adapters.http.bodies import check_text, raw_body
from adapters.http.problems import BadRequest, BodyTooLarge
from domain.apps.app import AuthScheme, Field
from domain.apps.connection_fields import as_text

LARGEST_FORM = 256 * 1024
"""Bytes. The longest field has 20,000 characters, of which each may take twelve bytes."""

_MOST_MEMBERS = 100
_PREFIX = "field-"
_PROOF = "proof"
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Filled(msgspec.Struct, frozen=True):
    """A form as it was sent. ``fields`` by the manifest's names."""

    proof: str
    fields: dict[str, str]

    def __repr__(self) -> str:
        return "Filled(...)"


class FieldView(msgspec.Struct, frozen=True):
    """A field as the template shows it. ``when``: the form's name of the field that decides whether it is asked for."""

    name: str
    id: str
    label: str
    desc: str
    type: str
    required: bool
    options: tuple[dict[str, str], ...]
    value: str
    complaint: str
    focused: bool
    when: str
    when_is: str
    when_words: str


async def read_form(request: web.Request) -> Filled:
    """BadRequest for what is no form, cannot be stored, or names a member twice or one that is not ours; BodyTooLarge."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise BadRequest("The form must be sent as application/x-www-form-urlencoded.")
    raw = await raw_body(request)
    if len(raw) > LARGEST_FORM:
        raise BodyTooLarge
    members = _members(raw)
    proof = members.pop(_PROOF, "")
    if any(not name.startswith(_PREFIX) for name in members):
        raise BadRequest("The form has a member that this page does not have.")
    return Filled(proof, {name.removeprefix(_PREFIX): value for name, value in members.items()})


def _members(raw: bytes) -> dict[str, str]:
    parts = [part for part in raw.split(b"&") if part]
    if len(parts) > _MOST_MEMBERS:
        raise BadRequest("The form has too many members.")
    found: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition(b"=")
        read = _text(name)
        if read in found:
            raise BadRequest("The form has a member twice.")
        found[read] = _text(value).replace("\r\n", "\n")
    return found


def _text(raw: bytes) -> str:
    if _BROKEN_ESCAPE.search(raw):
        raise BadRequest("The form is not percent-encoded UTF-8.")
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise BadRequest("The form is not percent-encoded UTF-8.") from None
    return check_text(text, "A text in the form")


def views(scheme: AuthScheme, given: Mapping[str, str], complaints: Mapping[str, str]) -> list[FieldView]:
    """The fields that are on the form, with what was filled in; secrets are never sent back."""
    first = next(iter(complaints), None)
    shown = [field for field in scheme.fields if field.show is not False]
    return [_view(scheme, field, given, complaints, is_focused=field.name == first) for field in shown]


def _view(
    scheme: AuthScheme, field: Field, given: Mapping[str, str], complaints: Mapping[str, str], *, is_focused: bool
) -> FieldView:
    is_secret = field.secret or field.type == "password"
    when, when_is, when_words = _condition(scheme, field)
    complaint = complaints.get(field.name, "")
    return FieldView(
        name=_PREFIX + field.name,
        id=f"f-{field.name}",
        label=field.label,
        desc=field.desc,
        type="password" if is_secret and field.type == "text" else field.type,
        required=not field.optional,
        options=tuple({"value": option.value, "label": option.label} for option in field.options),
        value="" if is_secret else given.get(field.name, ""),
        complaint=f"{field.label} {complaint}." if complaint else "",
        focused=is_focused,
        when=when,
        when_is=when_is,
        when_words=when_words,
    )


def _condition(scheme: AuthScheme, field: Field) -> tuple[str, str, str]:
    """In words too, for browsers that run no script."""
    if field.show_when is None:
        return "", "", ""
    key, value = field.show_when.key, as_text(field.show_when.value)
    by = scheme.field(key)
    if by is None:
        return _PREFIX + key, value, ""
    chosen = next((option.label for option in by.options if option.value == value), value)
    return _PREFIX + key, value, f"Only where {by.label} is {chosen}."
