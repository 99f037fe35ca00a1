"""A database whose append function takes positions from a sequence instead of from the locked head: the mistake that the
store was designed against, made on purpose."""

import re
from uuid import UUID

import asyncpg

_HEAD_LOCK = re.compile(r"(any \(h_tenant\) and h\.closed_at is null order by h\.tenant_id) for update")
_HEADS_MOVED = re.compile(r"update tenant_heads h set position = .*?;", re.DOTALL)
_POSITION = re.compile(r"h_position\[a_slot\[e\.append\]\] \+ a_before\[e\.append\] \+ e\.number")
_MARK = re.compile(r"m\.position \+ m\.events(?= from)")

_FROM_SEQUENCE = "nextval(('mutant_' || replace(a_tenant[e.append]::text, '-', '_'))::regclass)"
_MUTATIONS = (
    (_HEAD_LOCK, r"\1"),
    (_HEADS_MOVED, ""),
    (_POSITION, _FROM_SEQUENCE),
    (_MARK, "nextval('mutant_marks')"),
)


async def make_mutant(connection: asyncpg.Connection, tenants: list[UUID]) -> None:
    """Replaces append_batch(). AssertionError when the function has changed so much that this program must follow."""
    source = await connection.fetchval("select pg_get_functiondef('append_batch'::regproc)")
    for pattern, mutation in _MUTATIONS:
        source, count = pattern.subn(mutation, source)
        if count != 1:
            raise AssertionError(
                f"append_batch() is not what the mutant expects: {pattern.pattern!r} was met {count} times"
            )
    await connection.execute("create sequence mutant_marks")
    for tenant in tenants:
        await connection.execute(f"create sequence mutant_{str(tenant).replace('-', '_')}")
    await connection.execute(source)
