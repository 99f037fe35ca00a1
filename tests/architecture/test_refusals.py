"""Every refusal has a family, a status and a name of its own, and every dialect can say it."""

from __future__ import annotations

from collections import Counter

import pytest

from adapters.http.dialects import DIALECTS, Dialect
from adapters.http.problems import STATUSES, status_of
from domain.errors import Refusal
from tests.api.every_route import complaint
from tests.architecture.sources import import_everything, subclasses

import_everything()
FAMILIES = set(STATUSES)
LEAVES = sorted(
    (kind for kind in subclasses(Refusal) if kind not in FAMILIES and kind.__module__.split(".")[0] != "tests"),
    key=lambda kind: kind.__name__,
)


def test_there_are_refusals_to_look_at() -> None:
    assert len(LEAVES) >= 15


def test_the_families_are_those_of_the_domain() -> None:
    assert {
        family for family in subclasses(Refusal) if family.__module__ == "domain.errors" and not family.code
    } == FAMILIES


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda kind: kind.__name__)
def test_a_refusal_belongs_to_one_family_and_has_its_status(leaf: type[Refusal]) -> None:
    families = [family for family in leaf.__mro__ if family in FAMILIES]
    assert len(families) == 1
    assert 400 <= status_of(leaf()) < 600


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda kind: kind.__name__)
def test_a_refusal_says_in_one_sentence_what_is_wrong(leaf: type[Refusal]) -> None:
    assert leaf.code
    assert leaf.__doc__
    message = leaf().message
    assert message.endswith(".")
    assert "\n" not in message


def test_no_two_refusals_share_a_code() -> None:
    codes = Counter(leaf.code for leaf in LEAVES)
    assert [code for code, times in codes.items() if times > 1] == []


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_dialect_renders_it_in_its_own_shape(dialect: Dialect, leaf: type[Refusal]) -> None:
    answer = dialect.render(leaf("What went wrong."))
    body = answer.body
    assert isinstance(body, bytes) or hasattr(body, "decode")
    text = answer.text or ""
    assert "What went wrong." in text
    if answer.status < 500:
        assert complaint(dialect, answer.status, answer.content_type, text.encode()) == ""


def test_every_dialect_words_a_fault_without_saying_more_than_its_id() -> None:
    for dialect in DIALECTS:
        answer = dialect.render_fault("fault-id")
        assert answer.status == 500
        assert "fault-id" in (answer.text or "")
