"""Money, in whole cents. Nothing here rounds down."""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from datetime import datetime, timedelta

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.core.records import Operation

SPENDING_TOOLS = frozenset({"request_gpu", "trigger_retraining"})
"""Tools whose applied plans count against a team's month. A deployment replaces the one before it, so summing would lie."""


class Price(Value):
    """What something costs: cents per hour, and in all where the hours are known."""

    hourly_cents: int
    total_cents: int | None


def price(device_hourly_cents: int, devices: int, hours: int | None) -> Price:
    """Return the price of ``devices`` for ``hours``; open-ended work has no total."""
    hourly = device_hourly_cents * devices
    return Price(hourly_cents=hourly, total_cents=None if hours is None else hourly * hours)


def month_start(now: datetime) -> datetime:
    """Return the first instant of the calendar month of ``now``, in its zone."""
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def hours_left_in_month(now: datetime) -> int:
    """Return the hours until the calendar month ends, rounded up."""
    start = month_start(now)
    end = start + timedelta(days=calendar.monthrange(now.year, now.month)[1])
    return -((now - end) // timedelta(hours=1))


def committed_cents(operations: Iterable[Operation], team: str, now: datetime) -> int:
    """Return what a team has committed this month through this platform.

    The rule: the total of every plan of :data:`SPENDING_TOOLS` that this team applied since the month began; open-ended work
    counts to the end of the month it began in. Work that ended early still counts in full, so the answer errs on the
    side of the budget. Work started outside of this platform is not seen.
    """
    begin = month_start(now)
    total = 0
    for row in operations:
        if row.plan.tool not in SPENDING_TOOLS or row.principal.team != team or row.started_at < begin:
            continue
        if row.state in ("failed", "cancelled", "interrupted") or row.plan.cost is None:
            continue
        cost = row.plan.cost
        whole = (
            cost.total_cents
            if cost.total_cents is not None
            else cost.hourly_cents * hours_left_in_month(row.started_at)
        )
        total += whole
    return total


def budget_left_cents(monthly_cents: int | None, committed: int) -> int | None:
    """Return what is left of the month's budget, never below zero; None where the team has no budget on file."""
    return None if monthly_cents is None else max(0, monthly_cents - committed)
