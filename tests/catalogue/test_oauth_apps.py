"""The OAuth apps of the catalogue: fifteen that were reviewed, and those compiled from other public code."""

from __future__ import annotations

import pytest

from adapters.connectors.loader import load_catalogue
from domain.apps.app import App, OAuth1Scheme, OAuth2Scheme
from domain.apps.catalogue import Catalogue

REVIEWED = [
    "asana",
    "atlassian",
    "dropbox",
    "github",
    "gitlab",
    "google",
    "hubspot",
    "microsoft",
    "notion",
    "salesforce",
    "shopify",
    "slack",
    "stripe",
    "xero",
    "zoom",
]
APPS = load_catalogue()


def oauth2(app: App) -> OAuth2Scheme:
    (scheme,) = (scheme for scheme in app.auth if isinstance(scheme, OAuth2Scheme))
    return scheme


def test_exactly_fifteen_apps_have_a_reviewed_oauth_scheme() -> None:
    reviewed = {
        key
        for key, app in APPS.items()
        for scheme in app.auth
        if isinstance(scheme, OAuth2Scheme | OAuth1Scheme) and scheme.review == "reviewed"
    }
    assert sorted(reviewed) == REVIEWED


@pytest.mark.parametrize("key", REVIEWED)
def test_a_reviewed_app_tells_whose_account_was_linked(key: str) -> None:
    assert oauth2(APPS[key]).userinfo is not None


@pytest.mark.parametrize("key", REVIEWED)
def test_a_reviewed_app_cites_its_vendor_and_nobody_else(key: str) -> None:
    vendors = {"microsoft": "learn.microsoft.com", "stripe": "docs.stripe.com", "gitlab": "docs.gitlab.com"}
    for member, source in oauth2(APPS[key]).sources.items():
        host = source.split("/")[2]
        assert vendors.get(key, key) in host, f"{member}: {source}"


def test_pkce_is_left_out_only_where_the_vendor_s_page_says_why() -> None:
    without = {
        key for key, app in APPS.items() for one in app.auth if isinstance(one, OAuth2Scheme) and one.pkce == "none"
    }
    assert without == {"notion", "slack", "stripe"}
    assert all("pkce" in oauth2(APPS[key]).sources for key in without)


def test_what_was_not_reviewed_says_so_and_names_the_public_code_it_comes_from() -> None:
    unverified = [app for app in APPS.values() if app.review == "unverified"]
    assert len(unverified) > 250
    assert all(any(source.startswith("https://github.com/") for source in app.docs) for app in unverified)


def test_unverified_facts_claim_no_account_and_no_source() -> None:
    for app in APPS.values():
        for scheme in app.auth:
            if isinstance(scheme, OAuth2Scheme | OAuth1Scheme) and scheme.review == "unverified":
                assert scheme.userinfo is None and scheme.sources == {}, app.key


def test_an_app_that_had_a_key_before_oauth_is_still_connected_by_key_unless_asked_otherwise() -> None:
    catalogue = Catalogue(APPS)
    for key in ("github", "hubspot", "notion", "stripe"):
        assert catalogue.scheme(key)[1].type == "api_key"
        assert catalogue.scheme(key, "oauth2")[1].type == "oauth2"


def test_an_app_may_be_reached_by_both_generations_of_oauth() -> None:
    assert [scheme.type for scheme in APPS["twitter"].auth] == ["oauth2", "oauth1"]
