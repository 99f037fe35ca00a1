"""A token that can be sent: as it is, or renewed first, by one refresh at a time for each connection, whatever crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID

import msgspec

from domain.connections import refreshing
from domain.connections.connection import CONNECTION, Connection, ConnectionNotFound
from domain.connections.oauth import OAuthClient, Obtained, ProviderRefused, ProviderTrouble, Target
from domain.connections.refresh_queue import NoteUse
from domain.connections.refreshing import ConnectionUnusable, Refresh, RefreshTrouble
from domain.connections.secret import Secret, read_secret
from domain.connections.targets import Targets
from domain.deciding import Caller, Changes, Desk, TenantGone, load
from domain.errors import Refusal
from domain.events import Event
from domain.ports import Clock, SealedCredential, StreamEvents, SubjectForgotten, credential_context

LEASE = timedelta(seconds=60)
"""How long a refresh belongs to whoever began it. The provider has half of it to answer, so that clocks may differ by the rest."""

_CALLER = Caller("system:refresh")
_FIRST_LOOK, _LONGEST_LOOK = 0.02, 0.5
_Key = tuple[UUID, UUID, int]
_Stored = TypeVar("_Stored")


class Usable(msgspec.Struct, frozen=True):
    """A connection and its opened secret of that version."""

    connection: Connection
    secret: Secret
    version: int


class Refresher:
    """``complain`` tells operators what is tried again; ``chance`` answers a number between 0 and 1; ``note_use`` hears of every
    use, and when the worker should see to the token.
    """

    def __init__(
        self,
        desk: Desk,
        targets: Targets,
        oauth: OAuthClient,
        clock: Clock,
        chance: Callable[[], float],
        note_use: NoteUse,
        complain: Callable[..., object],
        *,
        lease: timedelta = LEASE,
    ) -> None:
        self._desk = desk
        self._targets = targets
        self._oauth = oauth
        self._clock = clock
        self._chance = chance
        self._note_use = note_use
        self._complain = complain
        self._lease = lease
        self._flights: dict[_Key, asyncio.Task[Usable]] = {}
        self._draining = False

    async def usable(self, project_id: UUID, connection_id: UUID, *, rejected: int = 0) -> Usable:
        """The connection with a token that can be sent. ``rejected``: the credential version that the app has just refused with 401,
        which counts as due. Waits for a refresh only when there is nothing good to send.

        ConnectionNotFound, ConnectionUnusable, RefreshTrouble.
        """
        found = await self._usable(project_id, connection_id, rejected)
        self._note_use(project_id, connection_id, refreshing.next_look(found.connection, self._clock()))
        return found

    async def _usable(self, project_id: UUID, connection_id: UUID, rejected: int) -> Usable:
        found = await self._load(project_id, connection_id)
        state, now = found.connection, self._clock()
        refreshing.check_usable(state)
        is_refused = found.version <= rejected
        if not is_refused and not refreshing.is_due(state, now):
            return found
        if not state.renewable:
            return await self._as_it_is(project_id, connection_id, found, is_refused)
        is_good = not is_refused and refreshing.is_good(state, now)
        if is_good and refreshing.is_pausing(state, now):
            return found
        flight = self._flight(project_id, connection_id, found)
        return found if is_good else await asyncio.shield(flight)

    async def renew(self, project_id: UUID, connection_id: UUID, *, in_use: bool = True) -> Connection:
        """Renews the token of a connection in use ahead of its end if that is due, and says what the connection is like then. Of a
        token that cannot be renewed and has run out it says so. Raises as `usable` does.
        """
        found = await self._load(project_id, connection_id)
        state, now = found.connection, self._clock()
        if state.ended:
            return state
        if in_use and state.renewable and refreshing.is_due(state, now, refreshing.AHEAD):
            return (await asyncio.shield(self._flight(project_id, connection_id, found))).connection
        if not state.renewable and refreshing.expire(state, now):
            return await self._tell(project_id, connection_id, partial(refreshing.expire, now=now))
        return state

    async def drain(self) -> None:
        """Returns when every refresh that has begun has ended and its answer is stored; others' refreshes are not waited for."""
        self._draining = True
        try:
            while self._flights:
                await asyncio.wait(self._flights.values())
        finally:
            self._draining = False

    async def _as_it_is(self, project_id: UUID, connection_id: UUID, found: Usable, is_refused: bool) -> Usable:
        now = self._clock()
        if is_refused:
            raise ConnectionUnusable(refreshing.REVOKED)
        if found.connection.is_valid(now):
            return found
        await self._tell(project_id, connection_id, partial(refreshing.expire, now=now))
        raise ConnectionUnusable(refreshing.EXPIRED)

    def _flight(self, project_id: UUID, connection_id: UUID, found: Usable) -> asyncio.Task[Usable]:
        """This process's one refresh of that credential; its trouble is raised to everybody who waits for it."""
        key = (project_id, connection_id, found.version)
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._fly(project_id, connection_id, found))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    def _landed(self, key: _Key, done: asyncio.Task[Usable]) -> None:
        self._flights.pop(key, None)
        if not done.cancelled():
            done.exception()  # whoever waits has heard of it; often nobody does

    async def _fly(self, project_id: UUID, connection_id: UUID, found: Usable) -> Usable:
        """The connection with another credential than the one that was found: by our own refresh, or somebody else's."""
        version, look = found.version, _FIRST_LOOK
        while True:
            state, now = found.connection, self._clock()
            refreshing.check_usable(state)
            if found.version > version:
                return found
            if refreshing.is_pausing(state, now):
                raise RefreshTrouble(state.message, state.retry_at)
            if not refreshing.is_taken(state, now):
                renewed = await self._try(project_id, connection_id, found)
                if renewed is not None:
                    return renewed
            elif self._draining:
                raise RefreshTrouble(state.message or None)
            else:
                await asyncio.sleep(look)
                look = min(look * 1.5, _LONGEST_LOOK)
            found = await self._load(project_id, connection_id)

    async def _try(self, project_id: UUID, connection_id: UUID, found: Usable) -> Usable | None:
        """What it brought, or None: then the connection tells why, or somebody else was first."""
        state, secret = found.connection, found.secret
        target = await self._targets.target(project_id, state.app_key, state.auth_type, secret.fields, secret.names)
        refresh = await self._begin(project_id, connection_id, found.version)
        if refresh is None:
            return None
        return await self._ask(project_id, connection_id, refresh, target, secret, state.scopes)

    async def _begin(self, project_id: UUID, connection_id: UUID, version: int) -> Refresh | None:
        """Makes the refresh ours, durably, before anybody is asked; None when somebody else was first."""

        async def decide() -> tuple[Changes | None, Refresh | None]:
            state, at = await load(self._desk.store, CONNECTION, project_id, connection_id)
            now = self._clock()
            is_ours = state.present and not state.ended and state.credential_version <= version
            if not is_ours or refreshing.is_taken(state, now) or refreshing.is_pausing(state, now):
                return None, None
            refresh, started = refreshing.start(state, now, self._lease)
            return self._one(connection_id, at, (started,)), refresh

        return await self._desk.execute(project_id, _CALLER, decide)

    async def _ask(
        self,
        project_id: UUID,
        connection_id: UUID,
        refresh: Refresh,
        target: Target,
        secret: Secret,
        scopes: tuple[str, ...],
    ) -> Usable | None:
        """Asks the provider once, and stores what came of it, whatever that is."""
        sent_at = self._clock()
        try:
            obtained = await self._answer(refresh, sent_at, target, secret, scopes)
        except ProviderRefused:
            await self._tell(project_id, connection_id, partial(refreshing.refuse, refresh=refresh))
        except ProviderTrouble as failure:
            told = partial(
                refreshing.trouble, refresh=refresh, failure=failure, now=self._clock(), jitter=self._chance()
            )
            await self._tell(project_id, connection_id, told)
        else:
            return await self._keep(project_id, connection_id, refresh, secret.renewed(obtained, sent_at))
        return None

    async def _answer(
        self, refresh: Refresh, now: datetime, target: Target, secret: Secret, scopes: tuple[str, ...]
    ) -> Obtained:
        """Where storing the beginning took too long, as in a process that was stopped meanwhile, somebody else may be asking soon."""
        if now > refresh.ask_by:
            raise ProviderTrouble(f"{target.app.name} was not asked in time.", may_have_arrived=False)
        seconds = (refresh.answer_by - now).total_seconds()
        try:
            async with asyncio.timeout(seconds):
                return await self._oauth.refresh(
                    target, refresh_token=secret.refresh_token, scopes=scopes, seconds=seconds
                )
        except TimeoutError:
            raise ProviderTrouble(f"{target.app.name} did not answer within {seconds:.0f} s.") from None
        except (ProviderRefused, ProviderTrouble):
            raise
        except Exception as error:  # an answer that nobody foresaw: recorded, and tried again with pauses
            self._complain("refresh_broke", error=type(error).__name__)
            raise ProviderTrouble(f"What {target.app.name} answered could not be read.") from None

    async def _keep(self, project_id: UUID, connection_id: UUID, refresh: Refresh, secret: Secret) -> Usable | None:
        """Stores the provider's answer as the next credential. It exists nowhere else: so this does not give up."""

        async def decide() -> tuple[Changes | None, Usable | None]:
            state, at = await load(self._desk.store, CONNECTION, project_id, connection_id)
            newest = await self._desk.vault.newest_version(project_id, connection_id)
            version = max(state.credential_version, newest) + 1
            events = refreshing.succeed(state, refresh, secret, version)
            if not events:
                return None, None
            subject_id = state.end_user_id or project_id
            try:
                key = await self._desk.vault.key(project_id, subject_id)
            except SubjectForgotten:
                return None, None  # nobody is left whose token it is
            sealed = key.seal(credential_context(connection_id, version), secret.sealed_form())
            credential = SealedCredential(connection_id, version, subject_id, sealed)
            for event in events:
                state = CONNECTION.evolve(state, event)
            return self._one(connection_id, at, events, credential), Usable(state, secret, version)

        return await self._surely(lambda: self._desk.execute(project_id, _CALLER, decide))

    async def _tell(
        self, project_id: UUID, connection_id: UUID, decision: Callable[[Connection], tuple[Event, ...]]
    ) -> Connection:
        """Stores what became of it, and answers what the connection is like then."""

        async def decide() -> tuple[Changes | None, Connection]:
            state, at = await load(self._desk.store, CONNECTION, project_id, connection_id)
            events = decision(state)
            for event in events:
                state = CONNECTION.evolve(state, event)
            return (self._one(connection_id, at, events) if events else None), state

        return await self._surely(lambda: self._desk.execute(project_id, _CALLER, decide)) or Connection()

    async def _surely(self, store: Callable[[], Awaitable[_Stored]]) -> _Stored | None:
        pause = 0.1
        while True:
            try:
                return await store()
            except (TenantGone, SubjectForgotten):
                return None  # nobody is left whose connection it is
            except Refusal as refusal:
                self._complain("refresh_not_stored_yet", error=refusal.code)
            except Exception as error:
                self._complain("refresh_not_stored_yet", error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    async def _load(self, project_id: UUID, connection_id: UUID) -> Usable:
        """The state and the newest secret, also one that was stored without the event that names it."""
        state, _ = await load(self._desk.store, CONNECTION, project_id, connection_id)
        found = await self._desk.vault.credential(project_id, connection_id) if state.present else None
        if found is None:
            raise ConnectionNotFound
        version, secret = found[0], read_secret(found[1])
        return Usable(refreshing.adopt(state, version, secret), secret, version)

    def _one(self, connection_id: UUID, at: int, events: tuple[Event, ...], *credentials: SealedCredential) -> Changes:
        return Changes(
            streams=(StreamEvents(connection_id, CONNECTION.stream_type, at, events),), credentials=credentials
        )
