"""How long tests wait on a busy machine."""

from __future__ import annotations

ROOM = 8.0
"""Seconds that a busy machine may add to what is promised: many times what it takes, and less than the adapters' own deadlines,
so that a call which overlooks the deadline that it was given is still found."""
