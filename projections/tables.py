"""The tables of read models, as declarations: their SQL for creating, writing and reading whole generations is derived."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec

from projections.reading import Connection


class Table(msgspec.Struct, frozen=True, eq=False, dict=True):
    """A read table. ``key`` and ``columns`` map names to PostgreSQL types; every table also has tenant_id and
    generation in front of its key. Array types are not possible (rows travel as columns): keep a list as JSON text.
    A changed shape is a new name. ``expires`` names the timestamptz column after which a row is as good as gone: it is
    removed some time later, no event prolongs it, and queries leave it out by themselves.
    """

    name: str
    key: Mapping[str, str]
    columns: Mapping[str, str]
    indexes: tuple[str, ...] = ()
    expires: str | None = None

    @cached_property
    def key_columns(self) -> dict[str, str]:
        return {"tenant_id": "uuid", "generation": "integer", **self.key}

    @cached_property
    def all_columns(self) -> dict[str, str]:
        return {**self.key_columns, **self.columns}

    @cached_property
    def _matches(self) -> str:
        return " and ".join(f"t.{name} = u.{name}" for name in self.key_columns)

    def create(self) -> dict[str, str]:
        """DDL by the name of what it makes. An index is what follows ``on <table>``, for example ``(tenant_id, digest)``."""
        columns = ", ".join(
            f"{name} {kind}{' not null' if name in self.key_columns else ''}" for name, kind in self.all_columns.items()
        )
        statements = {self.name: f"create table {self.name} ({columns}, primary key ({', '.join(self.key_columns)}))"}
        indexes = (*self.indexes, f"({self.expires})") if self.expires else self.indexes
        for number, index in enumerate(indexes, start=1):
            statements[f"{self.name}_{number}"] = f"create index {self.name}_{number} on {self.name} {index}"
        return statements

    def upsert(self) -> str:
        names = ", ".join(self.all_columns)
        sets = ", ".join(f"{name} = excluded.{name}" for name in self.columns)
        then = f"do update set {sets}" if sets else "do nothing"
        return (
            f"insert into {self.name} ({names}) select * from unnest({_parameters(self.all_columns)})"
            f" on conflict ({', '.join(self.key_columns)}) {then}"
        )

    def update(self, changed: tuple[str, ...]) -> str:
        columns = {**self.key_columns, **{name: self.columns[name] for name in changed}}
        sets = ", ".join(f"{name} = u.{name}" for name in changed)
        return (
            f"update {self.name} t set {sets} from unnest({_parameters(columns)}) as u({', '.join(columns)})"
            f" where {self._matches}"
        )

    def delete(self) -> str:
        return (
            f"delete from {self.name} t using unnest({_parameters(self.key_columns)})"
            f" as u({', '.join(self.key_columns)}) where {self._matches}"
        )

    def delete_where(self, columns: tuple[str, ...]) -> str:
        conditions = "".join(
            f" and {name} = ${number}::{self.all_columns[name]}" for number, name in enumerate(columns, start=3)
        )
        return f"delete from {self.name} where tenant_id = $1 and generation = $2{conditions}"

    def delete_everywhere(self, columns: tuple[str, ...]) -> str:
        """Like delete_where, in all generations of the tenant."""
        conditions = "".join(
            f" and {name} = ${number}::{self.all_columns[name]}" for number, name in enumerate(columns, start=2)
        )
        generations = "select generation from checkpoints where tenant_id = $1"
        return f"delete from {self.name} where tenant_id = $1 and generation in ({generations}){conditions}"

    def clear(self, everywhere: bool) -> str:
        """Deletes at most so many rows of a tenant, in one generation or in all of its, and answers how many it found."""
        generations = "in (select generation from checkpoints where tenant_id = $1)" if everywhere else "= $2"
        return (
            f"with step as materialized (select ctid from {self.name} where tenant_id = $1 and generation {generations}"
            f" limit ${2 if everywhere else 3}), gone as (delete from {self.name}"
            " where ctid = any (array(select ctid from step))) select count(*) from step"
        )

    def delete_expired(self) -> str:
        """At most so many rows of any tenant whose time has come, the oldest first."""
        keys = ", ".join(self.key_columns)
        return (
            f"delete from {self.name} t using (select {keys} from {self.name} where {self.expires} < statement_timestamp()"
            f" order by {self.expires} limit $1 for update skip locked) u where {self._matches}"
        )

    def has_expired(self, values: Values, now: datetime) -> bool:
        """Whether a row with these values may be removed by now, or be there still."""
        ends = values[self.expires] if self.expires else None
        return ends is not None and ends <= now

    def select_generation(self) -> str:
        """All rows of a tenant's generation, in key order."""
        return (
            f"select {', '.join([*self.key, *self.columns])} from {self.name}"
            f" where tenant_id = $1 and generation = $2 order by {', '.join(self.key) or 'tenant_id'}"
        )

    async def check_shape(self, connection: Connection) -> None:
        """ValueError when the table stands there in another shape."""
        rows = await connection.fetch(
            "select attname, format_type(atttypid, atttypmod) as type from pg_attribute"
            " where attrelid = to_regclass($1) and attnum > 0 and not attisdropped order by attnum",
            self.name,
        )
        there = {row["attname"]: row["type"] for row in rows}
        spelled = {"timestamptz": "timestamp with time zone", "int": "integer", "bool": "boolean"}
        wanted = {name: spelled.get(kind, kind) for name, kind in self.all_columns.items()}
        if there != wanted:
            raise ValueError(f"the read table {self.name} has another shape here: give the changed table a new name")


def _parameters(columns: Mapping[str, str]) -> str:
    return ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(columns.values(), start=1))


Key = tuple[Any, ...]
Values = dict[str, Any]
