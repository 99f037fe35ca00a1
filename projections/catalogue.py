"""All read models of Causeway."""

from __future__ import annotations

from projections.accounts import ACCOUNTS
from projections.companies import COMPANIES
from projections.end_users import END_USERS
from projections.integrations import INTEGRATIONS
from projections.project_tokens import PROJECT_TOKENS
from projections.projects import PROJECTS
from projections.webhooks import WEBHOOKS

ALL_PROJECTIONS = (ACCOUNTS, COMPANIES, PROJECTS, PROJECT_TOKENS, INTEGRATIONS, END_USERS, WEBHOOKS)
