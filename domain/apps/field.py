"""The things a person fills in: one field, its options, and when it is shown."""

from __future__ import annotations

from typing import Literal

import msgspec

FieldType = Literal[
    "text",
    "password",
    "email",
    "url",
    "tel",
    "number",
    "range",
    "search",
    "hidden",
    "color",
    "date",
    "datetime-local",
    "month",
    "time",
    "week",
    "select",
    "textarea",
]
"""The HTML input types that hold one line of text, and the two elements that are no inputs. A checkbox is a select."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Common to every part of a manifest: immutable, and a misspelt member is an error."""


class Option(Part, frozen=True):
    """One choice of a select."""

    value: str
    label: str


class ShowWhen(Part, frozen=True):
    """A field is shown while the earlier field `key` has this value; true and false mean the words."""

    key: str
    value: str | int | float | bool


class Field(Part, frozen=True):
    """One thing a person fills in. `pattern` is a regular expression for the whole value; `secret` is never shown."""

    name: str
    label: str
    desc: str
    type: FieldType = "text"
    optional: bool = False
    options: tuple[Option, ...] = ()
    show_when: ShowWhen | None = None
    show: bool | None = None
    pattern: str | None = None
    secret: bool = False
