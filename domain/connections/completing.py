"""The end of linking: what the provider handed out, or the person filled in, becomes the connection, and the link is used up."""

from __future__ import annotations

import msgspec

from domain.apps.app import OAuth1Scheme, OAuth2Scheme
from domain.connections import connect_link as links
from domain.connections.authorising import Account, Life, Whose, connect_app, link
from domain.connections.connect_link import CONNECT_LINK, LinkIssued
from domain.connections.oauth import Obtained, Target
from domain.connections.owners import Owner, Owners
from domain.connections.secret import Secret
from domain.deciding import Caller, Changes, Desk, load
from domain.events import Event, Sealed
from domain.ids import StreamToken
from domain.ports import PERSONAL, Clock, StreamEvents, SubjectForgotten

_CALLER = Caller("end_user:connect_page")
_ACCOUNT = "account"


class Completion:
    def __init__(self, desk: Desk, owners: Owners, clock: Clock) -> None:
        self._desk = desk
        self._owners = owners
        self._clock = clock

    async def store(self, token: StreamToken, issued: LinkIssued, target: Target, obtained: Obtained | None) -> None:
        """Stores link and connection together. What another link has connected meanwhile gives way.

        LinkUsedUp, LinkNotFound when the end user was erased, IntegrationNotFound, DifferentAccount.
        """

        async def decide() -> tuple[Changes, None]:
            state, version = await load(self._desk.store, CONNECT_LINK, token.tenant_id, token.stream_id)
            if state.completed:
                raise links.LinkUsedUp
            try:
                owner, integration = await self._owners.again(
                    token.tenant_id, issued.end_user_id, issued.app_key, issued.fact
                )
            except SubjectForgotten:
                raise links.LinkNotFound from None
            found = await self._owners.found(token.tenant_id, owner)
            now = self._clock()
            whose = Whose(
                end_user_id=issued.end_user_id,
                app_key=issued.app_key,
                auth_type=integration.auth_type,
                name=issued.name,
                replaces=True,
                now=now,
            )
            secret = Secret(fields=dict(target.fields))
            if obtained is not None:
                secret = secret.renewed(obtained, now)
            credential = await self._owners.sealed(token.tenant_id, found, secret)
            events: tuple[Event, ...]
            if obtained is None:
                events = connect_app(found.state, whose, credential.version)
            else:
                life = Life(
                    scopes=secret.scopes or (),
                    obtained_at=now,
                    expires_at=secret.expires_at,
                    renewable=_is_renewable(target, secret),
                )
                account = _account(owner, obtained)
                keeps = issued.keeps_account
                events = link(found.state, whose, life, account, credential.version, keeps_account=keeps)
            done = StreamEvents(token.stream_id, CONNECT_LINK.stream_type, version, (links.LinkCompleted(),))
            changes = found.changes(events, credential, more=(done,))
            return msgspec.structs.replace(changes, destroys=(token.stream_id,)), None

        await self._desk.execute(token.tenant_id, _CALLER, decide)


def _is_renewable(target: Target, secret: Secret) -> bool:
    """With a refresh token; client credentials and two-step tokens are bought again with what is known already."""
    is_code = isinstance(target.scheme, OAuth2Scheme) and target.scheme.grant == "authorization_code"
    return secret.refresh_token is not None or not (is_code or isinstance(target.scheme, OAuth1Scheme))


def _account(owner: Owner, obtained: Obtained) -> Account:
    if obtained.identity is None:
        return Account()
    digest = owner.key.digest(_ACCOUNT, obtained.identity.account_id.encode())
    name = obtained.identity.name
    return Account(digest, Sealed(owner.subject_id, owner.key.seal(PERSONAL, name.encode())) if name else None)
