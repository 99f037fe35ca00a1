"""Given what has happened, when this is decided, then these are the events, or this is the refusal."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, Generic, TypeVar

import pytest

from domain.connections.connection import CONNECTION, Connection
from domain.deciding import Decider
from domain.errors import Refusal
from domain.events import Event

State = TypeVar("State")


class Given(Generic[State]):
    def __init__(self, decider: Decider[State], happened: tuple[Event, ...]) -> None:
        self.state = reduce(decider.evolve, happened, decider.initial)

    def when(self, decision: Callable[..., Any], *more: Any, **named: Any) -> When:
        """The decision gets the state first."""
        return When(lambda: decision(self.state, *more, **named))


class When:
    def __init__(self, decide: Callable[[], Any]) -> None:
        self._decide = decide

    def then(self, *events: Event) -> None:
        assert self._decide() == events

    def then_nothing(self) -> None:
        assert self._decide() == ()

    def then_refuses(self, refusal: type[Refusal]) -> None:
        with pytest.raises(refusal):
            self._decide()


def given(*happened: Event) -> Given[Connection]:
    return Given(CONNECTION, happened)
