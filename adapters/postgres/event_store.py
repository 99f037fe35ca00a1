"""The event store on PostgreSQL: appends share commits, reads are single statements."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from adapters.postgres.append_batch import Encoded, arguments, choose, encode
from adapters.postgres.held_connection import HeldConnection
from adapters.postgres.pool import Pool, away, is_lost, outlive_restarts
from domain.batching import Batcher, SharedQuery, Waiting, settle
from domain.event_codec import decode_event, decode_metadata
from domain.events import Event, Recorded
from domain.facts import Fact
from domain.ports import (
    Append,
    Appended,
    CommandKnown,
    FactMissing,
    FactTaken,
    Lost,
    StaleStream,
    StoredSnapshot,
    SubjectForgotten,
    TenantClosed,
)

STORED, CLOSED, KNOWN, OTHER_REQUEST, STALE, TAKEN, MISSING, FORGOTTEN = range(8)

_COLUMNS = "tenant_id, stream_id, version, position, recorded_at, topic, state, metadata"
_STREAM = f"select {_COLUMNS} from events where tenant_id = $1 and stream_id = $2 and version > $3 order by version"
_ARCHIVED_STREAM = _STREAM.replace("from events", "from events_archive")
_EVENTS_OF = (
    "select array_agg(topic), array_agg(state) from"
    " (select topic, state from events where tenant_id = $1 and stream_id = $2 and version > $3 order by version) stream"
)
_ARCHIVED_EVENTS_OF = _EVENTS_OF.replace("from events", "from events_archive")
_TENANT = f"select {_COLUMNS} from all_events where tenant_id = $1 and position > $2 order by position limit $3"
_HOLDERS = (
    "select f.i, u.stream_id from unnest($1::uuid[], $2::text[], $3::text[]) with ordinality as f(tenant_id, kind, key, i)"
    " join uniques u on u.tenant_id = f.tenant_id and u.kind = f.kind and u.key = f.key"
    " join tenant_heads h on h.tenant_id = f.tenant_id and h.closed_at is null"
)
_ANSWER = (
    "select c.request_hash, c.result from commands c"
    " join tenant_heads h on h.tenant_id = c.tenant_id and h.closed_at is null"
    " where c.tenant_id = $1 and c.command_id = $2 and c.expires_at > clock_timestamp()"
)
_SNAPSHOT = (
    "select s.version, s.topic, s.state, s.code_hash from snapshots s"
    " join tenant_heads h on h.tenant_id = s.tenant_id and h.closed_at is null"
    " where s.tenant_id = $1 and s.stream_id = $2"
)
_ABANDONED = "select empty_some(m.tenant_id, $1) from (select tenant_id from emptying limit 1 for update skip locked) m"
_EMPTIED_AT_ONCE = 5_000
"""Rows per step: a step is over before anybody who needs the database for something else would notice."""

_EXPIRED = """
delete from commands c using (
    select tenant_id, command_id from commands where expires_at < statement_timestamp() order by expires_at limit $1
    for update skip locked
) old where c.tenant_id = old.tenant_id and c.command_id = old.command_id returning 1
"""
_KEEP_SNAPSHOT = """
insert into snapshots (tenant_id, stream_id, version, topic, state, code_hash)
select $1, $2, $3, $4, $5, $6 from tenant_heads where tenant_id = $1 and closed_at is null for share
on conflict (tenant_id, stream_id) do update set version = excluded.version, topic = excluded.topic,
    state = excluded.state, code_hash = excluded.code_hash
