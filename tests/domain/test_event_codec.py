"""Events as bytes: letters already posted stay readable, whatever becomes of the code."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from eventsourcing.utils import resolve_topic

from domain.errors import Invalid
from domain.event_codec import (
    UnknownEvent,
    Unwritable,
    decode_event,
    decode_metadata,
    encode_event,
    encode_metadata,
    upcasts,
)
from domain.events import Event, Metadata, Sealed, event_classes
from domain.ids import new_id
from tests.architecture.sources import import_everything
from tests.sample_events import Counted

import_everything()
OURS = {topic: kind for topic, kind in event_classes().items() if kind.__module__.startswith("domain.")}


class Golden(msgspec.Struct, frozen=True):
    """What the store holds, and what it means: the members of the event that it is read as."""

    topic: str
    state: str
    reads_as: str
    members: dict[str, Any]


GOLDEN = msgspec.json.decode((Path(__file__).parent / "golden_events.json").read_bytes(), type=list[Golden])


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.topic)
def test_stored_bytes_are_read_as_the_same_event_for_ever(golden: Golden) -> None:
    event = decode_event(golden.topic, golden.state.encode())
    members = msgspec.json.decode(msgspec.json.encode({name: getattr(event, name) for name in golden.members}))
    assert event_classes()[golden.reads_as] is type(event)
    assert members == golden.members


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.topic)
def test_events_are_still_written_as_these_bytes(golden: Golden) -> None:
    if golden.topic == golden.reads_as:
        assert encode_event(decode_event(golden.topic, golden.state.encode())) == golden.state.encode()


@pytest.mark.parametrize("topic", sorted(OURS))
def test_every_event_has_its_golden_bytes(topic: str) -> None:
    """A new event, or a new version of one: add what the store holds of it to golden_events.json, and never change a line."""
    mine = [golden for golden in GOLDEN if golden.topic == topic]
    assert mine, "golden_events.json knows nothing of this event"
    named = set().union(*(msgspec.json.decode(golden.state) for golden in mine))
    assert named == set(OURS[topic].__struct_fields__), "no golden bytes have all members"


def test_defaults_take_no_bytes_and_come_back() -> None:
    assert encode_event(Counted(number=1)) == b'{"number":1}'
    assert decode_event("sample.counted", b'{"number":1}') == Counted(number=1, note="")


def test_members_that_a_newer_program_added_are_passed_over() -> None:
    assert decode_event("sample.counted", b'{"number":1,"colour":"blue"}') == Counted(number=1)


def test_an_old_version_is_brought_up_to_date_step_by_step() -> None:
    class Measured(Event, frozen=True):
        TOPIC = "sample.measured#3"
        celsius: float
        place: str

    @upcasts("sample.measured", "sample.measured#2")
    def in_degrees(members: dict[str, Any]) -> dict[str, Any]:
        return {"celsius": (members["fahrenheit"] - 32) / 1.8}

    @upcasts("sample.measured#2", "sample.measured#3")
    def with_a_place(members: dict[str, Any]) -> dict[str, Any]:
        return members | {"place": "unknown"}

    assert decode_event("sample.measured", b'{"fahrenheit":212}') == Measured(celsius=100.0, place="unknown")
    assert decode_event("sample.measured#2", b'{"celsius":4.0}') == Measured(celsius=4.0, place="unknown")
    assert decode_event("sample.measured#3", b'{"celsius":4.0,"place":"here"}') == Measured(celsius=4.0, place="here")


def test_an_upcaster_that_leads_nowhere_names_the_topic_that_is_missing() -> None:
    @upcasts("sample.left", "sample.left#2")
    def moved(members: dict[str, Any]) -> dict[str, Any]:
        return members

    with pytest.raises(UnknownEvent, match=r"'sample\.left#2'"):
        decode_event("sample.left", b"{}")


def test_a_topic_is_upcast_in_one_way_only() -> None:
    @upcasts("sample.forked", "sample.counted")
    def one_way(members: dict[str, Any]) -> dict[str, Any]:
        return members

    with pytest.raises(TypeError, match=r"sample\.forked is upcast already"):
        upcasts("sample.forked", "sample.counted")(one_way)


def test_an_unknown_topic_is_reported_with_its_name() -> None:
    with pytest.raises(UnknownEvent, match="newer version") as unknown:
        decode_event("sample.never_seen", b"{}")
    assert unknown.value.topic == "sample.never_seen"


def test_broken_bytes_are_an_error() -> None:
    for broken in (b"", b"{", b'{"number":"one"}', b"{}", b"[1]", b'{"number":1}{}'):
        with pytest.raises(msgspec.MsgspecError):
            decode_event("sample.counted", broken)


@pytest.mark.parametrize("note", ["\ud800", "a\udfffb", "\udc00\ud800"])
def test_a_lone_surrogate_is_refused_before_anything_is_stored(note: str) -> None:
    with pytest.raises(Unwritable) as refused:
        encode_event(Counted(number=1, note=note))
    assert isinstance(refused.value, Invalid)
    assert note not in str(refused.value)


@pytest.mark.parametrize("note", ["\0", "é", "漢", "🙂", "\u2028", "\ufffe", '"\\/'])
def test_every_other_text_comes_back_as_it_went(note: str) -> None:
    assert decode_event("sample.counted", encode_event(Counted(number=1, note=note))) == Counted(number=1, note=note)


def test_metadata_comes_back_as_it_went() -> None:
    whole = Metadata("account:7", new_id(), new_id(), new_id(), "request-1")
    for metadata in (whole, Metadata("system:clean-up", new_id())):
        assert decode_metadata(encode_metadata(metadata)) == metadata
    old = b'{"actor":"account:7","command_id":"01a2054a-6832-76d3-a839-1a3508e24701"}'
    assert decode_metadata(old).actor == "account:7"
    assert decode_metadata(old).correlation_id is None


def test_moments_and_bytes_are_kept_exactly() -> None:
    class Kept(Event, frozen=True):
        TOPIC = "sample.kept"
        at: datetime
        raw: bytes
        sealed: Sealed

    event = Kept(at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), raw=bytes(range(256)), sealed=Sealed(new_id(), b"box"))
    assert decode_event("sample.kept", encode_event(event)) == event


def test_the_library_resolves_our_topics_to_our_classes() -> None:
    assert {topic: resolve_topic(topic) for topic in OURS} == OURS
