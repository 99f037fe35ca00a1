"""Erasing an end user: the data key goes, and with it everything personal; the history stays."""

from __future__ import annotations

from uuid import UUID

from domain.connections.owners import EXTERNAL_ID
from domain.deciding import Caller, Changes, Desk, load
from domain.end_users.end_user import END_USER, EndUserNotFound, erase
from domain.facts import end_user_fact
from domain.ports import StreamEvents


class EndUserCommands:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def erase(self, project_id: UUID, caller: Caller, external_id: str) -> None:
        """Destroys the end user's key, connections and secrets. EndUserNotFound when there is no such user."""

        async def decide() -> tuple[Changes, None]:
            key = await self._desk.vault.tenant_key(project_id)
            fact = end_user_fact(key.digest(EXTERNAL_ID, external_id.encode()))
            user_id = (await self._desk.store.holders(project_id, [fact])).get(fact)
            if user_id is None:
                raise EndUserNotFound
            state, version = await load(self._desk.store, END_USER, project_id, user_id)
            stream = StreamEvents(user_id, END_USER.stream_type, version, erase(state))
            return Changes(streams=(stream,), forgets=(user_id,)), None

        await self._desk.execute(project_id, caller, decide)
