"""Each rule of the catalogue finds what it is for, and says what to write instead."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.connectors import (
    catalogue_check,
    catalogue_check_oauth,
    catalogue_check_requests,
    catalogue_check_tokens,
)
from adapters.connectors.loader import BrokenManifest, load_catalogue
from domain.apps.app import App

GOOD = """
key = "acme"
name = "Acme"
desc = "Everything that Acme has."
categories = ["crm"]
hosts = ["api.acme.example", "{host}"]
docs = ["https://docs.acme.example"]

[[auth]]
type = "custom"
token_field = "token"

[[auth.fields]]
name = "region"
label = "Region"
desc = "The region that you chose at first."
type = "select"
options = [{ value = "eu", label = "EU" }, { value = "own", label = "Own" }]

[[auth.fields]]
name = "host"
label = "Host"
desc = "The name of your own server."
show_when = { key = "region", value = "own" }
pattern = "[a-z.]+"

[[auth.fields]]
name = "token"
label = "Token"
desc = "Under Settings, Tokens, in the menu."
type = "password"
secret = true

[[auth.derived]]
name = "apiHost"
by = "region"
values = { eu = "api.acme.example", own = "{host}" }

[auth.test]
method = "GET"
url = "https://{apiHost}/me"
headers = { Authorization = "Bearer {token}" }
expect_status = [200]
refuse_when = { pointer = "/ok", value = false }
"""

SECOND_SCHEME = """
[[auth]]
type = "custom"
token_field = "t"
fields = [{ name = "t", label = "T", desc = "The token of the other kind.", type = "password", secret = true }]
test = { method = "GET", url = "https://api.acme.example/me", query = { t = "{t}" } }
"""

BREAKAGES = [
    ('key = "acme"', 'key = "ac.me"', "small letters"),
    ('key = "acme"', 'key = "status"', "published paths"),
    ('key = "acme"', 'key = "other"', 'write the name of the folder, "acme"'),
    ('name = "Acme"', 'name = " "', "product's name"),
    ("that Acme has.", "that Acme has", "full stop"),
    ('["crm"]', "[]", "categories: write at least one"),
    ('["crm"]', '["CRM tools"]', "small letters with hyphens"),
    ('docs = ["https://docs.acme.example"]', "docs = []", "docs: write the addresses"),
    ("https://docs", "http://docs", "full https address"),
    ('["api.acme.example", "{host}"]', "[]", "hosts: write every host"),
    ('"{host}"]', '"{host}.example"]', "two fixed labels"),
    ('"{host}"]', '"https://x.example"]', "bare host"),
    ('"{host}"]', '"*.acme.example"]', "bare host"),
    ('"{host}"]', '"{hots}"]', "{hots} is no field"),
    (GOOD[-1:], SECOND_SCHEME, "two tables have the same type"),
    ('name = "region"', 'name = "re gion"', "a letter first"),
    ('name = "host"', 'name = "token"', "is there twice"),
    ('label = "Host"', 'label = ""', "write a label"),
    ("The name of your own server.", "The host.", "where to find the value"),
    ('[{ value = "eu", label = "EU" }, { value = "own", label = "Own" }]', "[]", "at least two options"),
    ('type = "select"\n', "", "only a select has options"),
    ('value = "own", label', 'value = "eu", label', "the same value"),
    ('key = "region", value', 'key = "token", value', "a field above it"),
    ('value = "own" }\npattern', 'value = "us" }\npattern', "one of the options"),
    ('"[a-z.]+"', '"[a-z.+"', "not a regular expression"),
    ('type = "password"\nsecret = true', "secret = true", 'type = "password"'),
    ('type = "password"\nsecret = true', 'type = "password"', "secret = true"),
    ('token_field = "token"', 'token_field = "tokne"', "name of one of the fields"),
    ('token_field = "token"', 'token_field = "host"', "the field that is the secret"),
    ('name = "apiHost"', 'name = "host"', "a field has this name"),
    ('by = "region"', 'by = "token"', "must name a select"),
    ('values = { eu = "api.acme.example", own', "values = { own", "one value for each option"),
    ("Bearer {token}", "Bearer {tokn}", "{tokn} is neither"),
    ("Bearer {token}", "Bearer {token", "brace stands alone"),
    ('own = "{host}" }', 'own = "{hots}" }', "{hots} is no field"),
    ("Bearer {token}", "Bearer {token}{host}", "may be left out"),
    ("Bearer {token}", "Bearer", "put the secret where"),
    ('own = "{host}" }', 'own = "evil.example" }', "not in hosts"),
    ("https://{apiHost}/me", "https://api.other.example/me", "not in hosts"),
    ("https://{apiHost}/me", "http://api.acme.example/me", "begins with https://"),
    ("https://{apiHost}/me", "https://api.acme.example/me?a=b", "test.query"),
    ('method = "GET"', 'method = "POST"\nform = { a = "b" }\njson = { a = "b" }', "form or json, not both"),
    ('method = "GET"', 'method = "GET"\nform = { a = "b" }', 'method = "POST"'),
    ('method = "GET"', 'method = "GET"\nbasic = ["a", "b"]', "leave it out of headers"),
    (
        'token_field = "token"',
        'token_field = "token"\nplace = { basic = ["{token}", ""] }',
        "leave it out of headers, and of either place or test",
    ),
    ('token_field = "token"', 'token_field = "token"\nplace = { query = { k = "{tokn}" } }', "{tokn} is neither"),
    ('"{host}"]', '"{host}", "{host}"]', "is there twice; write it once"),
    ('"{host}"]', '"{host}"]\noauth_hosts = ["x.acme.example"]', "no scheme fetches a token"),
    ("[200]", "[]", "at least one status"),
    ("[200]", '["2xx"]', "as a range"),
    ('"/ok"', '"ok"', "JSON pointer"),
]


def test_the_good_manifest_has_no_complaints(load: Callable[[str], App]) -> None:
    load(GOOD)


@pytest.mark.parametrize(("good", "bad", "says"), BREAKAGES, ids=[says for _, _, says in BREAKAGES])
def test_a_broken_rule_is_named_with_its_file(load: Callable[[str], App], good: str, bad: str, says: str) -> None:
    assert good in GOOD
    with pytest.raises(BrokenManifest, match=re.escape(says)) as caught:
        load(GOOD.replace(good, bad) if good != "\n" else GOOD + bad)
    assert "acme/app.toml: " in str(caught.value)


def test_a_manifest_without_a_test_request_is_broken(load: Callable[[str], App]) -> None:
    with pytest.raises(BrokenManifest, match="request that only a working credential passes"):
        load(GOOD[: GOOD.index("[auth.test]")])


def test_a_manifest_without_a_way_to_connect_is_broken(load: Callable[[str], App]) -> None:
    with pytest.raises(BrokenManifest, match=r"at least one \[\[auth\]\] table"):
        load("auth = []\n" + GOOD[: GOOD.index("[[auth]]")])


def test_a_derived_value_that_may_be_missing_is_broken(load: Callable[[str], App]) -> None:
    with pytest.raises(BrokenManifest, match='may be missing for the option "eu"'):
        load(GOOD.replace('eu = "api.acme.example"', 'eu = "{host}"'))


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        ('label = "Token"', 'lable = "Token"', r"auth\[0\]\.fields\[2\]"),
        ('label = "Token"', "", "label"),
        ('type = "custom"', 'type = "oauth9"', r"auth\[0\]\.type"),
        ("secret = true", 'secret = "yes"', r"fields\[2\]\.secret"),
        ('desc = "Everything that Acme has."', "desc = ", "is not TOML"),
    ],
)
def test_a_manifest_of_the_wrong_shape_is_named_with_its_place(
    load: Callable[[str], App], good: str, bad: str, says: str
) -> None:
    with pytest.raises(BrokenManifest, match=says) as caught:
        load(GOOD.replace(good, bad))
    assert str(caught.value).startswith("acme/app.toml: ")


def test_a_folder_without_a_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    with pytest.raises(BrokenManifest, match=r"acme/app\.toml: cannot be read"):
        load_catalogue(tmp_path)


def test_a_catalogue_holds_the_apps_of_its_folders_by_key(tmp_path: Path) -> None:
    for key in ("bcme", "acme"):
        (tmp_path / key).mkdir()
        (tmp_path / key / "app.toml").write_text(GOOD.replace('key = "acme"', f'key = "{key}"'), encoding="utf-8")
    (tmp_path / "__pycache__").mkdir()
    assert list(load_catalogue(tmp_path)) == ["acme", "bcme"]


def test_every_rule_that_is_written_is_also_asked() -> None:
    written = {
        function
        for module in (catalogue_check, catalogue_check_requests, catalogue_check_oauth, catalogue_check_tokens)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if not name.startswith("_") and list(inspect.signature(function).parameters) == ["app"]
    }
    assert written - {catalogue_check.complaints_about} == set(catalogue_check.RULES)
