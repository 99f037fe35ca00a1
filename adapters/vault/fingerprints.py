"""Notices at the start that a master key is missing or is not the one that the database was sealed under."""

from __future__ import annotations

from adapters.postgres.pool import Connection
from adapters.settings import CannotStart
from adapters.vault.keyring import Keyring

# From one id to the next by the index: as many look-ups as there are ids, however many data keys there are.
_IN_USE = """
with recursive used(master_key_id) as (
    (select master_key_id from data_keys where wrapped_key is not null order by 1 limit 1)
    union all
    select (
        select k.master_key_id from data_keys k
        where k.wrapped_key is not null and k.master_key_id > used.master_key_id order by 1 limit 1
    ) from used where used.master_key_id is not null
)
select master_key_id from used where master_key_id is not null order by 1
"""


async def keys_in_use(connection: Connection) -> list[str]:
    """The ids of the master keys that some data key is wrapped with."""
    return [row["master_key_id"] for row in await connection.fetch(_IN_USE)]


async def known_keys(connection: Connection) -> dict[str, bytes]:
    """The fingerprints of all keys that this database ever met, by id."""
    rows = await connection.fetch("select master_key_id, fingerprint from master_keys")
    return {row["master_key_id"]: bytes(row["fingerprint"]) for row in rows}


async def check_keyring(connection: Connection, keyring: Keyring) -> None:
    """Records the fingerprints of new keys; CannotStart when a known key differs or one that is in use is missing."""
    known = await known_keys(connection)
    given = keyring.fingerprints()
    for key_id, fingerprint in given.items():
        if known.get(key_id, fingerprint) != fingerprint:
            raise CannotStart(
                f"the master key {key_id!r} is not the one this database was sealed under; give the right key in"
                " CAUSEWAY_MASTER_KEY (or the data directory it was made in)"
            )
    for key_id in await keys_in_use(connection):
        if key_id not in given:
            raise CannotStart(
                f"the master key {key_id!r} is still in use here but not in {keyring.path or 'CAUSEWAY_MASTER_KEY'};"
                " add it after the current one, or run scripts/rotate_keys before you take it away"
            )
    await connection.executemany(
        "insert into master_keys (master_key_id, fingerprint) values ($1, $2) on conflict do nothing",
        list(given.items()),
    )
