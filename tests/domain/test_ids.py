"""Identifiers and tokens: ordered by time, impossible to guess, and saying whose they are."""

from __future__ import annotations

import hashlib
import time
from base64 import urlsafe_b64encode
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.ids import (
    ACCOUNT_SESSION,
    COMPANY_KEY,
    COMPANY_SESSION,
    PROJECT_TOKEN,
    Token,
    mint_token,
    new_id,
    parse_id,
    parse_token,
    token_digest,
)


def test_an_id_is_a_version_7_uuid_of_this_moment() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before <= made.int >> 80 <= after


def test_ids_never_repeat_and_their_random_bits_all_move() -> None:
    made = [new_id().int for _ in range(5000)]
    assert len(set(made)) == len(made)
    ones, zeros = 0, 0
    for one in made:
        ones |= one
        zeros |= ~one
    random_bits = (0xFFF << 64) | 0x3FFFFFFFFFFFFFFF
    assert ones & zeros & random_bits == random_bits


def test_ids_of_later_milliseconds_sort_later(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for milliseconds in (1, 2, 1_700_000_000_000, 1_700_000_000_001, (1 << 48) - 1):
        monkeypatch.setattr("domain.ids.time.time_ns", lambda at=milliseconds: at * 1_000_000)
        made.append(new_id())
    assert made == sorted(made)
    assert [str(one) for one in made] == sorted(str(one) for one in made)


def test_an_id_in_its_canonical_form_is_read_whatever_its_case() -> None:
    made = new_id()
    assert parse_id(str(made)) == made
    assert parse_id(str(made).upper()) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "0" * 36,
        "0" * 32,
        "{01a2054a-6832-76d3-a839-1a3508e24701}",
        "urn:uuid:01a2054a-6832-76d3-a839-1a3508e2",
        "01a2054a683276d3-a839-1a3508e24701----",
        "01a2054a-6832-76d3-a839-1a3508e2470\0",
        "01a2054a-6832-76d3-a839-1a3508e2470٣",
    ],
)
def test_other_forms_of_an_id_are_none(text: str) -> None:
    assert parse_id(text) is None


@given(st.text(max_size=40))
@settings(max_examples=200, database=None, deadline=None)
def test_no_text_breaks_the_parsers(text: str) -> None:
    assert parse_id(text) is None
    assert parse_token(text) is None
    assert parse_token(f"{PROJECT_TOKEN}_{text}") is None


@pytest.mark.parametrize("kind", [PROJECT_TOKEN, ACCOUNT_SESSION, COMPANY_SESSION, COMPANY_KEY])
def test_a_token_says_its_kind_and_its_tenant_and_is_found_by_its_digest(kind: str) -> None:
    tenant = new_id()
    text, kept = mint_token(kind, tenant)
    assert kept == Token(kind, tenant, hashlib.sha256(text.encode()).digest()) == parse_token(text)
    assert len(text) == len(kind) + 1 + 64
    assert text not in repr(kept)


def test_tokens_of_one_tenant_are_never_the_same() -> None:
    tenant = new_id()
    assert len({mint_token(PROJECT_TOKEN, tenant)[0] for _ in range(1000)}) == 1000


def test_a_changed_token_has_another_digest() -> None:
    text, kept = mint_token(PROJECT_TOKEN, new_id())
    changed = text[:-1] + ("A" if text[-1] != "A" else "B")
    assert token_digest(changed) != kept.digest


def body(length: int) -> str:
    return urlsafe_b64encode(bytes(length)).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"cwz_{body(48)}",
        f"cwp-{body(48)}",
        f"cwp_{body(47)}",
        f"cwp_{body(51)}",
        f"cwp_{body(45)}====",
        "cwp_" + "*" * 64,
        "cwp_" + "é" * 64,
        f"CWP_{body(48)}",
        f" cwp_{body(48)}",
        f"cwp_{body(48)}\n",
    ],
)
def test_what_is_no_token_of_ours_is_none(text: str) -> None:
    assert parse_token(text) is None


def test_a_tokens_tenant_is_read_from_the_token_itself() -> None:
    parsed = parse_token("cwp_" + urlsafe_b64encode(UUID(int=7).bytes + bytes(32)).decode())
    assert parsed is not None
    assert parsed.tenant_id == UUID(int=7)
