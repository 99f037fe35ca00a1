"""Rotation: data keys are wrapped anew under the current master key, while everybody goes on. Nothing else is touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from adapters.postgres.pool import Pool, outlive_restarts
from adapters.vault.envelope import unwrap, wrap
from adapters.vault.fingerprints import check_keyring, keys_in_use, known_keys
from adapters.vault.keyring import Keyring

BATCH = 1_000
"""Data keys per statement."""

_NOBODY = UUID(int=0)
_COUNT = "select count(*) from data_keys where wrapped_key is not null and master_key_id <> $1"
_NEXT = """
select tenant_id, subject_id, wrapped_key from data_keys
where wrapped_key is not null and master_key_id = $1 and (tenant_id, subject_id) > ($2, $3)
order by tenant_id, subject_id limit $4
"""
# Rows that somebody holds are left for the next pass: whoever waits for nobody is in no deadlock. A key that was shredded
# or wrapped anew in between no longer matches, and stays as it is.
_REWRAP = """
with held as materialized (
    select k.tenant_id, k.subject_id, u.before, u.after
    from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[]) as u(tenant_id, subject_id, before, after)
    join data_keys k on k.tenant_id = u.tenant_id and k.subject_id = u.subject_id and k.wrapped_key = u.before
    for update of k skip locked
)
update data_keys k set wrapped_key = held.after, master_key_id = $5 from held
where k.tenant_id = held.tenant_id and k.subject_id = held.subject_id and k.wrapped_key = held.before
returning 1
"""


class KeyRotation:
    """May be stopped at any moment and run again, also by two programs at once."""

    def __init__(self, pool: Pool, keyring: Keyring, settle_seconds: float = 1.0) -> None:
        self._pool = pool
        self._keyring = keyring
        self._settle_seconds = settle_seconds

    async def new_key(self) -> str:
        """Makes a master key, puts it first in the key file and answers its id, which this database never met.

        LookupError when the keys do not come from a file.
        """
        async with self._pool.acquire() as connection:
            key_id = self._keyring.add_key(await known_keys(connection))
            await check_keyring(connection, self._keyring)
        return key_id

    @property
    def current(self) -> str:
        return self._keyring.ids()[0]

    async def waiting(self) -> int:
        """How many data keys are not under the current master key."""
        return int(await self._pool.fetchval(_COUNT, self.current) or 0)

    async def run(self) -> AsyncIterator[int]:
        """Rewraps until no data key is left under another master key, and yields how many each batch moved.

        A service that is just learning of the new key may still store one under the old: so it is looked twice.
        """
        quiet = 0
        while quiet < 2:
            others = [key_id for key_id in await outlive_restarts(self._in_use) if key_id != self.current]
            moved = 0
            for key_id in others:
                async for count in self._pass(key_id):
                    moved += count
                    yield count
            quiet = 0 if others else quiet + 1
            if quiet < 2 and moved == 0:
                await asyncio.sleep(self._settle_seconds)

    async def _in_use(self) -> list[str]:
        async with self._pool.acquire() as connection:
            return await keys_in_use(connection)

    async def _pass(self, key_id: str) -> AsyncIterator[int]:
        """Once over the data keys under that master key, in order of their ids."""
        tenant_id, subject_id = _NOBODY, _NOBODY
        while True:
            rows = await self._pool.fetch(_NEXT, key_id, tenant_id, subject_id, BATCH)
            if not rows:
                return
            yield await self._rewrap(key_id, [(row[0], row[1], bytes(row[2])) for row in rows])
            tenant_id, subject_id = rows[-1]["tenant_id"], rows[-1]["subject_id"]

    async def _rewrap(self, key_id: str, rows: list[tuple[UUID, UUID, bytes]]) -> int:
        old, current = self._keyring.key(key_id), self.current
        new = self._keyring.key(current)
        after = [
            wrap(new, current, tenant, subject, unwrap(old, key_id, tenant, subject, wrapped))
            for tenant, subject, wrapped in rows
        ]
        columns = [list(column) for column in zip(*rows, strict=True)]
        moved = await self._pool.fetch(_REWRAP, *columns, after, current)
        return len(moved)
