"""Which connections are in use, and when their tokens should be seen to: marks, not events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol, TypeAlias
from uuid import UUID

import msgspec

ConnectionKey: TypeAlias = tuple[UUID, UUID]
"""A project and one of its connections."""


NoteUse = Callable[[UUID, UUID, datetime | None], None]
"""Hears that a project's connection is used, and when its token should be seen to."""


class Use(msgspec.Struct, frozen=True):
    """``due_at``: when its token should be seen to; None where that never needs to be."""

    last_used_at: datetime
    due_at: datetime | None = None


class Due(msgspec.Struct, frozen=True):
    project_id: UUID
    connection_id: UUID
    last_used_at: datetime


class RefreshQueue(Protocol):
    """Connections that nobody uses are not in it, so that they cost nothing."""

    async def note(self, uses: Mapping[ConnectionKey, Use]) -> None:
        """Remembers uses. What was due earlier stays due earlier."""

    async def claim(self, limit: int, busy: Iterable[UUID]) -> list[Due]:
        """Due connections, the longest due first, of projects that are not ``busy``; nobody else gets them for two minutes."""

    async def settle(self, project_id: UUID, connection_id: UUID, due_at: datetime | None) -> None:
        """When it is due next; None takes it out until it is used again."""
