"""Notices at the start that a master key is missing or is not the one that the database was sealed under."""

from __future__ import annotations

from adapters.postgres.pool import Connection
from adapters.settings import CannotStart
from adapters.vault.keyring import Keyring


async def check_keyring(connection: Connection, keyring: Keyring) -> None:
    """Records the fingerprints of new keys; CannotStart when a known key differs or one that is in use is missing."""
    known = {
        row["master_key_id"]: bytes(row["fingerprint"])
        for row in await connection.fetch("select master_key_id, fingerprint from master_keys")
    }
    given = keyring.fingerprints()
    for key_id, fingerprint in given.items():
        if known.get(key_id, fingerprint) != fingerprint:
            raise CannotStart(
                f"the master key {key_id!r} is not the one this database was sealed under; give the right key in"
                " CAUSEWAY_MASTER_KEY (or the data directory it was made in)"
            )
    for key_id in sorted(known.keys() - given.keys()):
        if await connection.fetchval(
            "select exists (select from data_keys where master_key_id = $1 and wrapped_key is not null)", key_id
        ):
            raise CannotStart(
                f"the master key {key_id!r} is still in use here but not in CAUSEWAY_MASTER_KEY;"
                " add it after the current one, or run scripts/rotate_keys before you take it away"
            )
    await connection.executemany(
        "insert into master_keys (master_key_id, fingerprint) values ($1, $2) on conflict do nothing",
        list(given.items()),
    )
