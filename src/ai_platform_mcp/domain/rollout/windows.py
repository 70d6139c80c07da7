"""When a site may be changed: maintenance windows in UTC, as the platform's site facts write them.

``22:00-04:00``: every night, across midnight. ``Mon-Fri 09:00-17:00``, ``Sat,Sun 00:00-24:00``: on those days; a window that
crosses midnight belongs to the day on which it begins. Several are separated by ``;``.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from ai_platform_mcp.core.errors import InvalidInput

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WINDOW = re.compile(r"(?:([A-Za-z,\- ]+?)\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_DAY_MINUTES = 24 * 60


def is_open(text: str, now: datetime) -> bool:
    """Tell whether ``now`` (UTC) is inside the windows of ``text``; no text is always.

    Raises:
        InvalidInput: the text is no window. Whoever asks decides that such a site stays closed: a typing error must not open it.
    """
    if not text.strip():
        return True
    minute = now.hour * 60 + now.minute
    today, yesterday = now.weekday(), (now - timedelta(days=1)).weekday()
    for part in text.split(";"):
        days, begin, end = _parsed(part.strip(), text)
        if begin < end:
            if today in days and begin <= minute < end:
                return True
        elif (today in days and minute >= begin) or (yesterday in days and minute < end):
            return True
    return False


def _parsed(part: str, whole: str) -> tuple[frozenset[int], int, int]:
    found = _WINDOW.fullmatch(part)
    if not found:
        raise _invalid(whole)
    begin, end = (int(found[i]) * 60 + int(found[i + 1]) for i in (2, 4))
    minutes_fit = int(found[3]) < 60 and int(found[5]) < 60
    if not minutes_fit or begin >= _DAY_MINUTES or end > _DAY_MINUTES or begin == end:
        raise _invalid(whole)
    return _days(found[1], whole), begin, end


def _days(text: str | None, whole: str) -> frozenset[int]:
    if not text:
        return frozenset(range(7))
    chosen: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        begin, end = _day(first, whole), _day(last or first, whole)
        chosen.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return frozenset(chosen)


def _day(text: str, whole: str) -> int:
    name = text.capitalize()[:3]
    if name not in DAYS or len(text) < 3:
        raise _invalid(whole)
    return DAYS.index(name)


def _invalid(text: str) -> InvalidInput:
    return InvalidInput(
        f"{text[:80]!r} is no maintenance window.",
        remedy="Write HH:MM-HH:MM in UTC, optionally after days: 22:00-04:00, Mon-Fri 01:00-05:00, Sat,Sun 00:00-24:00.",
    )
