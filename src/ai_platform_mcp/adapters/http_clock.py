"""What HTTP headers say about time: how long to wait, and how far a server's clock is from ours.

Dates of a server are compared with the server's own ``Date``, never with our clock: a machine whose clock is wrong would
otherwise wait an hour, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 86_400.0
"""Seconds. Whatever asks for more is told as a day: nobody waits that long, and numbers stay printable."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return ``Retry-After`` in seconds (RFC 9110 §10.2.3: a number or a date), None where there is none that is valid."""
    text = (headers.get("Retry-After") or headers.get("retry-after") or "").strip()
    if not text:
        return None
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return min(LONGEST_WAIT, float(text[:32]))
    moment = _date(text)
    if moment is None:
        return None
    now = _date(headers.get("Date") or headers.get("date") or "") or datetime.now(UTC)
    return min(LONGEST_WAIT, max(0.0, (moment - now).total_seconds()))


def clock_difference(headers: Mapping[str, str]) -> float:
    """Return how many seconds our clock is ahead of the server's (negative: behind), 0 where the server tells no time."""
    theirs = _date(headers.get("Date") or headers.get("date") or "")
    return 0.0 if theirs is None else (datetime.now(UTC) - theirs).total_seconds()


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
