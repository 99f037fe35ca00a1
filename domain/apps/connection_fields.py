"""What a person filled in, held against what the app asks for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from domain.apps.app import App, AuthScheme, Field, OAuth1Scheme, OAuth2Scheme, Scheme
from domain.errors import Invalid

LONGEST_VALUE = 20_000
"""Characters in one value; the longest real ones are private keys and service-account files."""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_EMAIL = re.compile(r"[^\s@<>(),;:\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_NUMBER = re.compile(r"-?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d{1,3})?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NUMERIC_TYPES = frozenset({"number", "range"})


class InvalidFields(Invalid):
    """The connection fields do not fit the app."""

    code = "invalid_connection_fields"

    def __init__(self, message: str | None = None, complaints: Mapping[str, str] | None = None) -> None:
        """``complaints``: what is wrong by field, such as "is missing"; the message is about the first of them."""
        super().__init__(message)
        self.complaints: dict[str, str] = dict(complaints or {})


def check_fields(scheme: AuthScheme, given: Mapping[str, object]) -> dict[str, str]:
    """The values to keep, in the order of the fields, trimmed; or InvalidFields, which names the field, not the value.

    Null and blank mean not given. A value for a field that the other answers hide is dropped; a field with
    show=false is on no form, so it is never required.
    """
    return _checked(scheme.fields, given)


def check_client_fields(scheme: Scheme, given: Mapping[str, object]) -> dict[str, str]:
    """What a project fills in once with its OAuth client, held against the manifest; or InvalidFields."""
    fields = scheme.client_fields if isinstance(scheme, OAuth2Scheme | OAuth1Scheme) else ()
    return _checked(fields, given)


def _checked(fields: tuple[Field, ...], given: Mapping[str, object]) -> dict[str, str]:
    _refuse_unknown(fields, given)
    kept: dict[str, str] = {}
    refusals: list[InvalidFields] = []
    for field in fields:
        if not _is_asked(field, kept):
            continue
        try:
            text = _checked_text(field, given.get(field.name))
        except InvalidFields as refusal:
            refusals.append(refusal)
            continue
        if text:
            kept[field.name] = text
    if refusals:
        complaints = {name: said for refusal in refusals for name, said in refusal.complaints.items()}
        raise InvalidFields(refusals[0].message, complaints)
    return kept


def _checked_text(field: Field, value: object) -> str:
    text = _text(field, value)
    if text:
        _check_text(field, text)
    elif not field.optional and field.show is not False:
        raise InvalidFields(f'The field "{field.name}" ({field.label}) is missing.', {field.name: "is missing"})
    return text


def _misfit(field: Field, complaint: str) -> InvalidFields:
    return InvalidFields(f'The field "{field.name}" {complaint}.', {field.name: complaint})


def credential_info(app: App, scheme: AuthScheme) -> dict[str, Any]:
    """The published CredentialInfo: {appName, desc, fields: [...]}; members that say nothing are left out."""
    return {"appName": app.name, "desc": app.desc, "fields": [_field_info(field) for field in scheme.fields]}


def _field_info(field: Field) -> dict[str, Any]:
    info: dict[str, Any] = {
        "name": field.name,
        "type": field.type,
        "desc": field.desc,
        "label": field.label,
        "isOptional": field.optional,
    }
    if field.options:
        info["options"] = [{"value": option.value, "label": option.label} for option in field.options]
    if field.show_when is not None:
        info["showWhen"] = {"key": field.show_when.key, "value": field.show_when.value}
    if field.show is not None:
        info["show"] = field.show
    return info


def _refuse_unknown(fields: tuple[Field, ...], given: Iterable[object]) -> None:
    known = {field.name for field in fields}
    for name in given:
        if name not in known:
            shown = f'"{name}"' if isinstance(name, str) and _NAME.fullmatch(name) else "with that name"
            raise InvalidFields(f"There is no field {shown}; this app asks for {_listed(fields)}.")


def _listed(fields: tuple[Field, ...]) -> str:
    return ", ".join(f'"{field.name}"' for field in fields) or "none"


def _is_asked(field: Field, kept: Mapping[str, str]) -> bool:
    """The manifest's fields are in such an order that the deciding one is already known."""
    if field.show_when is None:
        return True
    return kept.get(field.show_when.key) == as_text(field.show_when.value)


def as_text(value: str | int | float | bool) -> str:
    """How a manifest's value looks among the kept ones: true, 5, 0.5, or the text itself."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def _text(field: Field, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value if field.type == "textarea" and value.strip() else value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool) and field.type in _NUMERIC_TYPES:
        if (isinstance(value, int) and value.bit_length() > 64) or not math.isfinite(value):
            raise _misfit(field, "holds a number that is too large")
        return as_text(value)
    raise _misfit(field, "takes a text")


def _check_text(field: Field, text: str) -> None:
    complaint = (
        _wrong_characters(field, text)
        or _wrong_type(field, text)
        or ("does not have the form that this app uses" if field.pattern and not _matches(field.pattern, text) else "")
    )
    if complaint:
        raise _misfit(field, complaint)


def _wrong_characters(field: Field, text: str) -> str:
    if len(text) > LONGEST_VALUE:
        return f"is longer than {LONGEST_VALUE} characters"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "is not valid Unicode"
    if "\x00" in text:
        return "contains a NUL character"
    if field.type != "textarea" and _CONTROL.search(text):
        return "contains a line break or another control character"
    return ""


def _wrong_type(field: Field, text: str) -> str:
    if field.type == "select" and text not in {option.value for option in field.options}:
        return "must be one of " + ", ".join(f'"{option.value}"' for option in field.options)
    if field.type == "email" and not _EMAIL.fullmatch(text):
        return "must be an e-mail address"
    if field.type == "url" and not _is_web_address(text):
        return "must be a full web address such as https://example.com"
    if field.type in _NUMERIC_TYPES and not (_NUMBER.fullmatch(text) and math.isfinite(float(text))):
        return "must be a number"
    return ""


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return False
    has_user = "@" in parts.netloc
    return (
        parts.scheme in {"http", "https"} and bool(parts.hostname) and not has_user and port_is_fine and " " not in text
    )


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None
