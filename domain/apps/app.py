"""An app's manifest as values: the fields a person fills in, and the request that proves them."""

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

Method = Literal["GET", "POST"]


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


class Derived(Part, frozen=True):
    """A name for templates whose text depends on the select `by`: one template over the fields for each option."""

    name: str
    by: str
    values: dict[str, str]


class RefuseWhen(Part, frozen=True):
    """Some vendors say no with status 200: when the JSON at `pointer` (RFC 6901) is `value`, by default null."""

    pointer: str
    value: str | int | float | bool | None = None


class TestRequest(Part, frozen=True):
    """The cheapest call that only a working credential passes.

    `{name}` in any text stands for a field or a derived name. `basic` is (user, password). At most one of `form` and
    `json` is the body. `expect_status` holds numbers and ranges such as "200-299".
    """

    __test__ = False  # pytest: a name, not a test

    method: Method
    url: str
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    basic: tuple[str, str] | None = None
    form: dict[str, str] | None = None
    json: dict[str, str] | None = None
    expect_status: tuple[int | str, ...] = (200,)
    refuse_when: RefuseWhen | None = None


class AuthScheme(Part, frozen=True):
    """One way to connect an app. `token_field` is the field that an imported access token fills."""

    type: Literal["api_key", "basic", "custom"]
    fields: tuple[Field, ...]
    token_field: str
    test: TestRequest | None = None
    derived: tuple[Derived, ...] = ()

    def field(self, name: str) -> Field | None:
        """The field of that name, if the scheme has one."""
        return next((field for field in self.fields if field.name == name), None)


class App(Part, frozen=True):
    """A third-party product.

    `key` is [a-z0-9][a-z0-9_-]{0,49}. `hosts` are all the hosts that may ever be called with its credentials; in
    "{subdomain}.example.com" a name stands for letters, digits and hyphens; "{host}" alone is a host that the person
    who connects owns. `docs` are the vendor's pages on which the manifest rests.
    """

    key: str
    name: str
    desc: str
    categories: tuple[str, ...]
    hosts: tuple[str, ...]
    auth: tuple[AuthScheme, ...]
    docs: tuple[str, ...]
