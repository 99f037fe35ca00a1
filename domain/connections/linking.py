"""Connect links: the address that a developer hands to a person, and the page behind it."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from domain.apps.app import App, Scheme
from domain.connections.authorising import Whose, request
from domain.connections.connect_link import CONNECT_LINK, LINK_LIFE, LinkIssued, LinkNotFound, live
from domain.connections.connection import CONNECTION
from domain.connections.owners import Found
from domain.connections.targets import Targets
from domain.deciding import Changes, Desk, load
from domain.errors import Invalid
from domain.ids import CONNECT_LINK_TOKEN, StreamToken, mint_stream_token, new_id, parse_stream_token
from domain.ports import Clock, DataKey, Lost, StreamEvents
from domain.projects.integration import Integration
from domain.projects.project import PROJECT, ProjectSettings

_ADDRESS = re.compile(r"[!-\[\]-~]{1,2000}")
"""Visible ASCII without the backslash, which browsers take for a slash."""


class OriginNotAllowed(Invalid):
    """This address is not among the project's allowed_origins."""

    code = "origin_not_allowed"


class LinkWishes(msgspec.Struct, frozen=True, kw_only=True):
    """``return_url``: where the person goes afterwards; ``origin``: which window may hear how it went. Both must be allowed by the
    project's settings. ``keeps_account``: whoever connects again must choose the account of before. ``proves``: the app is asked
    whether what the person fills in works.
    """

    replaces: bool
    return_url: str | None = None
    origin: str | None = None
    keeps_account: bool = False
    proves: bool = False


class Page(msgspec.Struct, frozen=True):
    """What the connect page shows: who asks, for which app, by which scheme, and for which rights at the provider."""

    project: ProjectSettings
    app: App
    scheme: Scheme
    scopes: tuple[str, ...]
    issued: LinkIssued


class Linking:
    """``public_url`` is where people reach this service; links begin with it."""

    def __init__(self, desk: Desk, targets: Targets, clock: Clock, public_url: str) -> None:
        self._desk = desk
        self._targets = targets
        self._clock = clock
        self._public_url = public_url

    async def page(self, text: str) -> Page:
        """What the link is for. LinkNotFound, LinkUsedUp, IntegrationNotFound."""
        token = parse_link(text)
        issued = await living(self._desk, token, self._clock())
        project, _ = await load(self._desk.store, PROJECT, token.tenant_id, token.tenant_id)
        if project.settings is None:
            raise LinkNotFound
        _, integration = await self._targets.integration(token.tenant_id, issued.app_key)
        app, scheme = self._targets.scheme(integration)
        return Page(project.settings, app, scheme, self._targets.scopes(integration), issued)

    async def offer(
        self, project_id: UUID, found: Found, integration: Integration, wishes: LinkWishes, name: str = ""
    ) -> tuple[Changes, str]:
        """The address of a page where this connection is made; valid for 30 minutes, once. Whoever offers it has checked the origins.

        ClientMissing, ConnectionAlreadyExists.
        """
        await self._targets.target(project_id, integration.app_key, integration.auth_type, {})
        now, link_id = self._clock(), new_id()
        whose = Whose(
            end_user_id=found.owner.end_user_id,
            app_key=integration.app_key,
            auth_type=integration.auth_type,
            name=name,
            replaces=wishes.replaces,
            now=now,
        )
        text, token = link_text(await self._desk.vault.tenant_key(project_id), project_id, link_id)
        issued = LinkIssued(
            connection_id=found.connection_id,
            end_user_id=found.owner.end_user_id,
            app_key=integration.app_key,
            auth_type=integration.auth_type,
            name=name,
            fact=found.owner.fact,
            digest=token.digest,
            expires_at=now + LINK_LIFE,
            return_url=wishes.return_url,
            origin=wishes.origin,
            replaces=wishes.replaces,
            keeps_account=wishes.keeps_account,
            proves=wishes.proves,
        )
        stream = StreamEvents(link_id, CONNECT_LINK.stream_type, 0, (issued,))
        changes = found.changes(request(found.state, whose), more=(stream,))
        return changes, f"{self._public_url}/connect/{text}"

    async def check_origins(self, project_id: UUID, wishes: LinkWishes) -> None:
        """OriginNotAllowed."""
        wanted = [] if wishes.return_url is None else [origin_of(wishes.return_url)]
        wanted += [] if wishes.origin is None else [wishes.origin]
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
    """``https://example.com`` or ``http://localhost:3000`` of a web address; OriginNotAllowed when it is none, or one that a browser
    might read in another way.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    if not is_web or not _ADDRESS.fullmatch(address):
        raise OriginNotAllowed("returnUrl must be a full web address such as https://app.example.com/done.")
    standard = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port is not None and port != standard else "")


def link_text(key: DataKey, project_id: UUID, link_id: UUID) -> tuple[str, StreamToken]:
    """A link's token: its secret is not stored but follows from the project's key, so that whoever came back from the provider
    can be shown the way to try again.
    """
    secret = b"".join(key.digest(f"connect link {part}", link_id.bytes) for part in range(2))
    return mint_stream_token(CONNECT_LINK_TOKEN, project_id, link_id, secret)


async def living(desk: Desk, token: StreamToken, now: datetime) -> LinkIssued:
    """What a link is for, while it may be used. LinkNotFound, also when that is gone; LinkUsedUp."""
    state, _ = await load(desk.store, CONNECT_LINK, token.tenant_id, token.stream_id)
    issued = live(state, token.digest, now)
    await check_wanted(desk, token.tenant_id, issued)
    return issued


async def check_wanted(desk: Desk, project_id: UUID, issued: LinkIssued) -> None:
    """LinkNotFound when the project or the end user is gone, or the connection was deleted since the link was made."""
    try:
        await desk.vault.key(project_id, issued.end_user_id or project_id)
    except Lost:
        raise LinkNotFound from None
    connection, _ = await load(desk.store, CONNECTION, project_id, issued.connection_id)
    if not connection.app_key:
        raise LinkNotFound


def parse_link(text: str) -> StreamToken:
    """LinkNotFound when it is no link of ours."""
    token = parse_stream_token(CONNECT_LINK_TOKEN, text)
    if token is None:
        raise LinkNotFound
    return token