where snapshots.version <= excluded.version
"""
_LOSSES: dict[int, type[Lost]] = {
    CLOSED: TenantClosed,
    STALE: StaleStream,
    TAKEN: FactTaken,
    MISSING: FactMissing,
    FORGOTTEN: SubjectForgotten,
}
_OWN = "select position, recorded_at, metadata from all_events where tenant_id = $1 and stream_id = $2 and version = $3"
_RETRYABLE = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)


def recorded(row: asyncpg.Record) -> Recorded:
    """An event row as its envelope; UnknownEvent when this program does not know its topic."""
    tenant_id, stream_id, version, position, recorded_at, topic, state, metadata = row
    return Recorded(
        tenant_id, stream_id, version, position, recorded_at, decode_event(topic, state), decode_metadata(metadata)
    )


def _unnoted(appends: int, seconds: float) -> None:
    return


class PostgresEventStore:
    """EventStore over a pool. One append call is in flight per process; more gather behind it. ``note`` hears of every call:
    how many appends it carried, and the seconds it took.
    """

    def __init__(self, pool: Pool, note: Callable[[int, float], None] = _unnoted) -> None:
        self._pool = pool
        self._note = note
        self._writer, self._reader = HeldConnection(pool), HeldConnection(pool)
        self._lane: Batcher[Encoded, Appended] = Batcher(self._flush, choose=choose)
        self._holders = SharedQuery(self._read, _HOLDERS)

    async def append(self, append: Append) -> Appended:
        return await self._lane.submit(encode(append))

    async def append_encoded(self, encoded: Encoded) -> Appended:
        """``append`` of events that somebody else encoded; the append itself names its streams without events."""
        return await self._lane.submit(encoded)

    @property
    def waiting(self) -> int:
        """How many appends wait for the next call."""
        return self._lane.queued

    async def drain(self) -> None:
        """Returns when every submitted append was answered."""
        await self._lane.drain()
        await self._writer.let_go()
        await self._reader.let_go()

    async def _flush(self, batch: list[Waiting[Encoded, Appended]]) -> None:
        started = time.perf_counter()
        answers: list[Appended | Lost | Exception] = []
        try:
            answers.extend(await self._call([item for item, _ in batch]))
        except Exception as error:
            if is_lost(error):
                answers.extend([away(error)] * len(batch))
            else:  # one of them poisoned the call: it alone shall hear of it
                for item, _ in batch:
                    answers.append(await self._call_alone(item))
        self._note(len(batch), time.perf_counter() - started)
        for (_, future), answer in zip(batch, answers, strict=True):
            settle(future, answer)

    async def _call_alone(self, item: Encoded) -> Appended | Lost | Exception:
        try:
            return (await self._call([item], uncertain=True))[0]
        except Exception as error:
            return error

    async def _call(self, items: list[Encoded], *, uncertain: bool = False) -> list[Appended | Lost]:
        """One call for all items. A call whose connection broke may or may not have arrived: it is sent again, and an
        append that then looks stale is recognised by the command id in its events.
        """
        call, columns = arguments(items)
        for attempt in range(9):
            try:
                rows = await self._writer.fetch(call, *columns)
            except _RETRYABLE:
                if attempt == 8:
                    raise
                continue
            except Exception as error:
                if not is_lost(error):
                    raise
                if attempt == 8:
                    raise away(error) from error
                uncertain = True
                await asyncio.sleep(0.05 * 2**attempt)
                continue
            answers = [_answer(row) for row in rows]
            return (
                [await self._own(item, answer) for item, answer in zip(items, answers, strict=True)]
                if uncertain
                else answers
            )
        raise AssertionError("unreachable")

    async def _own(self, item: Encoded, answer: Appended | Lost) -> Appended | Lost:
        """What an append that was sent twice came to: its own events, if the first sending arrived after all."""
        append, events, _, _ = item
        if isinstance(answer, Appended) or not events:
            return answer
        stream_id, version, _, _ = events[-1]
        row = await self._pool.fetchrow(_OWN, append.tenant_id, stream_id, version)
        if row is None or decode_metadata(row["metadata"]).command_id != append.metadata.command_id:
            return answer
        return Appended(row["position"], row["recorded_at"])

    async def events_of(self, tenant_id: UUID, stream_id: UUID, after: int = 0) -> list[Event]:
        for statement in (_EVENTS_OF, _ARCHIVED_EVENTS_OF):
            topics, states = (await self._read(statement, tenant_id, stream_id, after))[0]
            if topics:
                return list(map(decode_event, topics, states))
        return []

    async def _read(self, statement: str, *arguments: object) -> list[Any]:
        """Over a connection at hand, unless somebody else is at it just now."""
        return await outlive_restarts(
            lambda: (self._pool if self._reader.is_busy else self._reader).fetch(statement, *arguments)
        )

    async def read_stream(self, tenant_id: UUID, stream_id: UUID, after: int = 0) -> list[Recorded]:
        rows = await self._pool.fetch(_STREAM, tenant_id, stream_id, after)
        if not rows:
            rows = await self._pool.fetch(_ARCHIVED_STREAM, tenant_id, stream_id, after)
        return [recorded(row) for row in rows]

    async def read_tenant(self, tenant_id: UUID, after: int = 0, limit: int = 1000) -> list[Recorded]:
        return [recorded(row) for row in await self._pool.fetch(_TENANT, tenant_id, after, limit)]

    async def holders(self, tenant_id: UUID, facts: Sequence[Fact]) -> Mapping[Fact, UUID]:
        asked = [self._holders.ask(tenant_id, fact.kind, fact.key) for fact in facts]
        return {fact: rows[0][1] for fact, future in zip(facts, asked, strict=True) if (rows := await future)}

    async def command_answer(self, tenant_id: UUID, command_key: bytes, request_hash: bytes) -> bytes | None:
        row = await self._pool.fetchrow(_ANSWER, tenant_id, command_key)
        if row is None:
            return None
        if row["request_hash"] != request_hash:
            raise CommandKnown(None)
        return bytes(row["result"])

    async def empty(self, tenant_id: UUID) -> None:
        refused = 0
        while True:
            try:
                taken = await self._pool.fetchval("select empty_some($1, $2)", tenant_id, _EMPTIED_AT_ONCE)
            except _RETRYABLE:
                refused += 1
                if refused == 9:
                    raise
                continue
            if taken < _EMPTIED_AT_ONCE:
                return

    async def empty_abandoned(self) -> bool:
        """Takes a step for a closed tenant that nobody is emptying at this moment; False when there is none."""
        return await self._pool.fetchval(_ABANDONED, _EMPTIED_AT_ONCE) is not None

    async def remove_expired_answers(self, at_most: int) -> int:
        """Removes stored answers past their time, the oldest first; answers how many."""
        removed = await self._pool.fetch(_EXPIRED, at_most)
        return len(removed)

    async def read_snapshot(self, tenant_id: UUID, stream_id: UUID) -> StoredSnapshot | None:
        row = await self._pool.fetchrow(_SNAPSHOT, tenant_id, stream_id)
        return StoredSnapshot(*row) if row else None

    async def save_snapshot(self, tenant_id: UUID, stream_id: UUID, snapshot: StoredSnapshot) -> None:
        values = (tenant_id, stream_id, snapshot.version, snapshot.topic, snapshot.state, snapshot.code_hash)
        await outlive_restarts(lambda: self._pool.execute(_KEEP_SNAPSHOT, *values))


def _answer(row: asyncpg.Record) -> Appended | Lost:
    outcome, result, position, recorded_at = row
    if outcome == STORED:
        return Appended(position, recorded_at)
    if outcome in (KNOWN, OTHER_REQUEST):
        return CommandKnown(result)
    return _LOSSES[outcome]()
