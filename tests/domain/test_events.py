"""Event classes: each has a topic of its own, for good."""

from __future__ import annotations

import re

import pytest

from domain.events import FORGOTTEN, Event, Sealed, event_classes, stream_type_of
from domain.ids import new_id
from tests.architecture.sources import import_everything

import_everything()
OURS = [kind for kind in event_classes().values() if kind.__module__.startswith("domain.")]


def test_an_event_without_a_topic_is_refused() -> None:
    with pytest.raises(TypeError, match="Nameless needs a TOPIC"):

        class Nameless(Event, frozen=True):
            number: int


def test_a_topic_that_is_taken_is_refused_and_stays_where_it_was() -> None:
    class First(Event, frozen=True):
        TOPIC = "sample.taken"

    with pytest.raises(TypeError, match=r"the topic sample\.taken of Second is First's already"):

        class Second(Event, frozen=True):
            TOPIC = "sample.taken"

    assert event_classes()["sample.taken"] is First


def test_an_heir_needs_a_topic_of_its_own() -> None:
    class Parent(Event, frozen=True):
        TOPIC = "sample.parent"

    with pytest.raises(TypeError, match="Parent's already"):

        class Child(Parent, frozen=True):
            pass


def test_a_moved_or_renamed_class_keeps_its_topic() -> None:
    class Renamed(Event, frozen=True):
        TOPIC = "sample.named_long_ago"

    Renamed.__module__, Renamed.__qualname__ = "somewhere.else", "EntirelyNew"
    assert event_classes()["sample.named_long_ago"] is Renamed


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.TOPIC)
def test_topics_read_stream_type_dot_fact(kind: type[Event]) -> None:
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+(#([2-9]|[1-9]\d+))?", kind.TOPIC)


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.TOPIC)
def test_events_are_frozen_and_carry_no_tag_and_no_defaults(kind: type[Event]) -> None:
    assert kind.__struct_config__.frozen
    assert kind.__struct_config__.omit_defaults
    assert kind.__struct_config__.tag is None


def test_the_stream_type_is_what_stands_before_the_dot() -> None:
    assert stream_type_of("connection.token_imported#2") == "connection"
    assert stream_type_of("odd") == "odd"


def test_an_event_knows_which_of_its_members_are_sealed() -> None:
    class Told(Event, frozen=True):
        TOPIC = "sample.told"
        secret: Sealed
        perhaps: Sealed | None = None
        plain: str = ""

    assert Told.SEALED == ("secret", "perhaps")
    assert Told(secret=Sealed(new_id(), b"box")).perhaps is None


def test_what_is_forgotten_says_so_and_counts_as_nothing() -> None:
    assert (repr(FORGOTTEN), bool(FORGOTTEN)) == ("Forgotten", False)
