"""What the edge saved by what was measured, against a counterfactual that is named. A loss is told as one."""

from __future__ import annotations

import math

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value
from ai_platform_mcp.domain.routing.observed import Observed, RoutingFacts
from ai_platform_mcp.domain.routing.savings import Savings, Served, savings


class Worth(Value):
    """The savings, or why they cannot be told."""

    savings: Savings | None = None
    why: str = ""
    marginal_share: float | None = None
    """What would be saved if an idle edge were free, where its fixed cost is the only thing that is not known."""
    assumptions: tuple[str, ...] = ()


def worth(facts: RoutingFacts) -> Worth:
    """Return what serving the model's requests where they were served saved, against serving all of them from the cloud.

    The counterfactual is the cloud target that would have done it for the least.
    """
    edge, clouds = facts.of("edge"), [row for row in facts.of("cloud") if row.target() is not None]
    if not edge:
        return Worth(why="the model is not served at the edge, so that there is nothing to compare")
    if not clouds:
        return Worth(why="no cloud target is measured that could have served these requests instead")
    if unknown := [_unknown(row) for row in (*edge, *facts.of("cloud")) if _unknown(row)]:
        return Worth(why=unknown[0] + (f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""))
    hours = max(row.measured_seconds for row in facts.observed) / 3600
    found = [(row, made) for row in clouds if (made := _against(row, facts, hours)) is not None]
    if not found:
        return Worth(why="nothing was served in the window, or serving it from the cloud would cost nothing")
    other, made = min(found, key=lambda pair: (pair[1].counterfactual_cents, pair[0].name))
    if free := [row for row in edge if row.fixed_cents_per_hour is None]:
        why = f"the fixed cost of the edge is not known: {free[0].why('fixed_cents_per_hour')}"
        return Worth(why=why, marginal_share=made.marginal_share)
    return Worth(savings=made, assumptions=_assumed(facts, other))


def _unknown(row: Observed) -> str:
    """Return why what a target costs or served is not known, empty where it is."""
    if row.requests is None:
        # what answers nothing and cannot be reached still costs, but no request of it is left out of the sum
        return "" if row.ready == 0 else f"how much {row.name} served is not measured: {row.why('latency')}"
    if row.marginal_request_cents is None:
        return f"what {row.name} costs is not known: {row.why('fixed_cents_per_hour')}"
    if (row.prompt_cents_per_1k or row.output_cents_per_1k) and row.prompt_tokens is None and row.requests:
        return f"{row.name} is paid by the token, and tokens are not measured: {row.why('prompt_tokens')}"
    return ""


def _against(other: Observed, facts: RoutingFacts, hours: float) -> Savings | None:
    """Return the savings against one target, None where serving everything from it would cost nothing."""
    served = [_served(row, facts) for row in facts.observed if row.requests]
    try:
        return savings(
            served,
            [row.costed() for row in facts.observed],
            hours,
            other.name,
            up={row.name: row.measured_seconds / 3600 for row in facts.observed},
            capacity_cents_per_hour=_capacity(other, facts),
        )
    except InvalidInput:
        return None


def _served(row: Observed, facts: RoutingFacts) -> Served:
    """Return what a target served. Where its tokens are not measured, its requests are as long as the mean one."""
    requests = row.requests or 0.0
    prompt = requests * facts.typical.prompt_tokens if row.prompt_tokens is None else row.prompt_tokens
    output = requests * facts.typical.output_tokens if row.output_tokens is None else row.output_tokens
    return Served(target=row.name, requests=round(requests), prompt_tokens=round(prompt), output_tokens=round(output))


def _capacity(other: Observed, facts: RoutingFacts) -> float | None:
    """Return what the counterfactual's replicas would cost for an hour if they served everything, in whole replicas and as busy
    as they are now; None where its requests have prices of their own.
    """
    rate, fixed = other.per_second, other.fixed_cents_per_hour
    if not fixed or not rate:
        return None
    all_of_them = sum(row.per_second or 0.0 for row in facts.observed)
    units = max(1, other.units)
    return fixed / units * math.ceil(units * all_of_them / rate - 1e-9)


def _assumed(facts: RoutingFacts, other: Observed) -> tuple[str, ...]:
    told: list[str] = [f"Prices: {facts.basis}."] if facts.basis else []
    if other.fixed_cents_per_hour:
        told.append(f"{other.name} would need more replicas, each as busy as now.")
    if any(not row.per_request and row.fixed_cents_per_hour is None for row in facts.observed):
        told.append("Where no price is written down, a request costs what the router booked for the mean one.")
    if any(row.fixed_cents_per_hour for row in facts.of("edge")):
        told.append("A node that runs several models is shared by them evenly; offline nodes cost as well.")
    return tuple(told)
