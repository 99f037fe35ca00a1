"""The end of linking: what the provider handed out, or the person filled in, becomes the connection, and the link is used up."""

from __future__ import annotations

import msgspec

from domain.connections import connect_link as links
from domain.connections.authorising import Whose
from domain.connections.connect_link import CONNECT_LINK, LinkIssued
from domain.connections.connection import CONNECTION, Connection
from domain.connections.obtaining import Gain, authorise
from domain.connections.owners import Owners
from domain.connections.refresh_queue import NoteUse
from domain.connections.refreshing import next_look
from domain.deciding import Caller, Changes, Desk, load
from domain.ids import StreamToken
from domain.ports import Clock, StreamEvents, SubjectForgotten

_CALLER = Caller("end_user:connect_page")


class Completion:
    """``note_use`` hears when the worker should see to the new token."""

    def __init__(self, desk: Desk, owners: Owners, clock: Clock, note_use: NoteUse) -> None:
        self._desk = desk
        self._owners = owners
        self._clock = clock
        self._note_use = note_use

    async def store(self, token: StreamToken, issued: LinkIssued, gain: Gain) -> None:
        """Stores link and connection together. What another link has connected meanwhile gives way.

        LinkUsedUp, LinkNotFound when the end user was erased or the connection deleted, IntegrationNotFound, DifferentAccount.
        """

        async def decide() -> tuple[Changes, Connection]:
            state, version = await load(self._desk.store, CONNECT_LINK, token.tenant_id, token.stream_id)
            if state.completed:
                raise links.LinkUsedUp
            try:
                owner, _ = await self._owners.again(token.tenant_id, issued.end_user_id, issued.app_key, issued.fact)
            except SubjectForgotten:
                raise links.LinkNotFound from None
            found = await self._owners.found(token.tenant_id, owner)
            if found.connection_id != issued.connection_id:  # another one, because that one was deleted
                raise links.LinkNotFound
            whose = Whose(
                end_user_id=issued.end_user_id,
                app_key=issued.app_key,
                auth_type=gain.target.scheme.type,
                name=issued.name,
                replaces=True,
                now=self._clock(),
            )
            events, credential = await authorise(
                self._owners, token.tenant_id, found, whose, gain, keeps_account=issued.keeps_account
            )
            done = StreamEvents(token.stream_id, CONNECT_LINK.stream_type, version, (links.LinkCompleted(),))
            changes = found.changes(events, credential, more=(done,))
            connected = found.state
            for event in events:
                connected = CONNECTION.evolve(connected, event)
            return msgspec.structs.replace(changes, destroys=(token.stream_id,)), connected

        connected = await self._desk.execute(token.tenant_id, _CALLER, decide)
        self._note_use(token.tenant_id, issued.connection_id, next_look(connected, self._clock()))
