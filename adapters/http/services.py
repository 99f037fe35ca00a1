"""What handlers may call: the use cases, the queries, and little else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from domain.accounts.use_cases import AccountCommands
from domain.apps.catalogue import Catalogue
from domain.connections.use_cases import ConnectionCommands
from domain.end_users.use_cases import EndUserCommands
from domain.ports import Clock
from domain.projects.use_cases import ProjectCommands
from projections.accounts import AccountQueries
from projections.companies import CompanyQueries
from projections.end_users import EndUserQueries
from projections.integrations import IntegrationQueries
from projections.project_tokens import ProjectTokenQueries
from projections.projects import ProjectQueries


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """``note_use`` marks a project's token as used now, some time soon. ``readiness`` answers what is wrong, or nothing."""

    accounts: AccountCommands
    projects: ProjectCommands
    connections: ConnectionCommands
    end_users: EndUserCommands
    account_queries: AccountQueries
    company_queries: CompanyQueries
    project_queries: ProjectQueries
    token_queries: ProjectTokenQueries
    integration_queries: IntegrationQueries
    end_user_queries: EndUserQueries
    catalogue: Catalogue
    clock: Clock
    note_use: Callable[[UUID, UUID], None]
    readiness: Callable[[], Awaitable[list[str]]]
    metrics_token: str | None
