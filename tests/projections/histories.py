"""Making history and looking at read models in the tests of projections."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from adapters.vault.vault import PostgresVault
from app import Causeway
from domain.connections.connecting import ConnectWishes
from domain.deciding import Caller
from domain.projects.project import ProjectSettings
from domain.projects.use_cases import NewIntegration
from projections import audit, folding, projector, rebuild, replay
from projections.audit import Audit, SecondReader
from projections.catalogue import ALL_PROJECTIONS
from projections.findings import Finding
from projections.projection import Projection
from projections.reading import Pool

CALLER = Caller("test:history")
SECRET = {"accessToken": "ghp_" + "a" * 36}


def small_batches(monkeypatch: pytest.MonkeyPatch, size: int = 3) -> None:
    """So that a few events take many steps."""
    for module in (audit, folding, projector, rebuild, replay):
        monkeypatch.setattr(module, "BATCH", size)


async def connect(wired: Causeway, project_id: UUID, user: str) -> None:
    wishes = ConnectWishes(fields=SECRET, replaces=True)
    await wired.services.connecting.end_user(project_id, CALLER, user, "github", wishes)


async def shows_connected(wired: Causeway, project_id: UUID, user: str) -> bool:
    statuses = await wired.services.connection_queries.statuses(project_id, user, wired.services.clock())
    return statuses == {"github": True}


async def some_history(wired: Causeway, project_id: UUID, users: int = 6) -> None:
    """Connects, connects again, erases, deletes."""
    commands = wired.services
    for number in range(users):
        await connect(wired, project_id, f"user{number}")
    await connect(wired, project_id, "user1")
    await commands.end_users.erase(project_id, CALLER, "user2")
    await commands.connections.delete(project_id, CALLER, "user3", "github")
    own, _, _ = await commands.connecting.own(project_id, CALLER, "github", "mine", ConnectWishes(fields=SECRET))
    await commands.connecting.own(project_id, CALLER, "github", "other", ConnectWishes(fields=SECRET))
    await commands.connections.delete_own(project_id, CALLER, own.connection_id)


async def new_project(wired: Causeway, company_id: UUID, name: str = "Another") -> UUID:
    """A project, with its history yet to come."""
    settings = ProjectSettings(name=name, webhook_url="https://a.example/hook")
    made, _ = await wired.services.projects.create(company_id, CALLER, settings)
    return made.project_id


async def lively_project(wired: Causeway, company_id: UUID, users: int = 4) -> UUID:
    """A project with an app and some history."""
    project = await new_project(wired, company_id)
    await wired.services.projects.add_integration(project, CALLER, NewIntegration(app_key="github"))
    await some_history(wired, project, users)
    return project


async def rows_of(pool: Pool, projection: Projection, generation: int) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a generation, of all tenants, by table."""
    return {
        table.name: [
            tuple(row)
            for row in await pool.fetch(
                f"select tenant_id, {', '.join([*table.key, *table.columns])} from {table.name}"
                f" where generation = $1 order by {', '.join(['tenant_id', *table.key])}",
                generation,
            )
        ]
        for table in projection.tables
    }


async def live_generations(pool: Pool, projection: Projection) -> set[int]:
    """The generations that some tenant is served from."""
    rows = await pool.fetch("select generation from checkpoints where projection = $1 and live", projection.name)
    return {row["generation"] for row in rows}


async def findings(wired: Causeway, only: UUID | None = None, second: SecondReader | None = None) -> list[Finding]:
    """What the audit finds."""
    audit = Audit(wired.pool, ALL_PROJECTIONS, lambda connection: PostgresVault(connection, wired.keyring), second)
    return [finding async for finding in audit.run(only)]


async def append_raw(
    wired: Causeway, tenant_id: UUID, topic: str, state: bytes = b"{}", stream_id: UUID | None = None
) -> int:
    """An event as a program that is not this one may have written it; answers its position."""
    async with wired.pool.acquire() as connection, connection.transaction():
        position = await connection.fetchval(
            "update tenant_heads set position = position + 1 where tenant_id = $1 returning position", tenant_id
        )
        stream_id = stream_id or uuid4()
        version = await connection.fetchval(
            "insert into streams (tenant_id, stream_id, stream_type, version) values ($1, $2, $3, 1)"
            " on conflict (tenant_id, stream_id) do update set version = streams.version + 1 returning version",
            tenant_id,
            stream_id,
            topic.partition(".")[0],
        )
        metadata = msgspec.json.encode({"actor": "test:raw", "command_id": uuid4()})
        await connection.execute(
            "insert into events (tenant_id, stream_id, version, position, topic, state, metadata, recorded_at)"
            " values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp())",
            tenant_id,
            stream_id,
            version,
            position,
            topic,
            state,
            metadata,
        )
        await connection.execute("insert into dirty (tenant_id, position) values ($1, $2)", tenant_id, position)
    return int(position)


async def lose_events(wired: Causeway, tenant_id: UUID, *positions: int) -> None:
    """Damages the history as no program can, past the triggers that forbid it."""
    async with wired.pool.acquire() as connection, connection.transaction():
        await connection.execute("alter table events disable trigger user")
        await connection.execute(
            "delete from events where tenant_id = $1 and position = any ($2)", tenant_id, positions
        )
        await connection.execute("alter table events enable trigger user")


async def checkpoint(wired: Causeway, projection: Projection, tenant_id: UUID) -> tuple[int, str | None]:
    """Position and reason to have stopped of what serves."""
    row = await wired.pool.fetchrow(
        "select position, stopped from checkpoints where projection = $1 and tenant_id = $2 and live",
        projection.name,
        tenant_id,
    )
    return tuple(row)  # type: ignore[return-value]


def fed_by_other_code(projection: Projection) -> Projection:
    """The same read model as another version of the program has it."""
    other = msgspec.structs.replace(projection)
    other.__dict__["code_hash"] = b"other" + projection.code_hash[5:]
    return other
