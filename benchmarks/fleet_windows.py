"""Maintenance windows as the simulator knows them: minutes of the day between which a site's nodes may change."""

from __future__ import annotations

from datetime import timedelta

from benchmarks.fleet_time import BEGIN

DAY = 24 * 60
Window = tuple[int, int]


def told(begin: int, end: int) -> str:
    """Return a window as the platform's site facts write it."""
    return f"{begin // 60:02d}:{begin % 60:02d}-{end // 60:02d}:{end % 60:02d}"


def closed_for(window: Window, moment: float) -> float:
    """Return for how many seconds a window has been closed, ``moment`` seconds after the world began; 0 while it is open."""
    now = BEGIN + timedelta(seconds=moment)
    minutes = now.hour * 60 + now.minute + now.second / 60
    begin, end = window
    if (minutes - begin) % DAY < (end - begin) % DAY:
        return 0.0
    return (minutes - end) % DAY * 60
