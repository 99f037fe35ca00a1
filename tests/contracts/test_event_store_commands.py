"""Commands that are sent again: the store answers as it did the first time."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from domain.ids import new_id
from domain.ports import (
    Appended,
    CommandAnswer,
    CommandKnown,
    EventStore,
    StaleStream,
)
from tests.sample_events import append, numbers_in, on


async def test_a_repeated_command_gets_the_first_answer(store: EventStore, tenant: UUID, stream: UUID) -> None:
    first = CommandAnswer(b"key", b"request", b"first answer")
    assert await store.command_answer(tenant, b"key", b"request") is None
    await store.append(append(tenant, on(stream, 0, 1), command=first))
    assert await store.command_answer(tenant, b"key", b"request") == b"first answer"
    with pytest.raises(CommandKnown) as known:
        await store.append(append(tenant, on(stream, 1, 2), command=CommandAnswer(b"key", b"request", b"second")))
    assert known.value.sealed_answer == b"first answer"
    assert await numbers_in(store, tenant, stream) == [1]


async def test_a_command_key_with_another_request_is_refused(store: EventStore, tenant: UUID, stream: UUID) -> None:
    await store.append(append(tenant, on(stream, 0, 1), command=CommandAnswer(b"key", b"request", b"answer")))
    with pytest.raises(CommandKnown) as known:
        await store.append(append(tenant, on(stream, 1, 2), command=CommandAnswer(b"key", b"other", b"answer")))
    assert known.value.sealed_answer is None
    with pytest.raises(CommandKnown):
        await store.command_answer(tenant, b"key", b"other")
    assert await numbers_in(store, tenant, stream) == [1]


async def test_a_command_sent_twice_at_once_is_stored_once(store: EventStore, tenant: UUID) -> None:
    answers = await asyncio.gather(
        *(
            store.append(append(tenant, on(new_id(), 0, 1), command=CommandAnswer(b"key", b"request", bytes([number]))))
            for number in range(5)
        ),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [Appended] + [CommandKnown] * 4
    assert {answer.sealed_answer for answer in answers if isinstance(answer, CommandKnown)} == {b"\0"}
    assert len(await store.read_tenant(tenant)) == 1


async def test_a_command_that_lost_is_not_known(store: EventStore, tenant: UUID, stream: UUID) -> None:
    with pytest.raises(StaleStream):
        await store.append(append(tenant, on(stream, 7, 1), command=CommandAnswer(b"key", b"request", b"answer")))
    assert await store.command_answer(tenant, b"key", b"request") is None
