"""Projects, their tokens and their integrations: what the developer sets up before any end user comes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from domain.apps.app import App, OAuth1Scheme, OAuth2Scheme, Scheme, asks_for_consent
from domain.apps.catalogue import Catalogue
from domain.apps.connection_fields import check_client_fields
from domain.companies.company import COMPANY, list_project, unlist_project
from domain.deciding import Caller, Changes, Desk, TenantGone, load
from domain.deliveries.endpoint import Notice
from domain.deliveries.signing import mint_secret
from domain.deliveries.use_cases import enabling, first_secret, notice_of
from domain.errors import Invalid
from domain.events import Event
from domain.facts import integration_fact
from domain.ids import PROJECT_TOKEN, mint_token, new_id
from domain.ports import Clock, FactChange, FactUse, SealedCredential, StreamEvents, TenantKind, credential_context
from domain.projects.client_secret import ClientSecret
from domain.projects.integration import (
    INTEGRATION,
    IntegrationAdded,
    IntegrationAlreadyExists,
    IntegrationNotFound,
    callback_path,
    remove,
)
from domain.projects.project import PROJECT, ProjectNotFound, ProjectSettings, change, create, delete
from domain.projects.token import PROJECT_TOKEN_STREAM, ProjectTokenIssued, revoke


class MadeProject(msgspec.Struct, frozen=True):
    """A project as it was created: the one time that its webhook's secret is shown."""

    project_id: UUID
    settings: ProjectSettings
    webhook_secret: str

    def __repr__(self) -> str:
        return f"MadeProject({self.project_id})"


class ChangedProject(msgspec.Struct, frozen=True):
    """A project as it was changed, and why its webhook is disabled, if it is."""

    settings: ProjectSettings
    notice: Notice | None


class IssuedToken(msgspec.Struct, frozen=True):
    """The one time that a token is shown."""

    token_id: UUID
    name: str
    token: str

    def __repr__(self) -> str:
        return f"IssuedToken({self.token_id})"


class NewIntegration(msgspec.Struct, frozen=True, kw_only=True):
    app_key: str
    auth_type: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    client_fields: Mapping[str, object] = {}
    scopes: tuple[str, ...] = ()


class OAuthClientNeeded(Invalid):
    """This app needs an OAuth client: register one at the provider, and add the app with its client_id and client_secret."""

    code = "oauth_client_needed"


class MadeIntegration(msgspec.Struct, frozen=True):
    """An integration as it was added."""

    integration_id: UUID
    app_key: str
    auth_type: str
    client_id: str | None
    scopes: tuple[str, ...]


