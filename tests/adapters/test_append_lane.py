"""Which appends may share a call of the database, and which must wait for the next."""

from __future__ import annotations

import asyncio
from collections import deque
from uuid import UUID

from adapters.postgres.append_batch import Encoded, choose, encode
from domain.batching import Waiting
from domain.facts import Fact
from domain.ids import new_id
from domain.ports import (
    Append,
    Appended,
    CommandAnswer,
    FactChange,
    FactUse,
    SealedCredential,
    StreamEvents,
    TenantKind,
    WrappedKey,
)
from tests.sample_events import Counted, append, on

TENANT, STREAM, FACT = new_id(), new_id(), Fact("colour", "blue")


def chosen(*appends: Append, limit: int = 512) -> tuple[list[int], list[int]]:
    """Which of these go together first, and which stay queued, by their place."""
    queue: deque[Waiting[Encoded, Appended]] = deque()
    for one in appends:
        queue.append((encode(one), asyncio.get_running_loop().create_future()))
    places = {id(waiting): place for place, waiting in enumerate(queue)}
    batch = choose(queue, limit)
    return [places[id(waiting)] for waiting in batch], [places[id(waiting)] for waiting in queue]


async def test_appends_that_touch_nothing_in_common_go_together() -> None:
    assert chosen(*(append(TENANT, on(new_id(), 0, 1)) for _ in range(3))) == ([0, 1, 2], [])


async def test_a_batch_ends_at_its_limit_and_at_its_size() -> None:
    small = [append(TENANT, on(new_id(), 0, 1)) for _ in range(5)]
    assert chosen(*small, limit=3) == ([0, 1, 2], [3, 4])
    long = Counted(number=0, note="x" * 3_000_000)
    large = [append(TENANT, StreamEvents(new_id(), "sample", 0, (long,))) for _ in range(5)]
    assert chosen(*large) == ([0, 1, 2], [3, 4])


async def test_appends_to_one_stream_keep_their_order_and_let_others_pass() -> None:
    first, second, third = (append(TENANT, on(STREAM, version, 1)) for version in range(3))
    other = append(TENANT, on(new_id(), 0, 1))
    assert chosen(first, second, other, third) == ([0, 2], [1, 3])


async def test_what_waits_holds_back_what_touches_the_same() -> None:
    first, both, second = new_id(), new_id(), new_id()
    batch = chosen(
        append(TENANT, on(first, 0, 1)),
        append(TENANT, on(first, 1, 1), on(both, 0, 1)),
        append(TENANT, on(both, 1, 1)),
        append(TENANT, on(second, 0, 1)),
    )
    assert batch == ([0, 3], [1, 2])


async def test_the_same_ids_in_other_tenants_do_not_wait() -> None:
    assert chosen(append(new_id(), on(STREAM, 0, 1)), append(new_id(), on(STREAM, 0, 1))) == ([0, 1], [])


async def test_appends_that_need_the_same_fact_go_together_and_who_changes_it_goes_apart() -> None:
    def using(use: FactUse) -> Append:
        return append(TENANT, on(new_id(), 0, 1), facts=(FactChange(use, FACT, STREAM),))

    require, claim, release = FactUse.REQUIRE, FactUse.CLAIM, FactUse.RELEASE
    assert chosen(using(require), using(require)) == ([0, 1], [])
    assert chosen(using(require), using(release), using(require)) == ([0], [1, 2])
    assert chosen(using(claim), using(require)) == ([0], [1])
    assert chosen(using(claim), using(claim)) == ([0], [1])


async def test_credentials_of_one_subject_go_together_and_of_one_connection_apart() -> None:
    subject, connection = new_id(), new_id()

    def sealing(connection_id: UUID, version: int) -> Append:
        return append(TENANT, credentials=(SealedCredential(connection_id, version, subject, b"sealed"),))

    assert chosen(sealing(new_id(), 1), sealing(new_id(), 1)) == ([0, 1], [])
    assert chosen(sealing(connection, 1), sealing(connection, 2)) == ([0], [1])
    assert chosen(append(TENANT, destroys=(connection,)), sealing(connection, 1)) == ([0], [1])
    new_key = append(TENANT, data_keys=(WrappedKey(subject, b"wrapped", "master"),))
    assert chosen(new_key, sealing(new_id(), 1)) == ([0], [1])


async def test_the_same_command_twice_goes_apart() -> None:
    same = [append(TENANT, command=CommandAnswer(b"key", b"request", b"answer")) for _ in range(2)]
    assert chosen(*same) == ([0], [1])


async def test_who_opens_closes_or_forgets_is_alone_with_its_tenant() -> None:
    elsewhere = append(new_id(), on(new_id(), 0, 1))
    ordinary = append(TENANT, on(new_id(), 0, 1))
    for alone in (
        append(TENANT, closes=True),
        append(TENANT, opens=TenantKind.PROJECT),
        append(TENANT, forgets=(new_id(),)),
    ):
        assert chosen(alone, ordinary, elsewhere, ordinary) == ([0, 2], [1, 3])
        assert chosen(ordinary, alone, elsewhere, ordinary) == ([0, 2], [1, 3])


async def test_a_long_queue_for_one_stream_is_not_searched_to_its_end() -> None:
    queue = [append(TENANT, on(STREAM, version, 1)) for version in range(50)]
    queue.append(append(TENANT, on(new_id(), 0, 1)))
    taken, left = chosen(*queue, limit=5)
    assert taken == [0]
    assert left == list(range(1, 51))
