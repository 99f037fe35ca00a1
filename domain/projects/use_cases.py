"""Projects, their tokens and their integrations: what the developer sets up before any end user comes."""

from __future__ import annotations

from uuid import UUID

import msgspec

from domain.apps.catalogue import Catalogue
from domain.companies.company import COMPANY, list_project, unlist_project
from domain.deciding import Caller, Changes, Desk, TenantGone, load
from domain.events import Event
from domain.facts import integration_fact
from domain.ids import PROJECT_TOKEN, mint_token, new_id
from domain.ports import FactChange, FactUse, SealedCredential, StreamEvents, TenantKind, credential_context
from domain.projects.integration import (
    INTEGRATION,
    IntegrationAdded,
    IntegrationAlreadyExists,
    IntegrationNotFound,
    remove,
)
from domain.projects.project import PROJECT, ProjectNotFound, ProjectSettings, change, create, delete
from domain.projects.token import PROJECT_TOKEN_STREAM, ProjectTokenIssued, revoke


class IssuedToken(msgspec.Struct, frozen=True):
    """The one time that a token is shown."""

    token_id: UUID
    token: str

    def __repr__(self) -> str:
        return f"IssuedToken({self.token_id})"


class NewIntegration(msgspec.Struct, frozen=True, kw_only=True):
    app_key: str
    auth_type: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    scopes: tuple[str, ...] = ()


class ProjectCommands:
    def __init__(self, desk: Desk, catalogue: Catalogue) -> None:
        self._desk = desk
        self._catalogue = catalogue

    async def create(
        self, company_id: UUID, caller: Caller, settings: ProjectSettings, project_id: UUID | None = None
    ) -> UUID:
        """Makes a project and its tenant; answers its id. First the company lists it, then it comes to be: a creation that
        breaks off in between is finished by the same request with the same Idempotency-Key, and shows nowhere until then.
        """
        wanted = project_id or new_id()

        async def list_it() -> tuple[Changes, UUID]:
            state, version = await load(self._desk.store, COMPANY, company_id, company_id)
            return _one(COMPANY.stream_type, company_id, version, list_project(state, wanted)), wanted

        project_id = await self._desk.execute(company_id, caller, list_it, UUID)
        tenant_id = project_id

        async def found_it() -> tuple[Changes | None, None]:
            _, version = await load(self._desk.store, PROJECT, tenant_id, tenant_id)
            if version:
                return None, None
            wrapped, _ = self._desk.vault.new_key(tenant_id, tenant_id)
            stream = StreamEvents(tenant_id, PROJECT.stream_type, 0, create(company_id, settings))
            return Changes(streams=(stream,), opens=TenantKind.PROJECT, data_keys=(wrapped,)), None

        await self._desk.execute(tenant_id, msgspec.structs.replace(caller, idempotency=None), found_it)
        return project_id

    async def change(self, project_id: UUID, caller: Caller, settings: ProjectSettings) -> None:
        async def decide() -> tuple[Changes | None, None]:
            state, version = await load(self._desk.store, PROJECT, project_id, project_id)
            events = change(state, settings)
            return (_one(PROJECT.stream_type, project_id, version, events) if events else None), None

        await self._desk.execute(project_id, caller, decide)

    async def delete(self, company_id: UUID, project_id: UUID, caller: Caller) -> None:
        """The Danger Zone: closes the project's tenant, which destroys its secrets; then the company forgets it."""

        async def decide() -> tuple[Changes, None]:
            state, version = await load(self._desk.store, PROJECT, project_id, project_id)
            stream = StreamEvents(project_id, PROJECT.stream_type, version, delete(state))
            return Changes(streams=(stream,), closes=True), None

        async def unlist() -> tuple[Changes | None, None]:
            state, version = await load(self._desk.store, COMPANY, company_id, company_id)
            events = unlist_project(state, project_id)
            return (_one(COMPANY.stream_type, company_id, version, events) if events else None), None

        once = msgspec.structs.replace(caller, idempotency=None)
        try:
            await self._desk.execute(project_id, once, decide)
        except (TenantGone, ProjectNotFound):
            state, _ = await load(self._desk.store, COMPANY, company_id, company_id)
            if project_id not in state.projects:
                raise ProjectNotFound from None  # else: a deletion that broke off half-way is finished here
        await self._desk.execute(company_id, once, unlist)

    async def issue_token(self, project_id: UUID, caller: Caller, name: str) -> IssuedToken:
        """A new API token. Its text is in this answer and nowhere else."""

        async def decide() -> tuple[Changes, IssuedToken]:
            text, token = mint_token(PROJECT_TOKEN, project_id)
            token_id = new_id()
            event = ProjectTokenIssued(name=name, digest=token.digest)
            return _one(PROJECT_TOKEN_STREAM.stream_type, token_id, 0, (event,)), IssuedToken(token_id, text)

        return await self._desk.execute(project_id, caller, decide, IssuedToken)

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

    async def add_integration(self, project_id: UUID, caller: Caller, new: NewIntegration) -> None:
        """AppNotFound, UnknownAuthType, IntegrationAlreadyExists."""
        _, scheme = self._catalogue.scheme(new.app_key, new.auth_type)

        async def decide() -> tuple[Changes, None]:
            fact = integration_fact(new.app_key)
            if fact in await self._desk.store.holders(project_id, [fact]):
                raise IntegrationAlreadyExists
            integration_id = new_id()
            credentials: tuple[SealedCredential, ...] = ()
            if new.client_secret is not None:
                key = await self._desk.vault.tenant_key(project_id)
                secret = msgspec.json.encode({"client_secret": new.client_secret})
                sealed = key.seal(credential_context(integration_id, 1), secret)
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
            ), None

        await self._desk.execute(project_id, caller, decide)

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
