"""Audits every read model against the fold of its events, and every history against its own numbering."""

import asyncio
from uuid import UUID

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.pool import Pool
from adapters.vault.keyring import Keyring
from adapters.vault.vault import PostgresVault
from domain.events import Recorded
from projections.audit import Audit
from projections.catalogue import ALL_PROJECTIONS
from scripts.torturing.verdict import Verdict

_SETTLE_SECONDS = 30.0
_DIRTY = "select exists (select from dirty)"


async def audit_all(verdict: Verdict, pool: Pool, keyring: Keyring) -> None:
    """Call it when nobody writes any more and a service still runs, which has some seconds to fold what is left."""
    for _ in range(int(_SETTLE_SECONDS / 0.2)):
        if not await pool.fetchval(_DIRTY):
            break
        await asyncio.sleep(0.2)
    verdict.check(not await pool.fetchval(_DIRTY), "read models do not catch up with their history")
    audit = Audit(pool, ALL_PROJECTIONS, lambda connection: PostgresVault(connection, keyring))
    async for finding in audit.run():
        verdict.violations.append(
            f"audit: {finding.problem} {finding.projection} {finding.table} in tenant {finding.tenant_id}"
        )
    verdict.did["events folded again"] = audit.counted.events
    verdict.did["rows compared"] = audit.counted.rows
    verdict.check(audit.counted.rows > 0, "there was nothing to audit")


async def read_history(pool: Pool, tenant_id: UUID) -> list[Recorded]:
    """All of the tenant's events, in order."""
    store = PostgresEventStore(pool)
    history: list[Recorded] = []
    while more := await store.read_tenant(tenant_id, history[-1].position if history else 0, 5_000):
        history += more
    return history
