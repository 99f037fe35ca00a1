"""Values, findings and events in words, safe to print on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from domain.events import FORGOTTEN, Event, Metadata, Reveal, Sealed
from projections.findings import Finding

encode = msgspec.json.Encoder(enc_hook=repr).encode


def json_line(value: Any) -> str:
    """One JSON object; bytes as Base64, times in ISO 8601."""
    return encode(value).decode()


def shown(value: Any) -> str:
    """A value for people: times in UTC, the beginning of bytes, text without control characters."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value == "":
        return '""'
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}Z"
    if isinstance(value, bytes):
        return value.hex() if len(value) <= 8 else f"{value[:8].hex()}..."
    if isinstance(value, Mapping):
        return ", ".join(f"{spelled(name)} {shown(one)}" for name, one in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(map(shown, value)) or "none"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


def counted(number: int, what: str) -> str:
    """``1 event``, ``2,000 events``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def spelled(name: str) -> str:
    """``expires at`` for ``expires_at``."""
    return name.replace("_", " ")


def finding_in_words(finding: Finding) -> str:
    where = f"tenant {finding.tenant_id}"
    if finding.projection:
        where += f"  {finding.projection}"
    if finding.table:
        where += f"  {finding.table}"
    if finding.key:
        where += f" ({shown(finding.key)})"
    if finding.column:
        values = f"stored {shown(finding.stored)}, the history says {shown(finding.folded)}"
        return f"{where}: {finding.problem} {finding.column}: {values}"
    if finding.stored is not None:
        return f"{where}: {finding.problem}, stored: {shown(finding.stored)}"
    if finding.folded is not None:
        return f"{where}: {finding.problem}, the history says: {shown(finding.folded)}"
    return f"{where}: {finding.problem}"


def event_fields(event: Event, reveal: Reveal) -> dict[str, Any]:
    """The event's fields; personal ones as text, or "Forgotten" after erasure."""
    fields = {}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if isinstance(value, Sealed):
            text = reveal(value)
            value = "Forgotten" if text is FORGOTTEN else text
        fields[name] = value
    return fields


def happened(topic: str) -> str:
    """``Token imported`` for ``connection.token_imported#2``; ``End user added`` for ``end_user.added``."""
    stream, _, fact = topic.partition("#")[0].partition(".")
    words = spelled(fact) if " " in spelled(fact) else f"{spelled(stream)} {fact}"
    return words[:1].upper() + words[1:]


def caused_by(metadata: Metadata) -> str:
    parts = [f"command {metadata.command_id}"]
    if metadata.causation_id is not None:
        parts.insert(0, f"cause {metadata.causation_id}")
    if metadata.correlation_id is not None:
        parts.append(f"correlation {metadata.correlation_id}")
    if metadata.request_id:
        parts.append(f"request {shown(metadata.request_id)}")
    return ", ".join(parts)
