"""The ways to connect an app in which the app itself hands out the token; a provider's deviations are data here."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from domain.apps.auth_scheme import AuthScheme, AuthType, Place, Request
from domain.apps.field import Field, Part

TokenAuth = Literal["client_secret_basic", "client_secret_post", "none"]

BEARER = Place(headers={"Authorization": "Bearer {token}"})
"""RFC 6750, section 2.1."""


class Userinfo(Part, frozen=True):
    """Whose account it is: RFC 6901 pointers to a lasting id, and to a name for people, in one of three documents.

    "request": the answer to `request`, which is sent with the access token as `place` says; "token_response": the
    answer that brought the tokens; "id_token": the claims of the OpenID Connect ID token in it.
    """

    account_id: str
    account_name: str | None = None
    source: Literal["request", "token_response", "id_token"] = "request"
    request: Request | None = None


class RevokeHow(Part, frozen=True):
    """What is sent to `revoke_url`; by default the form of RFC 7009.

    `{token}` is the one that `token` names (the access token also where there is no refresh token); `{client_id}` and
    `{client_secret}` are the client's. `auth` None means the scheme's token_auth; "bearer" sends the token as `place`
    says. `json` is the body when it is given, else `form`; an empty form sends none.
    """

    method: Literal["POST", "DELETE", "GET"] = "POST"
    token: Literal["refresh_token", "access_token"] = "refresh_token"
    auth: TokenAuth | Literal["bearer"] | None = None
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    form: dict[str, str] = msgspec.field(default_factory=lambda: {"token": "{token}"})
    json: dict[str, str] | None = None


class OAuth2Scheme(AuthScheme, frozen=True, kw_only=True, tag="oauth2"):
    """OAuth 2 (RFC 6749): the authorization code with PKCE, or client credentials.

    Templates know the fields, the derived names, the client fields and `{client_id}`; in calls with the token also
    `{token}` and the names in `from_token`; and `revoke_how` alone knows `{client_secret}`. Members that end in
    `_path` are RFC 6901 pointers into the token response, `error_path` into a refusal. Times are seconds.
    """

    type: ClassVar[AuthType] = "oauth2"
    token_field: ClassVar[str] = "token"

    grant: Literal["authorization_code", "client_credentials"] = "authorization_code"
    client_fields: tuple[Field, ...] = ()
    """What the project fills in once, with the client's id and secret: for example the host where the client is
    registered, which an end user must not choose because the client's secret is sent there."""

    authorize_url: str | None = None
    """Absent for client credentials only."""

    token_url: str
    refresh_url: str | None = None
    """None: the token_url."""

    token_auth: TokenAuth = "client_secret_basic"
    token_body: Literal["form", "json"] = "form"
    token_headers: dict[str, str] = {}

    pkce: Literal["S256", "none"] = "S256"
    """Providers that do not know PKCE ignore it (RFC 6749, section 3.1); "none" is for those that refuse it."""

    default_scopes: tuple[str, ...] = ()
    scope_separator: str = " "
    scope_param: str = "scope"
    authorize_params: dict[str, str] = {}
    token_params: dict[str, str] = {}
    refresh_params: dict[str, str] = {}

    sends_iss: bool = False
    """The authorization response carries `iss` (RFC 9207), equal to `issuer`; one without it is refused."""

    issuer: str | None = None

    access_token_path: str = "/access_token"
    refresh_token_path: str = "/refresh_token"
    expires_in_path: str = "/expires_in"
    scope_path: str = "/scope"
    token_type_path: str = "/token_type"
    error_path: str = "/error"
    ok_pointer: str | None = None
    """Where a provider that refuses with status 200 says true or false."""

    permanent_errors: tuple[str, ...] = ()
    """Error codes that end the grant, beside invalid_grant."""

    from_token: dict[str, str] = {}
    """More names for templates: pointers into the token response. Of a web address its host counts."""

    rotates_refresh_token: bool | None = None
    """None: unknown. Whatever is known, a refresh token that comes with an answer replaces the one before."""

    default_expires_in: int | None = None
    """For an answer that does not say how long its access token lives; None: until the app refuses it."""

    refresh_margin: int | None = None
    """How long before its end an access token is renewed; None: as the installation does."""

    revoke_url: str | None = None
    revoke_how: RevokeHow = RevokeHow()
    userinfo: Userinfo | None = None
    place: Place = BEARER


class OAuth1Scheme(AuthScheme, frozen=True, kw_only=True, tag="oauth1"):
    """OAuth 1.0a (RFC 5849). Calls are signed; `userinfo` is one of them, or reads the access token's answer."""

    type: ClassVar[AuthType] = "oauth1"
    token_field: ClassVar[str] = "token"

    client_fields: tuple[Field, ...] = ()
    request_token_url: str
    authorize_url: str
    access_token_url: str
    signature_method: Literal["HMAC-SHA1", "RSA-SHA1", "PLAINTEXT"] = "HMAC-SHA1"
    realm: str | None = None
    authorize_params: dict[str, str] = {}
    userinfo: Userinfo | None = None


class TwoStepScheme(AuthScheme, frozen=True, kw_only=True, tag="two_step"):
    """A person's fields buy a token, and buy the next one when it ends. Times are seconds, paths RFC 6901 pointers."""

    type: ClassVar[AuthType] = "two_step"
    token_field: ClassVar[str] = "token"

    token_request: Request
    access_token_path: str = "/access_token"
    expires_in_path: str | None = None
    default_expires_in: int | None = None
    refresh_margin: int | None = None
    ok_pointer: str | None = None
    place: Place = BEARER
