"""One model's routing plan from what is known of its targets, and what policy and people are told of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.facts import RouteFacts, RoutesFacts
from ai_platform_mcp.core.plan import Risk
from ai_platform_mcp.domain.routing.check import validate
from ai_platform_mcp.domain.routing.facts import IDLE, Request, Slo, Target
from ai_platform_mcp.domain.routing.plan import Breaker, Group, RoutingPlan, plan_routes
from ai_platform_mcp.domain.routing.predict import completion_seconds

_ALONE = "Deploy it to the cloud as well (deploy_model target=cloud), so that requests have where to go."


def make_plan(
    model: str,
    targets: Sequence[Target],
    typical: Request,
    slo_seconds: float | None,
    *,
    left_out: Sequence[str],
    breaker: Breaker,
    strategy: str,
) -> RoutingPlan:
    """Return a plan for requests like ``typical`` that is sound: every error of :func:`validate` is raised.

    Without a promise nothing is too slow: time-outs then follow the slowest target.

    Raises:
        InvalidInput: no target may serve the model at once, or the plan could not work; each reason is told.
    """
    if not targets:
        raise InvalidInput(
            f"Nothing serves {model} that requests could be routed to.",
            cause=" ".join(left_out) or "No cluster serves it.",
            remedy="Deploy it (deploy_model) and send it requests: a plan is made from measured latency. "
            "inspect_platform kind=routing shows what is measured.",
        )
    seconds = slo_seconds or max(completion_seconds(row, IDLE, typical, cautious=True) for row in targets)
    plan = plan_routes(model, targets, typical, Slo(seconds=seconds), breaker)
    plan = plan.model_copy(update={"strategy": strategy})
    if wrong := [finding for finding in validate(plan) if finding.severity == "error"]:
        raise InvalidInput(
            f"No routing plan of {model} can work: {wrong[0].message}",
            cause="; ".join(f"{finding.code}: {finding.message}" for finding in wrong[1:]),
            remedy=_ALONE if wrong[0].code == "routing.edge-alone" else wrong[0].remedy,
        )
    return plan


def reached(plan: RoutingPlan, entries: Iterable[str]) -> set[str]:
    """Return the groups that requests can come to: where they enter, and by fallbacks."""
    found: set[str] = set()
    waiting = list(entries)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(plan.fallbacks.get(name, ()))
    return found


def facts_of(plan: RoutingPlan, targets: Sequence[Target], slo_ms: int | None) -> RoutesFacts:
    """Return what policy judges the plan by. Whoever enters as interactive may be critical."""
    spot = {row.name for row in targets if row.spot}
    critical = reached(plan, [name for kind, name in plan.entries.items() if kind == "interactive"])
    routes = tuple(
        RouteFacts(
            target=member.target,
            group=group.name,
            tier=member.tier,
            region=member.region,
            spot=member.target in spot,
            critical=group.name in critical,
        )
        for group in plan.groups
        for member in group.members
    )
    return RoutesFacts(slo_ms=slo_ms, breaker=plan.breaker is not None, routes=routes)


def told(plan: RoutingPlan, targets: Sequence[Target], typical: Request) -> tuple[str, ...]:
    """Return the plan in sentences: who enters where, which target is asked first, when it spills, what that costs."""
    known = {row.name: row for row in targets}
    lines = [_entry(plan)]
    lines += [_group(group, plan.fallbacks.get(group.name, ()), known, typical) for group in plan.groups]
    return (*lines, *(f"{_capital(reason)}." for reason in plan.reasons))


def _entry(plan: RoutingPlan) -> str:
    by_group: dict[str, list[str]] = {}
    for kind, name in plan.entries.items():
        by_group.setdefault(name, []).append(kind)
    return (
        "Clients call "
        + "; ".join(f"{name} for {' and '.join(kinds)} requests" for name, kinds in by_group.items())
        + "."
    )


def _group(group: Group, behind: tuple[str, ...], known: Mapping[str, Target], typical: Request) -> str:
    members = ", ".join(_target(member.target, known.get(member.target), typical) for member in group.members)
    after = sorted({f"{member.timeout_seconds:g} s" for member in group.members})
    spills = [f"fails or is silent for {' or '.join(after)}"]
    if rate := sum(member.per_minute or 0 for member in group.members):
        spills.append(f"has {rate} requests in a minute")
    if limits := sorted(member.prompt_limit for member in group.members if member.prompt_limit):
        spills.append(f"would get a prompt of more than {limits[-1]} tokens")
    if not behind:
        return f"{group.name}: {members}; nothing is behind it."
    return f"{group.name}: {members}; spills to {', then '.join(behind)} when it {', or '.join(spills)}."


def _target(name: str, target: Target | None, typical: Request) -> str:
    if target is None:
        return name
    seconds = completion_seconds(target, IDLE, typical, cautious=True)
    cents = target.marginal_cents(typical.prompt_tokens, typical.output_tokens)
    costs = f"{cents:.4g} cents a request" if cents else "no price per request"
    if target.fixed_cents_per_hour:
        costs += f", {target.fixed_cents_per_hour:.4g} an hour fixed"
    return f"{name} (p95 {1000 * seconds:.0f} ms idle, {costs})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def risks_of(plan: RoutingPlan) -> tuple[Risk, ...]:
    """Return what a sound plan leaves to be desired."""
    return tuple(
        Risk(
            severity="warning" if finding.severity == "warning" else "info", text=f"{finding.message} {finding.remedy}"
        )
        for finding in validate(plan)
        if finding.severity != "error"
    )
