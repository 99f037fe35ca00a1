"""A database whose append function takes positions from a sequence instead of from the locked head: the mistake that the
store was designed against, made on purpose."""

import re
from uuid import UUID

import asyncpg

_HEAD_LOCK = re.compile(r"(where h\.tenant_id = any \(a_tenant\) order by h\.tenant_id) for update")
_MOVED = re.compile(r"with moved as \(\s*update tenant_heads h.*?returning [^)]*?\), stored as \(", re.DOTALL)
_POSITION = re.compile(r"m\.base \+ row_number\(\) over \(partition by m\.tenant_id order by e\.i\)")

_UNLOCKED = """with moved as (
    select a.tenant_id, 0::bigint as base, nextval('mutant_marks') as position, clock_timestamp() as last_recorded_at
    from unnest(a_tenant) with ordinality as a(tenant_id, i) where fate[a.i] = 0 group by a.tenant_id
), stored as ("""
_FROM_SEQUENCE = "nextval(('mutant_' || replace(m.tenant_id::text, '-', '_'))::regclass)"


async def make_mutant(connection: asyncpg.Connection, tenants: list[UUID]) -> None:
    """Replaces append_batch(). AssertionError when the function has changed so much that this program must follow."""
    source = await connection.fetchval("select pg_get_functiondef('append_batch'::regproc)")
    for pattern, mutation in ((_HEAD_LOCK, r"\1"), (_MOVED, _UNLOCKED), (_POSITION, _FROM_SEQUENCE)):
        source, count = pattern.subn(mutation, source)
        if count != 1:
            raise AssertionError(
                f"append_batch() is not what the mutant expects: {pattern.pattern!r} was met {count} times"
            )
    await connection.execute("create sequence mutant_marks")
    for tenant in tenants:
        await connection.execute(f"create sequence mutant_{str(tenant).replace('-', '_')}")
    await connection.execute(source)
