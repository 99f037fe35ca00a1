"""Connecting an app: at once, with what the caller gives, or by a link to the page where a person does it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from domain.apps.app import KeyScheme, Scheme, asks_for_consent
from domain.connections.authorising import Whose
from domain.connections.connection import ConnectionAlreadyExists
from domain.connections.linking import Linking, LinkWishes
from domain.connections.obtaining import Gain, Obtaining, authorise
from domain.connections.owners import Owner, Owners
from domain.connections.targets import Targets
from domain.deciding import Caller, Changes, Desk
from domain.ports import Clock
from domain.projects.integration import Integration


class ConnectWishes(msgspec.Struct, frozen=True, kw_only=True):
    """``fields`` None: none were given. ``asks_link``: by a link even where the fields would do. ``proves``: the app is asked
    whether the fields work. A valid connection gives way where it ``replaces``, and is refused otherwise.
    """

    fields: Mapping[str, object] | None = None
    asks_link: bool = False
    proves: bool = False
    replaces: bool = False
    return_url: str | None = None
    origin: str | None = None
    keeps_account: bool = False

    def __repr__(self) -> str:
        return "ConnectWishes(...)"

    @property
    def link(self) -> LinkWishes:
        return LinkWishes(
            replaces=self.replaces,
            return_url=self.return_url,
            origin=self.origin,
            keeps_account=self.keeps_account,
            proves=self.proves,
        )


class OwnConnection(msgspec.Struct, frozen=True):
    """A connection of the developer's own as it was made: with its stream's version ``version``. ``link``: where it waits to be
    connected, if it does.
    """

    connection_id: UUID
    app_key: str
    name: str
    auth_type: str
    version: int
    link: str | None = None

    def __repr__(self) -> str:
        return f"OwnConnection({self.connection_id})"


class Connecting:
    def __init__(
        self, desk: Desk, owners: Owners, targets: Targets, obtaining: Obtaining, linking: Linking, clock: Clock
    ) -> None:
        self._desk = desk
        self._owners = owners
        self._targets = targets
        self._obtaining = obtaining
        self._linking = linking
        self._clock = clock

    async def end_user(
        self, project_id: UUID, caller: Caller, external_id: str, app_key: str, wishes: ConnectWishes
    ) -> str | None:
        """Connects an end user, who is added when new: None when that is done, or the link by which they do it.

        OriginNotAllowed, IntegrationNotFound, ClientMissing, InvalidFields, CredentialRejected, CannotProve,
        ConnectionAlreadyExists.
        """
        gain: Gain | None = None

        async def decide() -> tuple[Changes, str | None]:
            nonlocal gain
            await self._linking.check_origins(project_id, wishes.link)
            is_by_link = await self._is_by_link(project_id, app_key, wishes)
            if (
                gain is None and not is_by_link
            ):  # not before: a repeated request is answered without asking the app again
                gain = await self._gain(project_id, app_key, wishes)
            owner, integration = await self._owners.of_end_user(project_id, external_id, app_key)
            found = await self._owners.found(project_id, owner)
            if gain is None or is_by_link:
                return await self._linking.offer(project_id, found, integration, wishes.link)
            whose = self._whose(owner, integration, replaces=wishes.replaces)
            return found.changes(*await authorise(self._owners, project_id, found, whose, gain)), None

        return await self._desk.execute(project_id, caller, decide, str | None)

    async def own(
        self, project_id: UUID, caller: Caller, app_key: str, name: str, wishes: ConnectWishes
    ) -> tuple[OwnConnection, datetime, datetime]:
        """Adds a connection of the developer's own; its name is unique per app. Answers it, when it was first heard of, and
        when it was made. Raises as `end_user` does.
        """
        gain: Gain | None = None

        async def decide() -> tuple[Changes, OwnConnection]:
            nonlocal gain
            await self._linking.check_origins(project_id, wishes.link)
            is_by_link = await self._is_by_link(project_id, app_key, wishes)
            if gain is None and not is_by_link:
                gain = await self._gain(project_id, app_key, wishes)
            owner, integration = await self._owners.of_developer(project_id, app_key, name)
            found = await self._owners.found(project_id, owner)
            if found.state.is_valid(self._clock()):
                raise ConnectionAlreadyExists(f"There is a connection named {name!r} to this app already.")
            link = None
            if gain is None or is_by_link:
                changes, link = await self._linking.offer(project_id, found, integration, wishes.link, name)
            else:
                whose = self._whose(owner, integration, replaces=False, name=name)
                changes = found.changes(*await authorise(self._owners, project_id, found, whose, gain))
            version = found.version + sum(
                len(one.events) for one in changes.streams if one.stream_id == found.connection_id
            )
            return changes, OwnConnection(found.connection_id, app_key, name, integration.auth_type, version, link)

        made = await self._desk.execute(project_id, caller, decide, OwnConnection)
        first = await self._desk.recorded_at(project_id, made.connection_id)
        last = (
            first if made.version == 1 else await self._desk.recorded_at(project_id, made.connection_id, made.version)
        )
        return made, first, last

    async def _is_by_link(self, project_id: UUID, app_key: str, wishes: ConnectWishes) -> bool:
        """By a link wherever a person must agree or the caller wishes it, and where nothing is given that could buy a token."""
        _, integration = await self._targets.integration(project_id, app_key)
        _, scheme = self._targets.scheme(integration)
        return asks_for_consent(scheme) or wishes.asks_link or _lacks_fields(scheme, wishes)

    async def _gain(self, project_id: UUID, app_key: str, wishes: ConnectWishes) -> Gain:
        return await self._obtaining.gain(project_id, app_key, wishes.fields or {}, prove=wishes.proves)

    def _whose(self, owner: Owner, integration: Integration, *, replaces: bool, name: str = "") -> Whose:
        return Whose(
            end_user_id=owner.end_user_id,
            app_key=integration.app_key,
            auth_type=integration.auth_type,
            name=name,
            replaces=replaces,
            now=self._clock(),
        )


def _lacks_fields(scheme: Scheme, wishes: ConnectWishes) -> bool:
    """A key cannot do without its fields, and its callers are told which; other apps may need none, or ask for them on a page."""
    return wishes.fields is None and not isinstance(scheme, KeyScheme)
