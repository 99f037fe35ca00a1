"""Rows that end by themselves, such as sessions: removed some time after that, a few at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from projections.projection import Projection
from projections.reading import Pool
from projections.tables import Table


def expiring(pool: Pool, projections: Sequence[Projection]) -> list[Callable[[int], Awaitable[int]]]:
    """A removal for each table whose rows expire: takes at most so many, of all generations, and answers how many."""
    tables = [table for projection in projections for table in projection.tables if table.expires]
    return [partial(_remove, pool, table) for table in tables]


async def _remove(pool: Pool, table: Table, at_most: int) -> int:
    status = await pool.execute(table.delete_expired(), at_most)
    return int(status.rpartition(" ")[2])
