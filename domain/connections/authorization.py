"""The person's side of a connect link: off to the provider, back with its answer, and the connection stands."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TypeVar
from uuid import UUID

import msgspec

from domain.apps.app import OAuth1Scheme
from domain.apps.connection_fields import check_fields
from domain.connections import connect_link as links
from domain.connections.completing import Completion
from domain.connections.connect_link import CONNECT_LINK, Authorization, LinkIssued
from domain.connections.linking import check_wanted, link_text, living, parse_link
from domain.connections.oauth import (
    OAuthClient,
    Obtained,
    ProviderRefused,
    ProviderTrouble,
    RequestToken,
    Target,
)
from domain.connections.obtaining import PROVIDER_SECONDS, Gain, Obtaining
from domain.connections.owners import Owners
from domain.connections.provider_errors import explained, reason_of
from domain.connections.refresh_queue import NoteUse
from domain.connections.secret import Secret, read_secret
from domain.connections.targets import Targets
from domain.deciding import Caller, Changes, Desk, load
from domain.errors import Refusal, UpstreamFailed
from domain.ids import OAUTH_STATE, StreamToken, mint_stream_token, parse_stream_token
from domain.ports import Clock, Lost, SealedCredential, StreamEvents, SubjectForgotten, credential_context
from domain.projects.integration import callback_path

_CALLER = Caller("end_user:connect_page")
Answer = TypeVar("Answer")


class ProviderSaidNo(UpstreamFailed):
    """The application did not let the account be connected."""

    code = "provider_said_no"

    def __init__(self, message: str | None = None, reason: str = "") -> None:
        """``reason``: the provider's own error code, where it is a registered one."""
        super().__init__(message)
        self.reason = reason


class Outcome(msgspec.Struct, frozen=True):
    """What became of a way to the provider and back: ``refusal`` None when it is connected. ``link`` is the link's token, with
    which this person may try again.
    """

    issued: LinkIssued
    link: str
    refusal: Refusal | None = None

    def __repr__(self) -> str:
        return f"Outcome({self.issued.app_key}, {self.refusal!r})"


class Return(msgspec.Struct, frozen=True):
    """What the provider sent the person back with: the query of the callback."""

    state: str = ""
    code: str = ""
    error: str = ""
    iss: str = ""
    oauth_token: str = ""
    oauth_verifier: str = ""

    def __repr__(self) -> str:
        return "Return(...)"


