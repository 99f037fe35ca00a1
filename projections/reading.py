"""What queries of read models have in common: the serving generation, pages, and reads that share a statement."""

from __future__ import annotations

from typing import Generic, TypeAlias, TypeVar

import asyncpg
import msgspec

Item = TypeVar("Item")
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


def live(projection: str, alias: str, tenant: str) -> str:
    """A join that finds the generation that serves the tenant: ``live("end_users", "g", "q.tenant_id")``."""
    return f"join checkpoints {alias} on {alias}.tenant_id = {tenant} and {alias}.projection = '{projection}' and {alias}.live"


class Page(msgspec.Struct, frozen=True):
    """Which page is asked for: numbers start at 1, ``size`` is 1 to 100."""

    number: int = 1
    size: int = 100

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


class Listing(msgspec.Struct, Generic[Item], frozen=True):
    """A page's items, and how many there are on all pages."""

    items: list[Item]
    total: int
    page: Page
