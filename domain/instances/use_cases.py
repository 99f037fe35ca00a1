"""Making instances, changing their proxy keys and deleting them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from domain.deciding import Caller, Changes, Desk, load
from domain.end_users.end_user import END_USER, EndUserNotFound
from domain.events import Sealed
from domain.facts import instance_fact
from domain.ids import INSTANCE_KEY, mint_token, new_id
from domain.instances.instance import INSTANCE, InstanceCreated, InstanceNotFound, delete, rotate
from domain.ports import PERSONAL, FactChange, FactUse, StreamEvents, SubjectForgotten


class MadeInstance(msgspec.Struct, frozen=True):
    """An instance as it was created: the one time that this key is shown."""

    instance_id: UUID
    name: str
    end_user_id: UUID | None
    proxy_key: str

    def __repr__(self) -> str:
        return f"MadeInstance({self.instance_id})"


class RotatedKey(msgspec.Struct, frozen=True):
    """The one time that the new key is shown; ``version`` is the instance's then."""

    proxy_key: str
    version: int

    def __repr__(self) -> str:
        return "RotatedKey(...)"


class InstanceCommands:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def create(
        self, project_id: UUID, caller: Caller, name: str, end_user_id: UUID | None = None
    ) -> tuple[MadeInstance, datetime]:
        """A new instance, and when it was made; of one end user, or of the project. EndUserNotFound."""

        async def decide() -> tuple[Changes, MadeInstance]:
            instance_id = new_id()
            text, token = mint_token(INSTANCE_KEY, project_id)
            created = InstanceCreated(digest=token.digest, name=name)
            if end_user_id is not None:
                sealed = await self._sealed(project_id, end_user_id, name)
                created = InstanceCreated(digest=token.digest, end_user_id=end_user_id, sealed_name=sealed)
            return Changes(
                streams=(StreamEvents(instance_id, INSTANCE.stream_type, 0, (created,)),),
                facts=(FactChange(FactUse.CLAIM, instance_fact(instance_id), instance_id, end_user_id),),
                subject_id=end_user_id,
            ), MadeInstance(instance_id, name, end_user_id, text)

        made = await self._desk.execute(project_id, caller, decide, MadeInstance)
        return made, await self._desk.recorded_at(project_id, made.instance_id)

    async def rotate_key(self, project_id: UUID, caller: Caller, instance_id: UUID) -> tuple[RotatedKey, datetime]:
        """A new proxy key, and since when it is the only one. InstanceNotFound."""

        async def decide() -> tuple[Changes, RotatedKey]:
            required = await self._held(project_id, instance_id)
            state, version = await load(self._desk.store, INSTANCE, project_id, instance_id)
            text, token = mint_token(INSTANCE_KEY, project_id)
            stream = StreamEvents(instance_id, INSTANCE.stream_type, version, rotate(state, token.digest))
            changes = Changes(streams=(stream,), facts=(required,), subject_id=state.end_user_id)
            return changes, RotatedKey(text, version + 1)

        rotated = await self._desk.execute(project_id, caller, decide, RotatedKey)
        return rotated, await self._desk.recorded_at(project_id, instance_id, rotated.version)

    async def delete(self, project_id: UUID, caller: Caller, instance_id: UUID) -> None:
        """Its key opens nothing any more, and its grants are gone. InstanceNotFound."""

        async def decide() -> tuple[Changes, None]:
            await self._held(project_id, instance_id)
            state, version = await load(self._desk.store, INSTANCE, project_id, instance_id)
            return Changes(
                streams=(StreamEvents(instance_id, INSTANCE.stream_type, version, delete(state)),),
                facts=(FactChange(FactUse.RELEASE, instance_fact(instance_id)),),
                subject_id=state.end_user_id,
            ), None

        await self._desk.execute(project_id, caller, decide)

    async def _held(self, project_id: UUID, instance_id: UUID) -> FactChange:
        fact = instance_fact(instance_id)
        if fact not in await self._desk.store.holders(project_id, [fact]):
            raise InstanceNotFound
        return FactChange(FactUse.REQUIRE, fact, instance_id)

    async def _sealed(self, project_id: UUID, end_user_id: UUID, name: str) -> Sealed:
        end_user, _ = await load(self._desk.store, END_USER, project_id, end_user_id)
        if not end_user.present:
            raise EndUserNotFound
        try:
            key = await self._desk.vault.key(project_id, end_user_id)
        except SubjectForgotten:
            raise EndUserNotFound from None
        return Sealed(end_user_id, key.seal(PERSONAL, name.encode()))
