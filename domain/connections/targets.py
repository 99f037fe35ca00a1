"""Which provider a connection speaks with, and as which OAuth client: the project's own, or the installation's."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import msgspec

from domain.apps.app import App, OAuth2Scheme, Scheme
from domain.apps.catalogue import Catalogue
from domain.connections.oauth import Client, Target
from domain.errors import Conflict
from domain.facts import integration_fact
from domain.ports import EventStore, Vault
from domain.projects.client_secret import ClientSecret
from domain.projects.integration import Integration, IntegrationNotFound, IntegrationReader


class ClientMissing(Conflict):
    """The integration has no OAuth client; add the app again with client_id and client_secret."""

    code = "oauth_client_missing"


class Targets:
    """Finds them. ``installation`` are the clients that this installation has at providers, by app."""

    def __init__(
        self,
        store: EventStore,
        vault: Vault,
        catalogue: Catalogue,
        integrations: IntegrationReader,
        installation: Mapping[str, Client],
    ) -> None:
        self._store = store
        self._vault = vault
        self._catalogue = catalogue
        self._integrations = integrations
        self._installation = installation

    async def integration(self, project_id: UUID, app_key: str) -> tuple[UUID, Integration]:
        """IntegrationNotFound."""
        fact = integration_fact(app_key)
        taken = await self._store.holders(project_id, [fact])
        if fact not in taken:
            raise IntegrationNotFound
        return taken[fact], await self.read(project_id, taken[fact])

    async def read(self, project_id: UUID, integration_id: UUID) -> Integration:
        """An integration whose fact has just been seen."""
        return await self._integrations.read(project_id, integration_id)

    def scheme(self, integration: Integration) -> tuple[App, Scheme]:
        return self._catalogue.scheme(integration.app_key, integration.auth_type)

    def scopes(self, integration: Integration) -> tuple[str, ...]:
        """What is asked for: what the project wishes, else what the app needs at least."""
        _, scheme = self.scheme(integration)
        return integration.scopes or (scheme.default_scopes if isinstance(scheme, OAuth2Scheme) else ())

    async def target(
        self,
        project_id: UUID,
        app_key: str,
        auth_type: str,
        fields: Mapping[str, str],
        names: Mapping[str, str] | None = None,
    ) -> Target:
        """IntegrationNotFound; ClientMissing where the scheme needs a client."""
        integration_id, integration = await self.integration(project_id, app_key)
        app, scheme = self._catalogue.scheme(app_key, auth_type)
        client = Client("")
        if scheme.type in ("oauth2", "oauth1"):
            client = await self._client(project_id, integration_id, integration)
        return Target(app, scheme, client, fields, names or {})

    async def _client(self, project_id: UUID, integration_id: UUID, integration: Integration) -> Client:
        if integration.client_id:
            found = await self._vault.credential(project_id, integration_id)
            secret = msgspec.json.decode(found[1], type=ClientSecret) if found else ClientSecret()
            return Client(integration.client_id, secret.client_secret, secret.fields)
        if integration.app_key not in self._installation:
            raise ClientMissing
        return self._installation[integration.app_key]
