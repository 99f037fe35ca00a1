"""The ways to connect an app: what they have in common, and the kinds whose secret a person types in."""

from __future__ import annotations

from typing import ClassVar, Literal

from domain.apps.field import Field, Part

AuthType = Literal["api_key", "basic", "custom", "oauth2", "oauth1", "two_step"]
Method = Literal["GET", "POST"]
Review = Literal["reviewed", "unverified"]


class Derived(Part, frozen=True):
    """A name for templates whose text depends on the select `by`: one template over the fields for each option."""

    name: str
    by: str
    values: dict[str, str]


class Request(Part, frozen=True):
    """A call as data: `{name}` in any text stands for a field, a derived name or the token.

    `basic` is (user, password). At most one of `form` and `json` is the body.
    """

    method: Method
    url: str
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    basic: tuple[str, str] | None = None
    form: dict[str, str] | None = None
    json: dict[str, str] | None = None


class RefuseWhen(Part, frozen=True):
    """Some vendors say no with status 200: when the JSON at `pointer` (RFC 6901) is `value`, by default null."""

    pointer: str
    value: str | int | float | bool | None = None


class TestRequest(Request, frozen=True):
    """The cheapest call that only a working credential passes. It carries what `place` says; the rest is said here.

    `expect_status` holds numbers and ranges such as "200-299".
    """

    __test__ = False  # pytest: a name, not a test

    expect_status: tuple[int | str, ...] = (200,)
    refuse_when: RefuseWhen | None = None


class Place(Part, frozen=True):
    """Where the credential goes in every call to the app: headers, query parameters, or basic (user, password)."""

    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    basic: tuple[str, str] | None = None


class AuthScheme(Part, frozen=True, kw_only=True, tag_field="type"):
    """One way to connect an app: what the person fills in, and names that follow from it.

    Every kind also has a `token_field`: the name under which templates find the secret that is sent with a call, and
    that an imported access token fills. In a reviewed scheme of the OAuth kinds every member that is set has its
    public source in `sources`, by the member's name; an unverified one was compiled from other public code, and its
    vendor's pages have not been read.
    """

    type: ClassVar[AuthType]
    fields: tuple[Field, ...] = ()
    derived: tuple[Derived, ...] = ()
    test: TestRequest | None = None
    place: Place | None = None
    review: Review = "reviewed"
    sources: dict[str, str] = {}

    def field(self, name: str) -> Field | None:
        """The field of that name, if the scheme has one."""
        return next((field for field in self.fields if field.name == name), None)


class KeyScheme(AuthScheme, frozen=True, kw_only=True):
    """A secret that a person types in. `place` is absent where the vendor wants the secret in the address itself."""

    token_field: str


class ApiKeyScheme(KeyScheme, frozen=True, kw_only=True, tag="api_key"):
    """One key or token."""

    type: ClassVar[AuthType] = "api_key"


class BasicScheme(KeyScheme, frozen=True, kw_only=True, tag="basic"):
    """A user name and a password or key (RFC 7617)."""

    type: ClassVar[AuthType] = "basic"


class CustomScheme(KeyScheme, frozen=True, kw_only=True, tag="custom"):
    """Whatever else an app asks for."""

    type: ClassVar[AuthType] = "custom"
