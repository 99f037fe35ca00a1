"""What acts for a company: API keys, and sessions of people who chose it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from domain.events import Event


class ApiKeyIssued(Event, frozen=True):
    """``digest`` is the key's SHA-256. ``expires_at`` None: it does not expire."""

    TOPIC = "company_access.api_key_issued"
    name: str
    digest: bytes
    expires_at: datetime | None = None


class CompanyEntered(Event, frozen=True):
    """A person chose this company to work for; the session ends by itself."""

    TOPIC = "company_access.entered"
    account_id: UUID
    digest: bytes
    expires_at: datetime


COMPANY_ACCESS_STREAM = "company_access"
