"""A third-party product as a value: its hosts, and the ways to connect it."""

from __future__ import annotations

from domain.apps.auth_scheme import (
    ApiKeyScheme,
    AuthScheme,
    AuthType,
    BasicScheme,
    CustomScheme,
    Derived,
    KeyScheme,
    Place,
    RefuseWhen,
    Request,
    Review,
    TestRequest,
)
from domain.apps.field import Field, Option, Part, ShowWhen
from domain.apps.oauth import OAuth1Scheme, OAuth2Scheme, RevokeHow, TwoStepScheme, Userinfo

__all__ = [
    "ApiKeyScheme",
    "App",
    "AuthScheme",
    "AuthType",
    "BasicScheme",
    "CustomScheme",
    "Derived",
    "Field",
    "KeyScheme",
    "OAuth1Scheme",
    "OAuth2Scheme",
    "Option",
    "Place",
    "RefuseWhen",
    "Request",
    "Review",
    "RevokeHow",
    "Scheme",
    "ShowWhen",
    "TestRequest",
    "TwoStepScheme",
    "Userinfo",
    "asks_for_consent",
]

Scheme = ApiKeyScheme | BasicScheme | CustomScheme | OAuth2Scheme | OAuth1Scheme | TwoStepScheme


def asks_for_consent(scheme: Scheme) -> bool:
    """Whether a person has to agree at the provider; else what they fill in, if anything, is enough."""
    return isinstance(scheme, OAuth1Scheme) or (
        isinstance(scheme, OAuth2Scheme) and scheme.grant == "authorization_code"
    )


class App(Part, frozen=True):
    """A third-party product.

    `key` is [a-z0-9][a-z0-9_-]{0,49}. `hosts` are all the hosts that may ever be called with its credentials; in
    "{subdomain}.example.com" a name stands for letters, digits and hyphens; "{host}" alone is a host that the person
    who connects owns. `oauth_hosts` are those that only serve the connecting itself. The first scheme is the default.
    `docs` are the public pages on which the manifest rests.
    """

    key: str
    name: str
    desc: str
    categories: tuple[str, ...]
    hosts: tuple[str, ...]
    auth: tuple[Scheme, ...]
    docs: tuple[str, ...]
    oauth_hosts: tuple[str, ...] = ()

    @property
    def review(self) -> Review:
        """As its schemes: unverified when one of them is."""
        return "unverified" if any(scheme.review == "unverified" for scheme in self.auth) else "reviewed"
