"""When a message that did not arrive is tried again, and when it is given up."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

RETRY_AFTER = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=10),
)
"""After the first failure, the second, and so on; then the message has failed."""

JITTER = 0.15
"""The share by which a pause may be shorter or longer."""

LONGEST_WAIT = timedelta(hours=10)
"""The longest that a receiver may ask us to wait."""

DISABLED_AFTER = timedelta(days=5)
"""How long an endpoint may do nothing but fail."""

_ASKING = frozenset({429, 503})


def next_attempt(now: datetime, failures: int, chance: float, asked: timedelta | None = None) -> datetime | None:
    """When to try again after so many failures, or None: no more. ``chance`` is 0 to 1; ``asked`` is what the receiver wants
    us to wait at least.
    """
    if failures > len(RETRY_AFTER):
        return None
    pause = RETRY_AFTER[failures - 1] * (1 + JITTER * (2 * chance - 1))
    return now + max(pause, min(asked or timedelta(), LONGEST_WAIT))


def asked_wait(now: datetime, status: int, retry_after: str) -> timedelta | None:
    """What a Retry-After header asks for (RFC 9110, 10.2.3), in seconds or as a date; None where it asks for nothing."""
    if status not in _ASKING or not retry_after:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return timedelta(seconds=min(int(retry_after[:9]), 10**8))
    try:
        until = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):  # the latter for years that no clock has
        return None
    return max(until - now, timedelta()) if until.tzinfo else None
