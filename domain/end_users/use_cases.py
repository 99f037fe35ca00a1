"""Adding an end user with what is told of them, and erasing one: the data key goes, and with it everything personal."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from domain.connections.owners import EXTERNAL_ID
from domain.deciding import Caller, Changes, Desk, load
from domain.end_users.end_user import (
    END_USER,
    EndUserAdded,
    EndUserAlreadyExists,
    EndUserDescribed,
    EndUserNotFound,
    Profile,
    erase,
)
from domain.events import Event, Sealed
from domain.facts import end_user_email_fact, end_user_fact
from domain.ids import new_id
from domain.ports import PERSONAL, FactChange, FactUse, StreamEvents

_EMAIL = "end user email"


class AddedEndUser(msgspec.Struct, frozen=True):
    """An end user as they were added."""

    end_user_id: UUID
    external_id: str
    profile: Profile

    def __repr__(self) -> str:
        return f"AddedEndUser({self.end_user_id})"


class EndUserCommands:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def add(
        self, project_id: UUID, caller: Caller, external_id: str | None, profile: Profile
    ) -> tuple[AddedEndUser, datetime]:
        """Adds an end user; answers them, and when they were added. Without an ``external_id`` the e-mail address is the
        application's own id of the person, and without that the new id itself. EndUserAlreadyExists.
        """

        async def decide() -> tuple[Changes, AddedEndUser]:
            tenant_key = await self._desk.vault.tenant_key(project_id)
            user_id = new_id()
            added = AddedEndUser(user_id, external_id or profile.email or str(user_id), profile)
            facts = [end_user_fact(tenant_key.digest(EXTERNAL_ID, added.external_id.encode()))]
            if profile.email:
                facts.append(end_user_email_fact(tenant_key.digest(_EMAIL, profile.email.casefold().encode())))
            if await self._desk.store.holders(project_id, facts):
                raise EndUserAlreadyExists
            wrapped, key = self._desk.vault.new_key(project_id, user_id)
            sealed = Sealed(user_id, key.seal(PERSONAL, added.external_id.encode()))
            events: tuple[Event, ...] = (EndUserAdded(external_id=sealed),)
            if profile != Profile():
                told = Sealed(user_id, key.seal(PERSONAL, msgspec.json.encode(profile)))
                events = (*events, EndUserDescribed(profile=told))
            return Changes(
                streams=(StreamEvents(user_id, END_USER.stream_type, 0, events),),
                facts=tuple(FactChange(FactUse.CLAIM, fact, user_id, user_id) for fact in facts),
                data_keys=(wrapped,),
                subject_id=user_id,
            ), added

        added = await self._desk.execute(project_id, caller, decide, AddedEndUser)
        return added, await self._desk.recorded_at(project_id, added.end_user_id)

    async def erase(self, project_id: UUID, caller: Caller, external_id: str) -> None:
        """Destroys the end user's key, connections and secrets. EndUserNotFound when there is no such user."""

        async def decide() -> tuple[Changes, None]:
            key = await self._desk.vault.tenant_key(project_id)
            fact = end_user_fact(key.digest(EXTERNAL_ID, external_id.encode()))
            user_id = (await self._desk.store.holders(project_id, [fact])).get(fact)
            if user_id is None:
                raise EndUserNotFound
            return await self._erasure(project_id, user_id), None

        await self._desk.execute(project_id, caller, decide)

    async def erase_by_id(self, project_id: UUID, caller: Caller, end_user_id: UUID) -> None:
        """The same for whoever knows the end user by the id that we gave. EndUserNotFound."""

        async def decide() -> tuple[Changes, None]:
            return await self._erasure(project_id, end_user_id), None

        await self._desk.execute(project_id, caller, decide)

    async def _erasure(self, project_id: UUID, end_user_id: UUID) -> Changes:
        state, version = await load(self._desk.store, END_USER, project_id, end_user_id)
        stream = StreamEvents(end_user_id, END_USER.stream_type, version, erase(state))
        return Changes(streams=(stream,), forgets=(end_user_id,))
