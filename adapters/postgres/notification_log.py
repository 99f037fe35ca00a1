"""A tenant's history as the eventsourcing library's own recorder and notification log read it, for a second opinion."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.application import LocalNotificationLog
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier, Literal

_VIEW = "stored_events_of_one_tenant"
_SECTION = 10_000
_NOBODY = UUID(int=0)


class _TenantDatastore(PostgresDatastore):
    """One connection with a temporary view of one tenant's events: the library knows no tenants."""

    def __init__(self, dsn: str) -> None:
        self._tenant = [_NOBODY]
        options = conninfo_to_dict(dsn)
        super().__init__("", "", "", "", "", schema="pg_temp", connect_timeout=30)
        kwargs: Any = self.pool.kwargs
        self.pool.kwargs = {**options, "row_factory": kwargs["row_factory"]}

    def after_connect_func(self) -> Callable[[psycopg.Connection[Any]], None]:
        configure, tenant = super().after_connect_func(), self._tenant

        def after_connect(connection: psycopg.Connection[Any]) -> None:
            configure(connection)
            connection.execute("set timezone to 'UTC'")
            _show(connection, tenant[0])

        return after_connect

    def show(self, tenant_id: UUID) -> None:
        if self._tenant[0] != tenant_id:
            self._tenant[0] = tenant_id
            with self.get_connection() as connection:
                _show(connection, tenant_id)


def _show(connection: psycopg.Connection[Any], tenant_id: UUID) -> None:
    statement = SQL(
        "create or replace temporary view {view} as select originator_id, originator_version, topic, state, notification_id"
        " from stored_events where tenant_id = {tenant}"
    )
    connection.execute(statement.format(view=Identifier(_VIEW), tenant=Literal(tenant_id)))


class LibraryNotifications:
    """Reads over a connection of its own, which must not go through a transaction-mode pooler; close it at the end."""

    def __init__(self, dsn: str) -> None:
        self._datastore = _TenantDatastore(dsn)
        self._log: LocalNotificationLog | None = None

    async def read(self, tenant_id: UUID, first: int, last: int) -> Sequence[tuple[int, UUID, int, str, bytes]]:
        """The notifications with these ids, both ends included, in order: (id, originator_id, originator_version, topic,
        state), which are position, stream id, version, topic and state.
        """
        return await asyncio.to_thread(self._read, tenant_id, first, last)

    def _read(self, tenant_id: UUID, first: int, last: int) -> list[tuple[int, UUID, int, str, bytes]]:
        if self._log is None:
            recorder = PostgresApplicationRecorder(self._datastore, events_table_name=_VIEW)
            self._log = LocalNotificationLog(recorder, section_size=_SECTION)
        self._datastore.show(tenant_id)
        return [
            (one.id, UUID(str(one.originator_id)), one.originator_version, one.topic, one.state)
            for one in self._log.select(start=first, limit=_SECTION, stop=last)
        ]

    async def aclose(self) -> None:
        await asyncio.to_thread(self._datastore.close)
