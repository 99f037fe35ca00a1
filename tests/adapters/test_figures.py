"""Figures of a process and of a service: what is noted is told, once, whoever tells it and whatever the database does."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from adapters.metrics.process import ProcessFigures
from adapters.metrics.scrape import Scrape
from adapters.metrics.tallied_histogram import TalliedHistogram
from projections.lag import Behind, Marks

BOUNDS = (0.5, 1, 2, 10)


class Pool:
    """Ten connections at most, six of them made, two idle."""

    def get_size(self) -> int:
        return 6

    def get_idle_size(self) -> int:
        return 2

    def get_max_size(self) -> int:
        return 10


async def answers() -> Marks:
    return Marks(1.5, 2)


async def also_answers() -> Behind:
    return Behind(3, 7)


async def never_answers() -> Behind:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def breaks() -> Marks:
    raise ConnectionError("away")


def scrape(
    registry: CollectorRegistry,
    marks: Callable[[], Awaitable[Marks]] = answers,
    behind: Callable[[], Awaitable[Behind]] = also_answers,
) -> Scrape:
    return Scrape(registry, lambda: None, marks, behind, limit_seconds=0.05)


def figure(text: bytes, name: str) -> float | None:
    """What is told under this very name."""
    told = [line.split() for line in text.decode().splitlines()]
    found = [float(words[1]) for words in told if words[0] == name]
    assert len(found) <= 1
    return found[0] if found else None


def test_a_tallied_histogram_tells_what_a_plain_one_tells() -> None:
    mine, theirs = CollectorRegistry(), CollectorRegistry()
    tallied = TalliedHistogram("seconds", "Time", registry=mine, buckets=BOUNDS)
    plain = Histogram("seconds", "Time", registry=theirs, buckets=BOUNDS)
    draw = random.Random(7)
    for amount in [*BOUNDS, 0, 11, *(draw.expovariate(0.5) for _ in range(200))]:
        tallied.note(amount)
        plain.observe(amount)
        if draw.random() < 0.2:
            tallied.settle()
    tallied.settle()
    tallied.settle()
    for name in (
        "seconds_count",
        *(f'seconds_bucket{{le="{bound}"}}' for bound in ("0.5", "1.0", "2.0", "10.0", "+Inf")),
    ):
        assert figure(generate_latest(mine), name) == figure(generate_latest(theirs), name) is not None
    assert figure(generate_latest(mine), "seconds_sum") == pytest.approx(figure(generate_latest(theirs), "seconds_sum"))


def test_a_process_tells_its_batches_and_what_is_busy_and_waits() -> None:
    registry, waiting = CollectorRegistry(), [5]
    figures = ProcessFigures(registry, Pool(), lambda: waiting[0])
    figures.note_batch(3, 0.002)
    figures.note_batch(64, 0.003)
    figures.settle()
    told = generate_latest(registry)
    assert figure(told, "causeway_append_batch_size_count") == 2
    assert figure(told, "causeway_append_batch_size_sum") == 67
    assert figure(told, 'causeway_append_batch_size_bucket{le="4.0"}') == 1
    assert figure(told, "causeway_append_batch_seconds_sum") == pytest.approx(0.005)
    assert figure(told, "causeway_appends_waiting") == 5
    assert figure(told, "causeway_pool_connections_in_use") == 4
    assert figure(told, "causeway_pool_connections_limit") == 10
    waiting[0] = 0
    figures.settle()
    assert figure(generate_latest(registry), "causeway_appends_waiting") == 0


async def test_a_scrape_tells_how_far_the_read_models_are() -> None:
    told = await scrape(CollectorRegistry())()
    assert figure(told, "causeway_projector_oldest_mark_seconds") == 1.5
    assert figure(told, "causeway_projections_stopped") == 2
    assert figure(told, "causeway_projector_marked_tenants") == 3
    assert figure(told, "causeway_projector_lag_events") == 7
    assert figure(told, "causeway_database_figures_complete") == 1


async def test_what_the_database_does_not_answer_in_time_is_left_out_and_nothing_else() -> None:
    told = await scrape(CollectorRegistry(), behind=never_answers)()
    assert figure(told, "causeway_projections_stopped") == 2
    assert figure(told, "causeway_projector_lag_events") is None
    assert figure(told, "causeway_database_figures_complete") == 0


async def test_a_database_that_is_away_leaves_the_figures_of_the_processes() -> None:
    registry = CollectorRegistry()
    ProcessFigures(registry, Pool(), lambda: 0)
    told = await scrape(registry, marks=breaks)()
    assert figure(told, "causeway_processes") == 1
    assert figure(told, "causeway_projections_stopped") is None
    assert figure(told, "causeway_database_figures_complete") == 0


async def test_a_process_that_is_just_starting_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    begun = tmp_path / "counter_1.db"
    begun.touch()
    scraping = asyncio.create_task(scrape(CollectorRegistry())())
    await asyncio.sleep(0.01)
    assert not scraping.done()
    begun.write_bytes(bytes(1 << 16))
    assert figure(await scraping, "causeway_database_figures_complete") == 1
