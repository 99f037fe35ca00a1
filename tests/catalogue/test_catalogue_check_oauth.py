"""Each rule for OAuth apps finds what it is for, and says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from adapters.connectors.loader import BrokenManifest
from domain.apps.app import App, OAuth2Scheme

GOOD = """
key = "acme"
name = "Acme"
desc = "Everything that Acme has."
categories = ["crm"]
hosts = ["{shop}.acme.example", "{apiHost}"]
oauth_hosts = ["login.acme.example", "{own}"]
docs = ["https://docs.acme.example"]

[[auth]]
type = "oauth2"
authorize_url = "https://login.acme.example/authorize"
token_url = "https://{own}/token"
default_scopes = ["read", "write"]
authorize_params = { prompt = "consent" }
token_params = { audience = "{shop}" }
permanent_errors = ["gone"]
from_token = { apiHost = "/api" }
default_expires_in = 3600
refresh_margin = 60
issuer = "https://login.acme.example"
sends_iss = true
revoke_url = "https://{own}/revoke"
revoke_how = { form = { what = "{token}" } }
userinfo = { account_id = "/id", request = { method = "GET", url = "https://{shop}.acme.example/me" } }
place = { headers = { X-Token = "{token}" } }

[[auth.fields]]
name = "shop"
label = "Shop"
desc = "The first part of your address."

[[auth.client_fields]]
name = "own"
label = "Host"
desc = "The host where the client is registered."

