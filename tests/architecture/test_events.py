"""Every event is read by somebody, and every fold knows the events of the streams it reads."""

from __future__ import annotations

import ast
import inspect
import sys

import pytest

from domain.events import Event, event_classes, stream_type_of
from projections.catalogue import ALL_PROJECTIONS
from projections.projection import Projection
from tests.architecture.sources import import_everything

import_everything()
EVENTS = sorted(
    (kind for kind in event_classes().values() if kind.__module__.startswith("domain.")), key=lambda kind: kind.TOPIC
)

READ_BY_ITSELF = {"connect_link"}
"""Streams that live for minutes and are looked at by their own decisions alone."""


def handled(projection: Projection) -> set[str]:
    """The classes that the cases of the fold and its parts name."""
    modules = {sys.modules[part.__module__] for part in (projection.fold, *projection.parts)}
    return {
        node.cls.id
        for module in modules
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.MatchClass) and isinstance(node.cls, ast.Name)
    }


def test_there_are_events_to_look_at() -> None:
    assert len(EVENTS) >= 15


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.TOPIC)
def test_every_projection_that_reads_an_events_stream_knows_the_event(event: type[Event]) -> None:
    stream_type = stream_type_of(event.TOPIC)
    readers = [one for one in ALL_PROJECTIONS if stream_type in one.reads]
    assert bool(readers) != (stream_type in READ_BY_ITSELF), "no projection reads this stream"
    assert [one.name for one in readers if event.__name__ not in handled(one)] == []


def test_projections_read_streams_that_are_there() -> None:
    there = {stream_type_of(event.TOPIC) for event in EVENTS}
    assert {stream for one in ALL_PROJECTIONS for stream in one.reads} <= there


def test_projections_and_their_tables_have_names_of_their_own() -> None:
    names = [one.name for one in ALL_PROJECTIONS]
    tables = [table.name for one in ALL_PROJECTIONS for table in one.tables]
    assert len(set(names)) == len(names)
    assert len(set(tables)) == len(tables)
