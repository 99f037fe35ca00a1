"""Connections to refresh, seeded as imports would have left them, and a provider in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from domain.connections.connection import CONNECTION
from domain.connections.events import TokenImported
from domain.connections.secret import Secret
from domain.events import Metadata
from domain.ids import new_id
from domain.ports import Append, SealedCredential, StreamEvents, credential_context
from scripts.torturing.refresh_node import APP, Node, Place

_PER_APPEND = 500
_MARKS = (
    "insert into connection_marks select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[])"
)
_IDLE = (
    "insert into streams (tenant_id, stream_id, stream_type, version) select $1, s.id, 'connection', 1 from idle s",
    "insert into events (tenant_id, stream_id, version, position, topic, state, metadata, recorded_at)"
    " select $1, s.id, 1, $2 + s.i, 'connection.token_imported', $3, $4, clock_timestamp() from idle s",
    "insert into credentials (tenant_id, connection_id, version, subject_id, sealed)"
    " select $1, s.id, 1, $1, convert_to(repeat(s.id::text, 12), 'UTF8') from idle s",
    "insert into read_connections_1 (tenant_id, generation, connection_id, app_key, name, is_default, auth_type, scopes,"
    " renewable, ended, message, created_at, updated_at)"
    " select $1, 1, s.id, 'local', '', true, 'oauth2', '[]', true, '', '', clock_timestamp(), clock_timestamp() from idle s",
    "insert into connection_marks (tenant_id, connection_id, last_used_at)"
    " select $1, s.id, clock_timestamp() - interval '90 days' from idle s",
    "update tenant_heads set position = position + (select count(*) from idle) where tenant_id = $1",
    "update checkpoints set position = position + (select count(*) from idle) where tenant_id = $1",
)


class Seeded(msgspec.Struct, frozen=True):
    project_id: UUID
    connection_id: UUID


@contextlib.asynccontextmanager
async def token_endpoint(milliseconds: float, expires_in: int) -> AsyncIterator[str]:
    """The address of a provider that takes so long for each answer."""
    program = Path(__file__).with_name("token_endpoint.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        str(milliseconds),
        str(expires_in),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.terminate()
        await process.wait()


def manifest(url: str) -> dict[str, Any]:
    """The provider as an app of the catalogue."""
    scheme = {
        "type": "oauth2",
        "review": "unverified",
        "authorize_url": f"{url}/authorize",
        "token_url": f"{url}/token",
        "default_scopes": ["read"],
    }
    return {
        "key": APP,
        "name": "Local Provider",
        "desc": "A token endpoint on this machine.",
        "categories": ["testing"],
        "hosts": ["127.0.0.1"],
        "docs": ["https://www.rfc-editor.org/rfc/rfc6749"],
        "auth": [scheme],
    }


@contextlib.asynccontextmanager
async def bench_node(dsn: str, folder: str, url: str, projects: list[UUID]) -> AsyncIterator[Node]:
    place = Place(dsn=dsn, keys=folder, project_id=projects[0], manifest=manifest(url))
    async with Node.at(place) as node:
        await node.found(projects, "causeway", "a-secret-of-the-client")
        yield node


async def seed(node: Node, projects: list[UUID], count: int) -> list[Seeded]:
    """So many connections, an end user's each, spread over the projects; their tokens have ended."""
    seeded: list[Seeded] = []
    for start in range(0, count, _PER_APPEND):
        project_id = projects[(start // _PER_APPEND) % len(projects)]
        made = [_connection(node, project_id, start + number) for number in range(min(_PER_APPEND, count - start))]
        await node.store.append(
            Append(
                tenant_id=project_id,
                streams=tuple(stream for stream, _, _ in made),
                metadata=Metadata("script:bench", new_id()),
                data_keys=tuple(key for _, key, _ in made),
                credentials=tuple(credential for _, _, credential in made),
            )
        )
        await node.follower.follow(project_id, 0)
        seeded += [Seeded(project_id, stream.stream_id) for stream, _, _ in made]
    return seeded


def _connection(node: Node, project_id: UUID, number: int) -> tuple[StreamEvents, Any, SealedCredential]:
    connection_id, user_id, ended = new_id(), new_id(), datetime.now(UTC) - timedelta(seconds=1)
    imported = TokenImported(
        end_user_id=user_id,
        app_key=APP,
        auth_type="oauth2",
        credential_version=1,
        scopes=("read",),
        expires_at=ended,
        renewable=True,
    )
    wrapped, key = node.vault.new_key(project_id, user_id)
    secret = Secret(access_token=f"access.{number}.1", refresh_token=f"{number}.1", expires_at=ended, scopes=("read",))
    sealed = key.seal(credential_context(connection_id, 1), secret.sealed_form())
    stream = StreamEvents(connection_id, CONNECTION.stream_type, 0, (imported,))
    return stream, wrapped, SealedCredential(connection_id, 1, user_id, sealed)


async def mark(node: Node, seeded: list[Seeded], due_at: list[datetime]) -> None:
    """All of them are in use, and due at these times."""
    now = datetime.now(UTC)
    await node.pool.execute(
        _MARKS, [one.project_id for one in seeded], [one.connection_id for one in seeded], [now] * len(seeded), due_at
    )


async def seed_idle(node: Node, project_id: UUID, count: int) -> None:
    """Connections that were used long ago, with all the rows that they have anywhere."""
    async with node.pool.acquire() as connection, connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await connection.execute(
            "create temporary table idle on commit drop as"
            f" select gen_random_uuid() as id, g.i from generate_series(1, {int(count)}) as g(i)"
        )
        position = await connection.fetchval("select position from tenant_heads where tenant_id = $1", project_id)
        sample = await connection.fetchrow(
            "select state, metadata from events where topic = $1 limit 1", TokenImported.TOPIC
        )
        given = (project_id, position, sample["state"], sample["metadata"])
        for statement in _IDLE:
            await connection.execute(statement, *given[: statement.count("$")] if "$2" in statement else given[:1])
    await node.pool.execute("vacuum analyze")


async def settle_down(node: Node) -> None:
    """Nothing that was written is left to be written again."""
    await node.pool.execute("checkpoint")


def cpu_seconds(pids: list[int]) -> float:
    """What these processes and their ended children have used so far (Linux)."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and its children."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, listed)]
