"""Recognisable secrets, and the places where they must not be found in any disguise."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from adapters.postgres.pool import Pool


def disguises(secret: str) -> list[bytes]:
    """The secret as it is, percent-encoded, in hexadecimal, and inside base64 at each of its three alignments."""
    raw = secret.encode()
    found = [raw, quote(secret, safe="").encode(), raw.hex().encode()]
    for shift in range(3):
        encoded = b64encode(b"\0" * shift + raw)
        inner = encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4]
        found += [inner, inner.replace(b"+", b"-").replace(b"/", b"_")]
    return found


def found_in(text: bytes, secrets: Mapping[str, str]) -> list[str]:
    """The names of the secrets that the text tells."""
    return [name for name, secret in secrets.items() if any(one in text for one in disguises(secret))]


async def database(pool: Pool) -> dict[str, bytes]:
    """Every table's rows, with their bytes as bytes."""
    tables = await pool.fetch("select tablename from pg_tables where schemaname = 'public' order by 1")
    rows = {row["tablename"]: await pool.fetch(f"select * from {row['tablename']}") for row in tables}
    return {name: b"\n".join(_bytes(row.values()) for row in found) for name, found in rows.items()}


def _bytes(values: Iterable[Any]) -> bytes:
    return b"|".join(value if isinstance(value, bytes) else str(value).encode() for value in values)
