"""The refresh queue in memory, for tests of what uses it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from domain.connections.refresh_queue import ConnectionKey, Due, Use


class MemoryRefreshQueue:
    """RefreshQueue."""

    def __init__(self) -> None:
        self._uses: dict[ConnectionKey, Use] = {}

    async def note(self, uses: Mapping[ConnectionKey, Use]) -> None:
        for key, use in uses.items():
            known = self._uses.get(key, use)
            moments = [one.due_at for one in (known, use) if one.due_at is not None]
            self._uses[key] = Use(max(known.last_used_at, use.last_used_at), min(moments, default=None))

    async def claim(self, limit: int, busy: Iterable[UUID]) -> list[Due]:
        now, others = datetime.now(UTC), set(busy)
        due = sorted(
            (use.due_at, key)
            for key, use in self._uses.items()
            if use.due_at is not None and use.due_at <= now and key[0] not in others
        )[:limit]
        for _, key in due:
            self._uses[key] = msgspec.structs.replace(self._uses[key], due_at=now + timedelta(minutes=2))
        return [Due(*key, self._uses[key].last_used_at) for _, key in due]

    async def settle(self, project_id: UUID, connection_id: UUID, due_at: datetime | None) -> None:
        key = (project_id, connection_id)
        if key in self._uses:
            self._uses[key] = msgspec.structs.replace(self._uses[key], due_at=due_at)
