"""Connect links: the address that a developer hands to a person, and the page behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from domain.apps.app import App, Scheme
from domain.connections.authorising import Whose, request
from domain.connections.connect_link import CONNECT_LINK, LINK_LIFE, LinkIssued, LinkNotFound, live
from domain.connections.owners import Owner, Owners
from domain.connections.targets import Targets
from domain.deciding import Caller, Changes, Desk, load
from domain.errors import Invalid
from domain.ids import CONNECT_LINK_TOKEN, StreamToken, mint_stream_token, new_id, parse_stream_token
from domain.ports import Clock, StreamEvents
from domain.projects.integration import Integration
from domain.projects.project import PROJECT, ProjectSettings


class OriginNotAllowed(Invalid):
    """This address is not among the project's allowed_origins."""

    code = "origin_not_allowed"


class LinkWishes(msgspec.Struct, frozen=True, kw_only=True):
    """``return_url``: where the person goes afterwards; ``origin``: which window may hear how it went. Both must be allowed by the
    project's settings. ``keeps_account``: whoever connects again must choose the account of before.
    """

    replaces: bool
    return_url: str | None = None
    origin: str | None = None
    keeps_account: bool = False


class Page(msgspec.Struct, frozen=True):
    """What the connect page shows: who asks, for which app, and by which scheme."""

    project: ProjectSettings
    app: App
    scheme: Scheme
    issued: LinkIssued


class Linking:
    """``public_url`` is where people reach this service; links begin with it."""

    def __init__(self, desk: Desk, owners: Owners, targets: Targets, clock: Clock, public_url: str) -> None:
        self._desk = desk
        self._owners = owners
        self._targets = targets
        self._clock = clock
        self._public_url = public_url

    async def issue(self, project_id: UUID, caller: Caller, external_id: str, app_key: str, wishes: LinkWishes) -> str:
        """The address of a page where the end user connects the app; valid for 30 minutes, for one connection.

        IntegrationNotFound, ClientMissing, OriginNotAllowed, ConnectionAlreadyExists.
        """
        return await self._issue(
            project_id, caller, lambda: self._owners.of_end_user(project_id, external_id, app_key), wishes
        )

    async def issue_own(self, project_id: UUID, caller: Caller, app_key: str, name: str, wishes: LinkWishes) -> str:
        """The same for a connection of the developer's own."""
        return await self._issue(
            project_id, caller, lambda: self._owners.of_developer(project_id, app_key, name), wishes, name
        )

    async def page(self, text: str) -> Page:
        """What the link is for. LinkNotFound, LinkUsedUp, IntegrationNotFound."""
        token = parse_link(text)
        state, _ = await load(self._desk.store, CONNECT_LINK, token.tenant_id, token.stream_id)
        issued = live(state, token.digest, self._clock())
        project, _ = await load(self._desk.store, PROJECT, token.tenant_id, token.tenant_id)
        if project.settings is None:
            raise LinkNotFound
        _, integration = await self._targets.integration(token.tenant_id, issued.app_key)
        app, scheme = self._targets.scheme(integration)
        return Page(project.settings, app, scheme, issued)

    async def _issue(
        self,
        project_id: UUID,
        caller: Caller,
        gather: Callable[[], Awaitable[tuple[Owner, Integration]]],
        wishes: LinkWishes,
        name: str = "",
    ) -> str:
        async def decide() -> tuple[Changes, str]:
            await self._check_origins(project_id, wishes)
            owner, integration = await gather()
            await self._targets.target(project_id, integration.app_key, integration.auth_type, {})
            found = await self._owners.found(project_id, owner)
            now, link_id = self._clock(), new_id()
            whose = Whose(
                end_user_id=owner.end_user_id,
                app_key=integration.app_key,
                auth_type=integration.auth_type,
                name=name,
                replaces=wishes.replaces,
                now=now,
            )
            text, token = mint_stream_token(CONNECT_LINK_TOKEN, project_id, link_id)
            issued = LinkIssued(
                connection_id=found.connection_id,
                end_user_id=owner.end_user_id,
                app_key=integration.app_key,
                auth_type=integration.auth_type,
                name=name,
                fact=owner.fact,
                digest=token.digest,
                expires_at=now + LINK_LIFE,
                return_url=wishes.return_url,
                origin=wishes.origin,
                replaces=wishes.replaces,
                keeps_account=wishes.keeps_account,
            )
            stream = StreamEvents(link_id, CONNECT_LINK.stream_type, 0, (issued,))
            return found.changes(request(found.state, whose), more=(stream,)), f"{self._public_url}/connect/{text}"

        return await self._desk.execute(project_id, caller, decide, str)

    async def _check_origins(self, project_id: UUID, wishes: LinkWishes) -> None:
        wanted = [origin_of(wishes.return_url)] if wishes.return_url else []
        wanted += [wishes.origin] if wishes.origin else []
        if not wanted:
            return
        project, _ = await load(self._desk.store, PROJECT, project_id, project_id)
        allowed = project.settings.allowed_origins if project.settings else ()
        for origin in wanted:
            if origin not in allowed:
                raise OriginNotAllowed(
                    f"{origin!r} is not among the project's allowed_origins; add it with PUT /subscriptions/v2/Project/{{id}}."
                )


def origin_of(address: str) -> str:
    """``https://example.com`` or ``http://localhost:3000`` of a web address; OriginNotAllowed when it is none."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or "\\" in address:
        raise OriginNotAllowed("returnUrl must be a full web address.")
    standard = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port and port != standard else "")


def parse_link(text: str) -> StreamToken:
    """LinkNotFound when it is no link of ours."""
    token = parse_stream_token(CONNECT_LINK_TOKEN, text)
    if token is None:
        raise LinkNotFound
    return token
