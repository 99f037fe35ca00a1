"""Times as providers write them: how long a token lives, and when to ask again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST_LIFE = 20 * 366 * 86_400
"""Seconds. What is longer is not meant as a life: some providers write a date into expires_in."""

LONGEST_WAIT = 86_400
"""Seconds. A provider that asks for a longer pause is asked again after a day."""

_SECONDS = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)


def expiry(sent_at: datetime, said: object, default: int | None) -> datetime | None:
    """When a token ends that was asked for at `sent_at`, by what the provider said of its life, else by `default`.

    A life that is no number, not above zero, or longer than LONGEST_LIFE counts as not said.
    """
    seconds = _number(said)
    if seconds is None or not 0 < seconds <= LONGEST_LIFE:
        seconds = default
    return None if seconds is None else sent_at + timedelta(seconds=seconds)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds from now by the header Retry-After: a number of them, or a date (RFC 9110, 10.2.3). At most LONGEST_WAIT."""
    said = headers.get("retry-after", "").strip()
    seconds = _number(said)
    if seconds is None:
        try:
            date = parsedate_to_datetime(said)
            seconds = ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _number(said: object) -> float | None:
    if isinstance(said, bool):
        return None
    if isinstance(said, int | float):
        return float(said) if abs(said) < 1e15 else None
    return float(said) if isinstance(said, str) and _SECONDS.fullmatch(said) else None
