"""What a person may fill in, and how a refusal speaks of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.apps.app import App, AuthScheme, CustomScheme, Field, Option, ShowWhen
from domain.apps.connection_fields import LONGEST_VALUE, InvalidFields, check_fields, credential_info
from domain.errors import Invalid

KEY = Field("apiKey", "API key", "Where the key is.", type="password", secret=True)
REGION = Field("region", "Region", "Where it runs.", type="select", options=(Option("us", "US"), Option("own", "Own")))
HOST = Field("host", "Host", "Your own host.", show_when=ShowWhen("region", "own"), pattern="[a-z.]+")
NOTE = Field("note", "Note", "Anything you like.", type="textarea", optional=True)
SCHEME = CustomScheme(fields=(REGION, HOST, KEY, NOTE), token_field="apiKey")


def scheme_of(*fields: Field) -> AuthScheme:
    return CustomScheme(fields=fields, token_field=fields[0].name)


def one(kind: Any, value: object, **more: Any) -> str:
    return check_fields(scheme_of(Field("x", "X", "An X.", type=kind, **more)), {"x": value})["x"]


def refusal(scheme: AuthScheme, given_fields: dict[str, object]) -> str:
    with pytest.raises(InvalidFields) as caught:
        check_fields(scheme, given_fields)
    return caught.value.message


def test_complete_fields_come_back_trimmed_and_in_the_order_of_the_form() -> None:
    kept = check_fields(SCHEME, {"apiKey": " k-1\n", "host": "a.example", "region": "own"})
    assert list(kept.items()) == [("region", "own"), ("host", "a.example"), ("apiKey", "k-1")]


@pytest.mark.parametrize("blank", [None, "", "  ", "\n"])
def test_a_blank_required_field_is_missing(blank: str | None) -> None:
    assert '"apiKey"' in refusal(SCHEME, {"region": "us", "apiKey": blank})


def test_a_required_field_that_is_not_there_is_named() -> None:
    message = refusal(SCHEME, {"region": "us"})
    assert '"apiKey"' in message and "missing" in message


def test_an_optional_field_may_be_left_out() -> None:
    assert "note" not in check_fields(SCHEME, {"region": "us", "apiKey": "k", "note": None})


def test_a_field_hidden_by_another_answer_is_not_required() -> None:
    assert check_fields(SCHEME, {"region": "us", "apiKey": "k"}) == {"region": "us", "apiKey": "k"}


def test_a_value_for_a_hidden_field_is_dropped_unseen() -> None:
    assert "host" not in check_fields(SCHEME, {"region": "us", "apiKey": "k", "host": 7})


def test_a_field_shown_by_another_answer_is_required() -> None:
    assert '"host"' in refusal(SCHEME, {"region": "own", "apiKey": "k"})


def test_what_a_hidden_field_would_show_is_hidden_too() -> None:
    first = Field("a", "A", "An A.", optional=True)
    second = Field("b", "B", "A B.", show_when=ShowWhen("a", "1"))
    third = Field("c", "C", "A C.", show_when=ShowWhen("b", "2"))
    assert check_fields(scheme_of(first, second, third), {"b": "2", "c": "3"}) == {}


@pytest.mark.parametrize(("wanted", "answer"), [(True, "true"), (False, "false"), (5, "5"), (5.0, "5"), (0.5, "0.5")])
def test_show_when_compares_numbers_and_truths_as_texts(wanted: Any, answer: str) -> None:
    first = Field("a", "A", "An A.")
    second = Field("b", "B", "A B.", show_when=ShowWhen("a", wanted))
    assert '"b"' in refusal(scheme_of(first, second), {"a": answer})


def test_a_field_on_no_form_is_never_required_but_kept_when_given() -> None:
    quiet = Field("q", "Q", "A Q.", show=False)
    assert check_fields(scheme_of(quiet), {}) == {}
    assert check_fields(scheme_of(quiet), {"q": "v"}) == {"q": "v"}


def test_an_unknown_field_is_refused_and_the_known_ones_are_listed() -> None:
    message = refusal(SCHEME, {"region": "us", "apiKey": "k", "api_key": "s3cret"})
    assert '"api_key"' in message and '"apiKey"' in message and "s3cret" not in message


@pytest.mark.parametrize("name", ["a b", "\ud800", "x" * 65, "<script>"])
def test_an_unusable_field_name_is_not_repeated(name: str) -> None:
    assert name not in refusal(SCHEME, {name: "v"})


def test_a_select_takes_only_its_options() -> None:
    message = refusal(SCHEME, {"region": "mars", "apiKey": "k"})
    assert '"region"' in message and '"us"' in message and "mars" not in message


@pytest.mark.parametrize("value", [True, 1, 1.5, [], {}, ["k"], b"k", object()])
def test_only_texts_are_texts(value: object) -> None:
    assert "takes a text" in refusal(scheme_of(KEY), {"apiKey": value})


@pytest.mark.parametrize(
    ("value", "kept"), [(5, "5"), (-3, "-3"), (2.0, "2"), (2.5, "2.5"), ("42", "42"), (2**64 - 1, str(2**64 - 1))]
)
def test_a_number_field_takes_numbers(value: object, kept: str) -> None:
    assert one("number", value) == kept


@pytest.mark.parametrize("value", [True, "twelve", "1,5", "nan", "inf", "1e400", float("nan"), float("inf")])
def test_a_number_field_takes_nothing_else(value: object) -> None:
    with pytest.raises(InvalidFields):
        one("number", value)


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(InvalidFields):
        one("number", 10**5000)


@pytest.mark.parametrize("value", ["a\x00b", "a\ud800b", "a\nb", "a\x1fb", "x" * (LONGEST_VALUE + 1)], ids=range(5))
def test_characters_that_no_credential_has_are_refused(value: str) -> None:
    message = refusal(scheme_of(KEY), {"apiKey": value})
    assert '"apiKey"' in message and value not in message
    message.encode()


def test_the_longest_value_passes() -> None:
    assert len(one("text", "x" * LONGEST_VALUE)) == LONGEST_VALUE


def test_a_text_area_keeps_its_lines_but_no_nul() -> None:
    assert one("textarea", "-----BEGIN\nabc\n") == "-----BEGIN\nabc\n"
    with pytest.raises(InvalidFields):
        one("textarea", "a\x00")


def test_a_pattern_holds_for_the_whole_value() -> None:
    assert one("text", "AC12", pattern="AC[0-9]+") == "AC12"
    with pytest.raises(InvalidFields):
        one("text", "xAC12", pattern="AC[0-9]+")


@pytest.mark.parametrize("address", ["a@b.example", "first.last+tag@sub.example.com", "jürgen@example.com"])
def test_an_e_mail_address_passes(address: str) -> None:
    assert one("email", address) == address


@pytest.mark.parametrize("address", ["a", "a@", "@b.c", "a b@c.d", "a@b@c.d", "a@b..c", "<a@b.c>"])
def test_what_is_no_e_mail_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidFields):
        one("email", address)


@pytest.mark.parametrize("address", ["https://example.com", "http://example.com:8080/a?b=c", "https://[2001:db8::1]/"])
def test_a_web_address_passes(address: str) -> None:
    assert one("url", address) == address


@pytest.mark.parametrize(
    "address",
    [
        "example.com",
        "ftp://example.com",
        "https://",
        "https://u:p@example.com",
        "https://[",
        "https://a:99999",
        "javascript:1",
    ],
)
def test_what_is_no_web_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidFields):
        one("url", address)


def test_the_refusal_is_of_the_family_invalid() -> None:
    assert issubclass(InvalidFields, Invalid) and InvalidFields.code == "invalid_connection_fields"


@given(st.dictionaries(st.sampled_from(["apiKey", "region", "host", "note"]), st.text(max_size=30)))
def test_whatever_is_typed_is_kept_or_refused_without_being_repeated(typed: dict[str, str]) -> None:
    try:
        kept = check_fields(SCHEME, typed)
    except InvalidFields as refused:
        for value in typed.values():
            assert len(value.strip()) < 8 or value.strip() not in refused.message
    else:
        assert kept["apiKey"] == typed["apiKey"].strip()
        assert check_fields(SCHEME, kept) == kept


def test_credential_info_has_the_published_shape() -> None:
    app = App("own", "Own", "An app.", ("x",), ("api.example.com",), (SCHEME,), ("https://example.com",))
    assert credential_info(app, SCHEME) == {
        "appName": "Own",
        "desc": "An app.",
        "fields": [
            {
                "name": "region",
                "type": "select",
                "desc": "Where it runs.",
                "label": "Region",
                "isOptional": False,
                "options": [{"value": "us", "label": "US"}, {"value": "own", "label": "Own"}],
            },
            {
                "name": "host",
                "type": "text",
                "desc": "Your own host.",
                "label": "Host",
                "isOptional": False,
                "showWhen": {"key": "region", "value": "own"},
            },
            {
                "name": "apiKey",
                "type": "password",
                "desc": "Where the key is.",
                "label": "API key",
                "isOptional": False,
            },
            {"name": "note", "type": "textarea", "desc": "Anything you like.", "label": "Note", "isOptional": True},
        ],
    }


def test_credential_info_tells_what_a_form_shows_at_first() -> None:
    quiet = scheme_of(Field("q", "Q", "A Q.", show=False))
    app = App("own", "Own", "An app.", (), (), (quiet,), ())
    assert credential_info(app, quiet)["fields"][0]["show"] is False