[auth.sources]
authorize_url = "https://docs.acme.example/a"
token_url = "https://docs.acme.example/a"
default_scopes = "https://docs.acme.example/a"
authorize_params = "https://docs.acme.example/a"
token_params = "https://docs.acme.example/a"
permanent_errors = "https://docs.acme.example/a"
from_token = "https://docs.acme.example/a"
default_expires_in = "https://docs.acme.example/a"
refresh_margin = "https://docs.acme.example/a"
issuer = "https://docs.acme.example/a"
sends_iss = "https://docs.acme.example/a"
revoke_url = "https://docs.acme.example/a"
revoke_how = "https://docs.acme.example/a"
userinfo = "https://docs.acme.example/a"
place = "https://docs.acme.example/a"
"""

BREAKAGES = [
    ("https://login.acme.example/authorize", "http://login.acme.example/authorize", "begins with https://"),
    ("https://{own}/token", "https://{own}/token?a=b", "the table of parameters"),
    ("https://{own}/token", "https://other.example/token", "neither in hosts nor in oauth_hosts"),
    ("https://{shop}.acme.example/me", "https://me.example/me", "userinfo.request.url: the host"),
    ('"login.acme.example", "{own}"]', '"login.acme.example", "{own}", "x.acme.example"]', "no address uses"),
    ("[[auth.client_fields]]", "[[auth.fields]]", "the project must choose the host"),
    ('name = "own"', 'name = "own"\noptional = true', "every project fills it in"),
    ('name = "own"', 'name = "own"\ntype = "password"\nsecret = true', "the client secret has its own place"),
    ('name = "shop"', 'name = "token"', "templates know this name already"),
    ('apiHost = "/api"', 'shop = "/api"', "this name is taken"),
    ('prompt = "consent"', 'prompt = "{token}"', "is not known there"),
    ('prompt = "consent"', 'prompt = "{shop"', "brace stands alone"),
    ('what = "{token}"', 'what = "{tokn}"', "is not known there"),
    ('prompt = "consent"', 'prompt = "{client_secret}"', "is not known there"),
    ('X-Token = "{token}"', 'X-Token = "{token}{client_secret}"', "is not known there"),
    ('name = "shop"', 'name = "shop"\noptional = true', "may be left out; make the field required"),
    (
        "[[auth.client_fields]]",
        '[[auth.fields]]\nname = "spare"\nlabel = "S"\ndesc = "Nobody needs to know this."\n\n[[auth.client_fields]]',
        "no address, parameter or host uses it",
    ),
    (
        'place = { headers = { X-Token = "{token}" } }',
        'place = { headers = { X-Token = "{token}" } }\ntest = { method = "GET", url = "https://{shop}.acme.example/" }',
        "asked by userinfo",
    ),
    ('authorize_url = "https://login.acme.example/authorize"\n', "", "where the person consents"),
    ('type = "oauth2"', 'type = "oauth2"\ngrant = "client_credentials"', "client credentials need no consent"),
    ('"read", "write"', '"read", " "', "one scope in each entry"),
    ('"read", "write"', '"read write"', "one scope in each entry"),
    ('"read", "write"', '"read", "read"', "is there twice; write it once"),
    ('default_scopes = ["read", "write"]', 'scope_separator = ", "', "the one character between scopes"),
    ('prompt = "consent"', 'state = "x"', "part of the protocol"),
    ('prompt = "consent"', 'scope = "x"', "part of the protocol"),
    ('audience = "{shop}"', 'grant_type = "x"', "part of the protocol"),
    ('apiHost = "/api"', 'apiHost = "api"', 'as a JSON pointer such as "/access_token"'),
    ("default_expires_in = 3600", 'access_token_path = "token"', 'as a JSON pointer such as "/access_token"'),
    ('account_id = "/id"', 'account_id = "id"', 'as a JSON pointer such as "/access_token"'),
    (', request = { method = "GET", url = "https://{shop}.acme.example/me" }', "", "the call that tells the account"),
    ('account_id = "/id"', 'account_id = "/id", source = "token_response"', "nothing is asked for"),
    (
        'account_id = "/id", request = { method = "GET", url = "https://{shop}.acme.example/me" }',
        'account_id = "/sub", source = "id_token"',
        'comes with the scope "openid"',
    ),
    ('revoke_url = "https://{own}/revoke"\n', "", "revoke_how: write revoke_url too"),
    ('what = "{token}"', 'what = "all"', "nothing says what is revoked"),
    ('issuer = "https://login.acme.example"\n', "", "the value of iss"),
    ('issuer = "https://login', 'issuer = "http://login', "issuer: write"),
    ("default_expires_in = 3600", "default_expires_in = 0", "more than 0 seconds"),
    ("refresh_margin = 60", "refresh_margin = 3600", "every token is always due"),
    ('["gone"]', '["invalid_grant"]', "always ends the grant"),
    ('["gone"]', '["it is gone"]', "as the bare code, once"),
    ('["gone"]', '["gone", "gone"]', "as the bare code, once"),
    ('X-Token = "{token}"', 'X-Token = "x"', "where the vendor wants the access token"),
    ('revoke_how = "https://docs.acme.example/a"\n', "", "public page for revoke_how"),
    ('token_url = "https://docs.acme.example/a"\n', "", "public page for token_url"),
    ("[auth.sources]", '[auth.sources]\ntoken_uri = "https://docs.acme.example/a"', "no fact of this scheme"),
    ('place = "https://docs', 'place = "http://docs', "place: write"),
    ('name = "shop"', 'name = "re gion"', "a letter first"),
    ('"{shop}.acme.example", "{apiHost}"]', '"{shop}.acme.example", "{otherHost}"]', "{otherHost} is no field"),
    ('hosts = ["{shop}.acme.example", "{apiHost}"]', "hosts = []", "hosts: write every host"),
]

OAUTH1 = """
key = "acme"
name = "Acme"
desc = "Everything that Acme has."
categories = ["crm"]
hosts = ["api.acme.example"]
docs = ["https://docs.acme.example"]

[[auth]]
type = "oauth1"
request_token_url = "https://api.acme.example/request"
authorize_url = "https://api.acme.example/authorize"
access_token_url = "https://api.acme.example/access"

[auth.sources]
request_token_url = "https://docs.acme.example/a"
authorize_url = "https://docs.acme.example/a"
access_token_url = "https://docs.acme.example/a"
"""

TWO_STEP = """
key = "acme"
name = "Acme"
desc = "Everything that Acme has."
categories = ["crm"]
hosts = ["{host}"]
docs = ["https://docs.acme.example"]