class ProjectCommands:
    """``installation``: the apps for which this installation has an OAuth client; ``public_url`` is where people reach it."""

    def __init__(
        self,
        desk: Desk,
        catalogue: Catalogue,
        clock: Clock,
        installation: Collection[str] = (),
        public_url: str = "",
    ) -> None:
        self._desk = desk
        self._catalogue = catalogue
        self._clock = clock
        self._installation = installation
        self._public_url = public_url

    async def create(
        self, company_id: UUID, caller: Caller, settings: ProjectSettings, project_id: UUID | None = None
    ) -> tuple[MadeProject, datetime]:
        """Makes a project and its tenant; answers it, and when it came to be. First the company lists it: a creation that
        breaks off after that is finished by the same request with the same Idempotency-Key, and shows nowhere until then.
        """
        wanted = MadeProject(project_id or new_id(), settings, mint_secret())

        async def list_it() -> tuple[Changes, MadeProject]:
            state, version = await load(self._desk.store, COMPANY, company_id, company_id)
            return _one(COMPANY.stream_type, company_id, version, list_project(state, wanted.project_id)), wanted

        made = await self._desk.execute(company_id, caller, list_it, MadeProject)
        tenant_id = made.project_id

        async def found_it() -> tuple[Changes | None, None]:
            _, version = await load(self._desk.store, PROJECT, tenant_id, tenant_id)
            if version:
                return None, None
            wrapped, key = self._desk.vault.new_key(tenant_id, tenant_id)
            stream = StreamEvents(tenant_id, PROJECT.stream_type, 0, create(company_id, made.settings))
            webhook, secret = first_secret(tenant_id, key, made.webhook_secret, self._clock())
            return Changes(
                streams=(stream, webhook), opens=TenantKind.PROJECT, data_keys=(wrapped,), credentials=(secret,)
            ), None

        await self._desk.execute(tenant_id, msgspec.structs.replace(caller, idempotency=None), found_it)
        return made, await self._desk.recorded_at(tenant_id, tenant_id)

    async def change(
        self, project_id: UUID, caller: Caller, settings: ProjectSettings
    ) -> tuple[ChangedProject, datetime]:
        """Replaces the settings; answers them, and when the project came to be. A new webhook address enables the webhook."""

        async def decide() -> tuple[Changes | None, ChangedProject]:
            state, version = await load(self._desk.store, PROJECT, project_id, project_id)
            events = change(state, settings)
            if state.settings is None or state.settings.webhook_url == settings.webhook_url:
                changes = _one(PROJECT.stream_type, project_id, version, events) if events else None
                return changes, ChangedProject(settings, await notice_of(self._desk, project_id))
            stream = StreamEvents(project_id, PROJECT.stream_type, version, events)
            streams = (stream, *await enabling(self._desk, project_id))
            return Changes(streams=streams), ChangedProject(settings, None)

        changed = await self._desk.execute(project_id, caller, decide, ChangedProject)
        return changed, await self._desk.recorded_at(project_id, project_id)

    async def delete(self, company_id: UUID, project_id: UUID, caller: Caller) -> None:
        """The Danger Zone: closes the project's tenant, so that nothing of it can be opened any more, destroys what it holds;
        then the company forgets it, and keeps the answer for a request that is repeated. A deletion that broke off is
        finished by asking again. ProjectNotFound when the company has no such project.
        """

        async def decide() -> tuple[Changes, None]:
            state, version = await load(self._desk.store, COMPANY, company_id, company_id)
            if project_id not in state.projects:
                raise ProjectNotFound
            await self._close(project_id, caller)
            await self._desk.store.empty(project_id)
            return _one(COMPANY.stream_type, company_id, version, unlist_project(state, project_id)), None

        await self._desk.execute(company_id, caller, decide)

    async def _close(self, project_id: UUID, caller: Caller) -> None:
        async def decide() -> tuple[Changes, None]:
            state, version = await load(self._desk.store, PROJECT, project_id, project_id)
            stream = StreamEvents(project_id, PROJECT.stream_type, version, delete(state))
            return Changes(streams=(stream,), closes=True), None

        try:
            await self._desk.execute(project_id, caller, decide)
        except (TenantGone, ProjectNotFound):
            return  # its creation or deletion broke off half-way: closed already, or never opened

    async def issue_token(self, project_id: UUID, caller: Caller, name: str) -> tuple[IssuedToken, datetime]:
        """A new API token, and when it was made. Its text is in this answer and nowhere else."""

        async def decide() -> tuple[Changes, IssuedToken]:
            text, token = mint_token(PROJECT_TOKEN, project_id)
            token_id = new_id()
            event = ProjectTokenIssued(name=name, digest=token.digest)
            return _one(PROJECT_TOKEN_STREAM.stream_type, token_id, 0, (event,)), IssuedToken(token_id, name, text)

        issued = await self._desk.execute(project_id, caller, decide, IssuedToken)
        return issued, await self._desk.recorded_at(project_id, issued.token_id)

    async def adopt_token(self, project_id: UUID, caller: Caller, name: str, token_id: UUID, digest: bytes) -> None:
        """Records a token that was minted elsewhere; nothing happens when it is recorded already."""

        async def decide() -> tuple[Changes | None, None]:
            _, version = await load(self._desk.store, PROJECT_TOKEN_STREAM, project_id, token_id)
            event = ProjectTokenIssued(name=name, digest=digest)
            return (None if version else _one(PROJECT_TOKEN_STREAM.stream_type, token_id, 0, (event,))), None

        await self._desk.execute(project_id, caller, decide)

    async def revoke_token(self, project_id: UUID, caller: Caller, token_id: UUID) -> None:
        """ProjectTokenNotFound when it is revoked already, or another project's."""

        async def decide() -> tuple[Changes, None]:
            state, version = await load(self._desk.store, PROJECT_TOKEN_STREAM, project_id, token_id)
            return _one(PROJECT_TOKEN_STREAM.stream_type, token_id, version, revoke(state)), None

        await self._desk.execute(project_id, caller, decide)

    async def add_integration(
        self, project_id: UUID, caller: Caller, new: NewIntegration
    ) -> tuple[MadeIntegration, datetime]:
        """AppNotFound, UnknownAuthType, OAuthClientNeeded, InvalidFields, IntegrationAlreadyExists."""
        app, scheme = self._scheme(new)
        if isinstance(scheme, OAuth2Scheme | OAuth1Scheme) and not new.client_id:
            self._check_installation(project_id, app, scheme)
        client_fields = check_client_fields(scheme, new.client_fields)

        async def decide() -> tuple[Changes, MadeIntegration]:
            fact = integration_fact(new.app_key)
            if fact in await self._desk.store.holders(project_id, [fact]):
                raise IntegrationAlreadyExists
            integration_id = new_id()
            credentials: tuple[SealedCredential, ...] = ()
            if new.client_secret is not None or client_fields:
                key = await self._desk.vault.tenant_key(project_id)
                secret = ClientSecret(client_secret=new.client_secret or "", fields=client_fields)
                sealed = key.seal(credential_context(integration_id, 1), msgspec.json.encode(secret))
                credentials = (SealedCredential(integration_id, 1, project_id, sealed),)
            event = IntegrationAdded(
                app_key=new.app_key,
                auth_type=scheme.type,
                client_id=new.client_id,
                scopes=new.scopes,
                credential_version=len(credentials),
            )
            return Changes(
                streams=(StreamEvents(integration_id, INTEGRATION.stream_type, 0, (event,)),),
                facts=(FactChange(FactUse.CLAIM, fact, integration_id),),
                credentials=credentials,
            ), MadeIntegration(integration_id, new.app_key, scheme.type, new.client_id, new.scopes)

        made = await self._desk.execute(project_id, caller, decide, MadeIntegration)
        return made, await self._desk.recorded_at(project_id, made.integration_id)

    def _scheme(self, new: NewIntegration) -> tuple[App, Scheme]:
        """The one that was asked for; else with an OAuth client the app's OAuth scheme, and its first otherwise."""
        app, first = self._catalogue.scheme(new.app_key, new.auth_type)
        if new.auth_type is None and new.client_id:
            oauth = (scheme for scheme in app.auth if isinstance(scheme, OAuth2Scheme | OAuth1Scheme))
            return app, next(oauth, first)
        return app, first

    def _check_installation(self, project_id: UUID, app: App, scheme: Scheme) -> None:
        if app.key in self._installation:
            return
        callback = self._public_url + callback_path(project_id, of_installation=False)
        where = f" with the redirect URI {callback}" if asks_for_consent(scheme) else ""
        raise OAuthClientNeeded(
            f"{app.name} needs an OAuth client: register one there{where}, then add the app with its client_id and client_secret."
        )

    async def remove_integration(self, project_id: UUID, caller: Caller, app_key: str) -> None:
        """IntegrationNotFound. Connections stay; they can be used again when the app is added again."""

        async def decide() -> tuple[Changes, None]:
            fact = integration_fact(app_key)
            integration_id = (await self._desk.store.holders(project_id, [fact])).get(fact)
            if integration_id is None:
                raise IntegrationNotFound
            state, version = await load(self._desk.store, INTEGRATION, project_id, integration_id)
            return Changes(
                streams=(StreamEvents(integration_id, INTEGRATION.stream_type, version, remove(state)),),
                facts=(FactChange(FactUse.RELEASE, fact),),
                destroys=(integration_id,),
            ), None

        await self._desk.execute(project_id, caller, decide)


def _one(stream_type: str, stream_id: UUID, version: int, events: tuple[Event, ...]) -> Changes:
    return Changes(streams=(StreamEvents(stream_id, stream_type, version, events),))
