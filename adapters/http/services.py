"""What handlers may call: the use cases, the queries, and little else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from domain.accounts.use_cases import AccountCommands
from domain.apps.catalogue import Catalogue
from domain.connections.authorization import Authorizations
from domain.connections.connecting import Connecting
from domain.connections.customers import CustomerConnections
from domain.connections.fetching import CredentialFetch
from domain.connections.linking import Linking
from domain.connections.refresher import Refresher
from domain.connections.use_cases import ConnectionCommands
from domain.deliveries.use_cases import DeliveryCommands
from domain.end_users.use_cases import EndUserCommands
from domain.instances.use_cases import InstanceCommands
from domain.ports import Clock
from domain.projects.use_cases import ProjectCommands
from projections.accounts import AccountQueries
from projections.companies import CompanyQueries
from projections.connections import ConnectionQueries
from projections.customers import CustomerQueries
from projections.deliveries import DeliveryQueries
from projections.end_users import EndUserQueries
from projections.instances import InstanceQueries
from projections.integrations import IntegrationQueries
from projections.project_tokens import ProjectTokenQueries
from projections.projects import ProjectQueries


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """``public_url`` is where people reach this service. ``note_use`` marks a project's token, or an instance's key, as used now,
    some time soon. ``readiness`` answers what is wrong, or nothing; ``figures`` answers the Prometheus text of /metrics.
    """

    accounts: AccountCommands
    projects: ProjectCommands
    connections: ConnectionCommands
    connecting: Connecting
    customer_connections: CustomerConnections
    credential_fetch: CredentialFetch
    linking: Linking
    authorizations: Authorizations
    refresher: Refresher
    end_users: EndUserCommands
    instances: InstanceCommands
    deliveries: DeliveryCommands
    account_queries: AccountQueries
    company_queries: CompanyQueries
    project_queries: ProjectQueries
    token_queries: ProjectTokenQueries
    integration_queries: IntegrationQueries
    end_user_queries: EndUserQueries
    customer_queries: CustomerQueries
    instance_queries: InstanceQueries
    delivery_queries: DeliveryQueries
    connection_queries: ConnectionQueries
    catalogue: Catalogue
    public_url: str
    clock: Clock
    note_use: Callable[[UUID, UUID], None]
    readiness: Callable[[], Awaitable[list[str]]]
    figures: Callable[[], Awaitable[bytes]]
    metrics_token: str | None