class Authorizations:
    """``public_url`` is where people reach this service; callbacks begin with it."""

    def __init__(
        self,
        desk: Desk,
        owners: Owners,
        targets: Targets,
        obtaining: Obtaining,
        oauth: OAuthClient,
        clock: Clock,
        note_use: NoteUse,
        public_url: str,
    ) -> None:
        self._desk = desk
        self._completion = Completion(desk, owners, clock, note_use)
        self._targets = targets
        self._obtaining = obtaining
        self._oauth = oauth
        self._clock = clock
        self._public_url = public_url

    async def begin(self, text: str, fields: Mapping[str, object], cookie: str) -> str:
        """Where the person goes to consent. ``cookie`` is the secret that this browser keeps until it comes back.

        LinkNotFound, LinkUsedUp, InvalidFields, IntegrationNotFound, ClientMissing; ProviderSaidNo when the first step of
        OAuth 1.0a fails, or a field does not fit the provider's address.
        """
        token = parse_link(text)
        async with _gone_is_not_found():
            return await self._begin(token, fields, cookie)

    async def _begin(self, token: StreamToken, fields: Mapping[str, object], cookie: str) -> str:
        issued = await living(self._desk, token, self._clock())
        target, redirect_uri = await self._target(token.tenant_id, issued, fields)
        state_text, state_token = mint_stream_token(OAUTH_STATE, token.tenant_id, token.stream_id)
        request_token: RequestToken | None = None
        if isinstance(target.scheme, OAuth1Scheme):
            callback = f"{redirect_uri}?state={state_text}"
            request_token = await self._ask(
                target, self._oauth.request_token(target, callback=callback, seconds=PROVIDER_SECONDS)
            )

        async def decide() -> tuple[Changes, int]:
            state, version = await load(self._desk.store, CONNECT_LINK, token.tenant_id, token.stream_id)
            credential = await self._kept(token, issued, state.authorizations + 1, target, request_token)
            events = links.start_authorization(
                state, token.digest, self._clock(), state_digest=state_token.digest, cookie_digest=digest_of(cookie)
            )
            stream = StreamEvents(token.stream_id, CONNECT_LINK.stream_type, version, events)
            return Changes(streams=(stream,), credentials=(credential,)), state.authorizations + 1

        number = await self._desk.execute(token.tenant_id, _CALLER, decide)
        verifier = await self._verifier(token, number)
        scopes = self._targets.scopes((await self._targets.integration(token.tenant_id, issued.app_key))[1])
        try:
            if request_token is not None:
                return self._oauth.authorize_url_for(target, request_token)
            return self._oauth.authorize_url(
                target, redirect_uri=redirect_uri, state=state_text, verifier=verifier, scopes=scopes
            )
        except ProviderRefused as refused:
            raise ProviderSaidNo(refused.message) from None

    async def finish(self, answer: Return, cookie: str, callback: str) -> Outcome:
        """The person came back from the provider to ``callback``, a path of ours. Only the browser that was sent there learns more
        than StateInvalid; what else went wrong is in the outcome.
        """
        token = parse_stream_token(OAUTH_STATE, answer.state)
        if token is None:
            raise links.StateInvalid
        issued, authorization = await self._take_back(token, cookie)
        async with _gone_is_not_found():
            link, _ = link_text(await self._desk.vault.tenant_key(token.tenant_id), token.tenant_id, token.stream_id)
            try:
                gain = await self._exchanged(token, issued, authorization, answer, callback)
                await self._completion.store(token, issued, gain)
            except Refusal as refusal:
                await self._note_failure(token, refusal)
                return Outcome(issued, link, refusal)
        return Outcome(issued, link)

    async def submit(self, text: str, fields: Mapping[str, object]) -> None:
        """The person filled in the page's form: connects an app that needs no consent at a provider.

        LinkNotFound, LinkUsedUp, IntegrationNotFound, ClientMissing, InvalidFields, CredentialRejected, CannotProve.
        """
        token = parse_link(text)
        async with _gone_is_not_found():
            issued = await living(self._desk, token, self._clock())
            gain = await self._obtaining.gain(token.tenant_id, issued.app_key, fields, prove=issued.proves)
            await self._completion.store(token, issued, gain)

    async def _target(self, project_id: UUID, issued: LinkIssued, fields: Mapping[str, object]) -> tuple[Target, str]:
        """The provider with the checked fields, and the callback that its answer must come to."""
        _, integration = await self._targets.integration(project_id, issued.app_key)
        _, scheme = self._targets.scheme(integration)
        checked = check_fields(scheme, fields)
        target = await self._targets.target(project_id, integration.app_key, integration.auth_type, checked)
        return target, self._public_url + callback_path(project_id, of_installation=not integration.client_id)

    async def _kept(
        self, token: StreamToken, issued: LinkIssued, version: int, target: Target, request_token: RequestToken | None
    ) -> SealedCredential:
        """What must be known again when the person comes back; destroyed when the link is completed, or the person is erased."""
        secret = Secret(fields=dict(target.fields))
        if request_token is not None:
            secret = Secret(
                fields=dict(target.fields), access_token=request_token.token, token_secret=request_token.secret
            )
        subject_id = issued.end_user_id or token.tenant_id
        try:
            key = await self._desk.vault.key(token.tenant_id, subject_id)
        except SubjectForgotten:
            raise links.LinkNotFound from None
        box = key.seal(credential_context(token.stream_id, version), secret.sealed_form())
        return SealedCredential(token.stream_id, version, subject_id, box)

    async def _verifier(self, token: StreamToken, number: int) -> str:
        """PKCE's code_verifier (RFC 7636, 4.1), derived instead of stored: 384 bits that only the project's key yields."""
        key = await self._desk.vault.tenant_key(token.tenant_id)
        said = f"{token.stream_id}:{number}".encode()
        return urlsafe_b64encode(b"".join(key.digest(f"pkce {part}", said) for part in range(3))).decode()

    async def _take_back(self, token: StreamToken, cookie: str) -> tuple[LinkIssued, Authorization]:
        async def decide() -> tuple[Changes, tuple[LinkIssued, Authorization]]:
            state, version = await load(self._desk.store, CONNECT_LINK, token.tenant_id, token.stream_id)
            if state.issued is None:
                raise links.StateInvalid
            authorization, events = links.take_back(
                state, self._clock(), state_digest=token.digest, cookie_digest=digest_of(cookie)
            )
            stream = StreamEvents(token.stream_id, CONNECT_LINK.stream_type, version, events)
            return Changes(streams=(stream,)), (state.issued, authorization)

        return await self._desk.execute(token.tenant_id, _CALLER, decide)

    async def _exchanged(
        self, token: StreamToken, issued: LinkIssued, authorization: Authorization, answer: Return, callback: str
    ) -> Gain:
        await check_wanted(self._desk, token.tenant_id, issued)
        kept = await self._desk.vault.credential(token.tenant_id, token.stream_id)
        if kept is None or kept[0] != authorization.number:
            raise links.StateInvalid
        secret = read_secret(kept[1])
        target, redirect_uri = await self._target(token.tenant_id, issued, secret.fields)
        if redirect_uri != self._public_url + callback:
            raise links.StateInvalid
        try:
            self._oauth.check_issuer(target, answer.iss)
        except ProviderRefused:
            raise links.StateInvalid from None
        if answer.error:
            raise _said_no(target, answer.error)
        if isinstance(target.scheme, OAuth1Scheme):
            return Gain(target, await self._verified(target, secret, answer))
        if not answer.code:
            raise _said_no(target, "invalid_request")
        verifier = await self._verifier(token, authorization.number)
        asked = self._oauth.exchange(
            target, code=answer.code, redirect_uri=redirect_uri, verifier=verifier, seconds=PROVIDER_SECONDS
        )
        return Gain(target, await self._ask(target, asked))

    async def _verified(self, target: Target, secret: Secret, answer: Return) -> Obtained:
        """OAuth 1.0a: the request token must be the one that this way began with."""
        if answer.oauth_token != secret.access_token or not answer.oauth_verifier:
            raise _said_no(target, "access_denied")
        request_token = RequestToken(answer.oauth_token, secret.token_secret or "")
        asked = self._oauth.exchange_verifier(
            target, request_token, verifier=answer.oauth_verifier, seconds=PROVIDER_SECONDS
        )
        return await self._ask(target, asked)

    async def _note_failure(self, token: StreamToken, refusal: Refusal) -> None:
        async def decide() -> tuple[Changes, None]:
            _, version = await load(self._desk.store, CONNECT_LINK, token.tenant_id, token.stream_id)
            failed = links.AuthorizationFailed(code=refusal.code, message=refusal.message)
            return Changes(streams=(StreamEvents(token.stream_id, CONNECT_LINK.stream_type, version, (failed,)),)), None

        await self._desk.execute(token.tenant_id, _CALLER, decide)

    async def _ask(self, target: Target, call: Awaitable[Answer]) -> Answer:
        try:
            return await call
        except ProviderRefused as refused:
            raise ProviderSaidNo(refused.message, reason_of(refused.code)) from None
        except ProviderTrouble as trouble:
            raise ProviderSaidNo(f"{trouble.message} Try again in a moment.") from None


def _said_no(target: Target, code: str) -> ProviderSaidNo:
    return ProviderSaidNo(explained(target.app.name, code), reason_of(code))


@asynccontextmanager
async def _gone_is_not_found() -> AsyncIterator[None]:
    """Whatever a link belonged to and was deleted or erased meanwhile takes the link along."""
    try:
        yield
    except Lost:
        raise links.LinkNotFound from None


def digest_of(cookie: str) -> bytes:
    return sha256(cookie.encode()).digest()
