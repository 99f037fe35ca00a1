"""The history of one stream, for people and machines: who, what, when, caused by what."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from adapters.cli.progress import Out
from adapters.cli.wording import caused_by, counted, event_fields, happened, json_line, shown, spelled
from domain.event_codec import decode_metadata
from domain.events import Metadata, Recorded, Reveal, stream_type_of
from projections.folding import RawEvent
from projections.reading import Pool
from projections.replay import VaultOn, stream_events, tenants_of_stream


async def print_timeline(
    pool: Pool, vault_on: VaultOn, stream_id: UUID, until: datetime, only: UUID | None, as_json: bool, out: Out
) -> bool:
    """False when there is no such stream."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        found = await tenants_of_stream(connection, stream_id, only)
        for tenant_id in found:
            events = await stream_events(connection, tenant_id, stream_id, until)
            tried = [event.tried() for event in events]
            reveal = await vault_on(connection).revealer([one for one in tried if isinstance(one, Recorded)])
            if not as_json:
                kind = spelled(stream_type_of(events[0].topic)) if events else "stream"
                out.line(f"{kind} {stream_id} of tenant {tenant_id}: {counted(len(events), 'event')}")
            for event, one in zip(events, tried, strict=True):
                if as_json:
                    out.line(_as_json(event, one, reveal))
                else:
                    _print(event, one, reveal, out)
    return bool(found)


def _as_json(event: RawEvent, one: Recorded | Exception, reveal: Reveal) -> str:
    members = {
        "tenant_id": event.tenant_id,
        "stream_id": event.stream_id,
        "version": event.version,
        "position": event.position,
        "recorded_at": event.recorded_at,
        "topic": event.topic,
        "metadata": _metadata(event),
    }
    if isinstance(one, Recorded):
        return json_line({**members, "fields": event_fields(one.event, reveal)})
    return json_line({**members, "unreadable": type(one).__name__})


def _print(event: RawEvent, one: Recorded | Exception, reveal: Reveal, out: Out) -> None:
    out.line("")
    out.line(f"{event.version:>4}  {shown(event.recorded_at)}  {happened(event.topic)}")
    if isinstance(one, Recorded):
        fields = event_fields(one.event, reveal)
        if fields:
            out.line(f"      {shown(fields)}")
    else:
        out.line(f"      cannot be read by this program ({type(one).__name__}): {event.topic}")
    metadata = _metadata(event)
    if metadata is not None:
        out.line(f"      by {shown(metadata.actor)}; {caused_by(metadata)}; position {event.position}")


def _metadata(event: RawEvent) -> Metadata | None:
    try:
        return decode_metadata(event.metadata)
    except msgspec.MsgspecError:
        return None
