"""Whatever a provider answers: it is a token, a refusal or trouble, and nothing of it is repeated."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.oauth.answers import Answer, document_of
from adapters.oauth.errand import Errand, Purpose
from adapters.oauth.lifetimes import retry_after
from adapters.oauth.tokens import obtained
from domain.connections.oauth import ProviderRefused, ProviderTrouble
from tests.adapters.oauth_targets import NOW, oauth2, target

SCHEME = oauth2(
    ok_pointer="/ok",
    error_path="/error/code",
    permanent_errors=("gone",),
    from_token={"at": "/at", "team": "/team/id"},
    default_expires_in=60,
)
NAMES = [
    "access_token",
    "refresh_token",
    "expires_in",
    "scope",
    "token_type",
    "error",
    "code",
    "ok",
    "at",
    "team",
    "id",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["gone", "invalid_grant"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.sampled_from(NAMES), VALUES).map(lambda document: json.dumps(document).encode())


def errand(purpose: Purpose) -> Errand:
    return cast(Errand, SimpleNamespace(target=target(SCHEME), purpose=purpose, clock=lambda: NOW))


@given(
    body=st.binary() | DOCUMENTS,
    status=st.integers(200, 599),
    wait=st.text(),
    purpose=st.sampled_from(Purpose),
)
@example(b'{"access_token":"t","at":"https://[","expires_in":1e308}', 200, "", Purpose.RENEWING)
@example(b'{"access_token":"t","at":"https://a:b:c/"}', 200, "", Purpose.RENEWING)
@example(b'{"access_token":"t","team":{"id":' + b"9" * 5000 + b"}}", 200, "", Purpose.RENEWING)
@example(b'{"error":{"code":' + b"9" * 5000 + b"}}", 400, "", Purpose.LINKING)
@example(b"", 429, "Mon, 1 Jan 0001 00:00:00 +2359", Purpose.RENEWING)
@example(b"", 429, "Fri, 31 Dec 9999 23:59:59 -2359", Purpose.RENEWING)
def test_every_answer_is_one_of_three_things(body: bytes, status: int, wait: str, purpose: Purpose) -> None:
    answer = Answer(status, {"retry-after": wait}, document_of(body), NOW)
    try:
        found: Any = obtained(errand(purpose), SCHEME, answer)
    except ProviderRefused as refused:
        found = refused
        assert refused.code in ({"invalid_grant", "gone"} | ({"refused"} if purpose is Purpose.LINKING else set()))
    except ProviderTrouble as trouble:
        found = trouble
        assert trouble.retry_after is None or 0 <= trouble.retry_after <= 86_400
    else:
        assert 200 <= status < 300 and found.access_token and found.expires_at > NOW
        json.dumps([found.access_token, found.refresh_token, found.scopes, found.names]).encode()
    assert "Vendor" in str(found) or hasattr(found, "access_token")


@given(st.text())
def test_a_wait_that_cannot_be_read_is_none(said: str) -> None:
    seconds = retry_after({"retry-after": said}, NOW)
    assert seconds is None or 0 <= seconds <= 86_400


@pytest.mark.parametrize("body", [b"a=b", b"a=b&c=", b"access_token=x%20y"])
def test_a_form_is_a_document(body: bytes) -> None:
    assert document_of(body)


@pytest.mark.parametrize("body", [b"", b"a", b"=", b"a=b c", b"<a=b>", b"a=b&", b'"a=b"', b"[]", b"1", b"null"])
def test_what_is_neither_json_nor_a_form_is_none(body: bytes) -> None:
    assert document_of(body) is None