[[auth]]
type = "two_step"
token_request = { method = "POST", url = "https://{host}/token", json = { key = "{key}" } }

[[auth.fields]]
name = "host"
label = "Host"
desc = "The name of your own server."

[[auth.fields]]
name = "key"
label = "Key"
desc = "Under Settings, Keys, in the menu."
type = "password"
secret = true

[auth.sources]
token_request = "https://docs.acme.example/a"
"""


def refusal(load: Callable[[str], App], text: str) -> str:
    with pytest.raises(BrokenManifest) as caught:
        load(text)
    return str(caught.value)


def test_the_good_manifest_has_no_complaints(load: Callable[[str], App]) -> None:
    (scheme,) = load(GOOD).auth
    assert isinstance(scheme, OAuth2Scheme)
    assert (scheme.type, scheme.pkce, scheme.refresh_token_path) == ("oauth2", "S256", "/refresh_token")


@pytest.mark.parametrize(("good", "bad", "says"), BREAKAGES)
def test_a_broken_rule_is_named_with_its_file(load: Callable[[str], App], good: str, bad: str, says: str) -> None:
    assert good in GOOD
    assert re.search("acme/app.toml: .*" + re.escape(says), refusal(load, GOOD.replace(good, bad)))


@pytest.mark.parametrize("manifest", [OAUTH1, TWO_STEP])
def test_the_other_kinds_have_no_complaints_either(load: Callable[[str], App], manifest: str) -> None:
    load(manifest)


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        ('type = "oauth1"', 'type = "oauth1"\nauthorize_params = { oauth_token = "x" }', "part of the protocol"),
        ('type = "oauth1"', 'type = "oauth1"\nplace = { headers = { X = "{token}" } }', "OAuth 1.0a signs its calls"),
        ("https://api.acme.example/request", "https://{shop}/request", "the project must choose the host"),
        ('access_token_url = "https://docs.acme.example/a"\n', "", "public page for access_token_url"),
    ],
)
def test_a_broken_rule_of_oauth_1_is_named(load: Callable[[str], App], good: str, bad: str, says: str) -> None:
    assert good in OAUTH1 and says in refusal(load, OAUTH1.replace(good, bad))


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        ('"https://{host}/token"', '"http://{host}/token"', "token_request.url: write"),
        ('key = "{key}"', 'key = "{client_id}"', "is not known there"),
        ('type = "two_step"', 'type = "two_step"\nplace = { query = { k = "{key}" } }', "wants the access token"),
        ('type = "two_step"', 'type = "two_step"\nexpires_in_path = "ttl"', "as a JSON pointer"),
    ],
)
def test_a_broken_rule_of_two_steps_is_named(load: Callable[[str], App], good: str, bad: str, says: str) -> None:
    assert good in TWO_STEP and says in refusal(load, TWO_STEP.replace(good, bad))


def test_an_unverified_scheme_needs_no_sources_no_categories_and_no_hosts(load: Callable[[str], App]) -> None:
    text = OAUTH1[: OAUTH1.index("[auth.sources]")].replace('type = "oauth1"', 'type = "oauth1"\nreview = "unverified"')
    text = (
        text.replace("hosts = [", "oauth_hosts = [")
        .replace('"crm"', "")
        .replace("categories", "hosts = []\ncategories")
    )
    assert load(text).review == "unverified"


@pytest.mark.parametrize(
    ("good", "bad", "place"),
    [
        ("token_url = ", "token_uri = ", r"auth\[0\]"),
        ('type = "oauth2"', 'type = "oauth2"\npkce = "plain"', r"auth\[0\]\.pkce"),
        ('type = "oauth2"', 'type = "oauth2"\ntoken_auth = "private_key_jwt"', r"auth\[0\]\.token_auth"),
        ('method = "GET"', 'method = "PATCH"', r"auth\[0\]\.userinfo\.request\.method"),
    ],
)
def test_a_value_that_no_provider_could_mean_is_named_with_its_place(
    load: Callable[[str], App], good: str, bad: str, place: str
) -> None:
    assert re.search(place, refusal(load, GOOD.replace(good, bad, 1)))
