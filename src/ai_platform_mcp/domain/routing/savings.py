"""What the edge saves, against a counterfactual that is named, with and without what the edge costs while idle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value
from ai_platform_mcp.domain.routing.facts import Target


class Served(Value):
    """What one target served in a period."""

    target: str
    requests: int
    prompt_tokens: int
    output_tokens: int


class Savings(Value):
    """Cents of one period. A share below zero is a loss."""

    counterfactual: str
    hours: float
    counterfactual_cents: float
    """Everything served by the named target, its own fixed cost included."""
    marginal_cents: float
    """What the requests cost where they were served."""
    fixed_cents: float
    """What every target costs whether or not requests come, the counterfactual's own included."""
    marginal_share: float | None
    """Saved share of the counterfactual's marginal cost, as if the edge were free while idle; None where it has none."""
    share: float
    """Saved share with everything counted: the one to decide by."""


def savings(
    served: Sequence[Served],
    targets: Sequence[Target],
    hours: float,
    counterfactual: str,
    *,
    up: Mapping[str, float] | None = None,
    capacity_cents_per_hour: float | None = None,
) -> Savings:
    """Return what was saved against serving all of it from ``counterfactual``.

    Args:
        served: what each target served; one that served nothing may be left out.
        targets: every target that was there, with its costs.
        hours: how long the period was.
        counterfactual: the target that would have served everything.
        up: for how many of the hours a target was there, where it was less than all of them.
        capacity_cents_per_hour: the fixed cost of the counterfactual if it served everything, where that takes more of it than
            there is now; None: as much as now.

    Raises:
        InvalidInput: a target that served, or the counterfactual, is not among ``targets``; or nothing was served at a cost.
    """
    known = {target.name: target for target in targets}
    if missing := sorted({counterfactual, *(row.target for row in served)} - set(known)):
        raise InvalidInput(f"no costs are known of {missing[0]}", remedy="give its costs")
    other = known[counterfactual]
    there = dict.fromkeys(known, hours) | dict(up or {})
    real = sum(_cents(row, known[row.target]) for row in served)
    instead = sum(_cents(row, other) for row in served)
    capacity = other.fixed_cents_per_hour if capacity_cents_per_hour is None else capacity_cents_per_hour
    against = instead + there[counterfactual] * capacity
    if against <= 0:
        raise InvalidInput("serving it from the counterfactual would cost nothing", remedy="give its costs")
    fixed = sum(there[target.name] * target.fixed_cents_per_hour for target in known.values())
    return Savings(
        counterfactual=f"all from {counterfactual}",
        hours=hours,
        counterfactual_cents=against,
        marginal_cents=real,
        fixed_cents=fixed,
        marginal_share=1 - real / instead if instead > 0 else None,
        share=1 - (real + fixed) / against,
    )


def _cents(row: Served, target: Target) -> float:
    return target.request_cents * row.requests + (
        (target.prompt_cents_per_1k * row.prompt_tokens + target.output_cents_per_1k * row.output_tokens) / 1000
    )
