"""A model's standing routing plan: groups of like targets, who enters where, what backs what, and when a circuit opens.

A gateway cannot ask :mod:`decide` for every request, so the plan says the same in what gateways know: the edge is a group of its
own that falls back to the cloud; what is not critical passes by spot; batches enter where answers come later. A cloud's failure
domains are groups of their own, the cheapest first, so that a fallback never repeats the failure that caused it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value
from ai_platform_mcp.domain.routing.facts import IDLE, Request, Slo, Target, Tier
from ai_platform_mcp.domain.routing.predict import REFUSALS, completion_seconds, refusal

Class = Literal["interactive", "noncritical", "batch"]


class Breaker(Value):
    """When a failing target is left alone, and for how long.

    The defaults are measured on LiteLLM 1.106: with them a dead edge costs its failures once and then nothing until the
    cool-down ends. Retries stay 0 because the fallback is the retry: asking the same server again only adds its time-out.
    """

    allowed_fails: int = Field(default=1, ge=0)
    """Failures within one cool-down that are forgiven; the next one opens the circuit."""
    cooldown_seconds: int = Field(default=30, ge=1)
    retries: int = Field(default=0, ge=0, le=5)


class Member(Value):
    """One target in a group."""

    target: str
    tier: Tier
    region: str
    namespace: str = ""
    site: str = ""
    failure_domain: str
    base_url: str
    weight: int = Field(ge=1)
    """Its share of the group's requests, as its slots among the group's."""
    timeout_seconds: float = Field(gt=0)
    prompt_limit: int | None = Field(default=None, ge=1)
    """Longest prompt it should be sent, in tokens: its context less a typical answer; None where nothing limits it."""
    per_minute: int | None = Field(default=None, ge=1)
    """Requests per minute beyond which more would wait: at the edge, what its slots complete. The rest spills."""


class Group(Value):
    """Targets that requests are shuffled over."""

    name: str
    members: tuple[Member, ...] = Field(min_length=1)


class RoutingPlan(Value):
    """Everything a gateway must know about one model."""

    model: str
    slo_seconds: float
    groups: tuple[Group, ...] = Field(min_length=1)
    entries: dict[Class, str]
    """The group that each class of requests calls. A critical batch enters where interactive requests do: it keeps off spot."""
    fallbacks: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    strategy: str = "simple-shuffle"
    breaker: Breaker | None = Breaker()
    regions: frozenset[str] = frozenset()
    """Where the model's data may be processed; empty is anywhere."""
    reasons: tuple[str, ...] = ()


def plan_routes(
    model: str, targets: Sequence[Target], typical: Request, slo: Slo, breaker: Breaker | None = None
) -> RoutingPlan:
    """Return the plan for requests like ``typical``, whose residency and capability needs hold for all of the model's requests.

    The edge comes in only where it keeps the SLO while idle; load is the breaker's and the fallbacks' business.

    Raises:
        InvalidInput: no target that answers at once may serve the model; every refusal is told.
    """
    reasons: list[str] = []
    usable = [target for target in targets if _usable(target, typical, slo, reasons)]
    edge = [target for target in usable if target.tier == "edge" and not target.asynchronous]
    spot = [target for target in usable if target.spot and not target.asynchronous]
    sure = [target for target in usable if target not in edge and not target.spot and not target.asynchronous]
    later = [target for target in usable if target.asynchronous]
    if not edge and not sure:
        raise InvalidInput(
            f"Nothing may serve {model} at once.",
            cause="; ".join(reasons) + "." if reasons else "",
            remedy="Deploy it where it may be served. Where a region is not known: set region of the cluster in the "
            "platform file.",
        )
    groups: dict[str, list[Target]] = {model: edge} if edge else {}
    steady = _by_domain(f"{model}-cloud" if edge else model, model, sure, typical)
    groups |= steady
    behind = tuple(name for name in steady if name != model)
    fallbacks: dict[str, tuple[str, ...]] = {model: behind}
    _chain(fallbacks, tuple(steady))
    entries: dict[Class, str] = {"interactive": model, "noncritical": model, "batch": model}
    if spot:
        backed = tuple(steady) or (model,)
        groups[f"{model}-spot"], fallbacks[f"{model}-spot"] = spot, backed
        entries["noncritical"] = entries["batch"] = f"{model}-spot"
        reasons.append("what is not critical goes to spot before on-demand")
    if spot and edge:
        groups[f"{model}-noncritical"] = edge
        fallbacks[f"{model}-noncritical"] = (f"{model}-spot", *steady)
        entries["noncritical"] = f"{model}-noncritical"
    if later:
        groups[f"{model}-batch"] = later
        fallbacks[f"{model}-batch"] = (f"{model}-spot",) * bool(spot) + (tuple(steady) or (model,))
        entries["batch"] = f"{model}-batch"
        reasons.append("batches enter where answers come later")
    if edge:
        reasons.append(f"the edge comes first: idle it keeps {slo.seconds:g} s, and {_first(steady)} is behind it")
    breaker = breaker or Breaker()
    reasons.append(
        f"a circuit opens at failure {breaker.allowed_fails + 1} within {breaker.cooldown_seconds} s, for as long"
        + ("" if breaker.retries else "; nothing is retried where a fallback stands ready")
    )
    return RoutingPlan(
        model=model,
        slo_seconds=slo.seconds,
        groups=_filled(groups, fallbacks, typical, slo),
        entries=entries,
        fallbacks={name: to for name, to in fallbacks.items() if to},
        breaker=breaker,
        regions=typical.regions,
        reasons=tuple(reasons),
    )


def _usable(target: Target, typical: Request, slo: Slo, reasons: list[str]) -> bool:
    patient = typical.model_copy(update={"batch": True, "critical": False})
    if code := refusal(target, patient):
        reasons.append(f"{target.name} is left out: it {REFUSALS[code]}")
        return False
    if target.tier == "edge" and target.spot:
        reasons.append(f"{target.name} is left out: the edge serves critical requests too, and spot may not")
        return False
    idle = completion_seconds(target, IDLE, typical, cautious=True)
    if target.tier == "edge" and not target.asynchronous and idle > slo.seconds:
        reasons.append(f"{target.name} is left out: idle it takes {idle:.2f} s (p95) of {slo.seconds:g} s")
        return False
    return True


def _by_domain(first: str, model: str, targets: Sequence[Target], typical: Request) -> dict[str, list[Target]]:
    """Group by failure domain, the domain with the cheapest target first."""
    domains: dict[str, list[Target]] = {}
    for target in sorted(targets, key=lambda row: (_cents(row, typical), row.name)):
        domains.setdefault(target.failure_domain, []).append(target)
    names = [first, *(f"{model}-cloud-{number}" for number in range(2, len(domains) + 1))]
    return dict(zip(names, domains.values(), strict=False))


def _cents(target: Target, typical: Request) -> float:
    return target.marginal_cents(typical.prompt_tokens, typical.output_tokens)


def _chain(fallbacks: dict[str, tuple[str, ...]], ordered: tuple[str, ...]) -> None:
    """Let each group fall back to those after it, never before it: there is no way round in a circle."""
    for place, name in enumerate(ordered):
        fallbacks[name] = ordered[place + 1 :]


def _filled(
    groups: Mapping[str, Sequence[Target]], fallbacks: Mapping[str, Sequence[str]], typical: Request, slo: Slo
) -> tuple[Group, ...]:
    """Return the groups; a target of two groups completes its requests of a minute once, and each group sends it a part."""
    shares = Counter(row.name for rows in groups.values() for row in rows)
    left = {name: slo.seconds - _behind(groups, fallbacks.get(name, ()), typical) for name in groups}
    return tuple(
        Group(name=name, members=_members(rows, typical, slo, shares, left[name])) for name, rows in groups.items()
    )


def _behind(groups: Mapping[str, Sequence[Target]], behind: Sequence[str], typical: Request) -> float:
    """Return the seconds within which the first fallback answers 19 of 20 typical requests, 0 where there is none."""
    rows = groups[behind[0]] if behind else ()
    return max((completion_seconds(row, IDLE, typical, cautious=True) for row in rows), default=0.0)


def _members(
    targets: Sequence[Target], typical: Request, slo: Slo, shares: Mapping[str, int], left: float
) -> tuple[Member, ...]:
    return tuple(
        Member(
            target=row.name,
            tier=row.tier,
            region=row.region,
            namespace=row.namespace,
            site=row.site,
            failure_domain=row.failure_domain,
            base_url=row.base_url,
            weight=row.slots,
            timeout_seconds=_timeout(row, typical, slo, left),
            prompt_limit=_prompt_limit(row, typical),
            per_minute=_per_minute(row, typical, shares[row.name]) if row.tier == "edge" else None,
        )
        for row in sorted(targets, key=lambda row: row.name)
    )


def _prompt_limit(target: Target, typical: Request) -> int | None:
    return None if target.context_tokens is None else max(1, target.context_tokens - typical.output_tokens)


def _per_minute(target: Target, typical: Request, groups: int) -> int | None:
    """Return how many typical requests its slots complete in a minute; None where they take no time that was measured.

    Beyond this rate its queue grows until nothing keeps the promise (utilisation above 1), however fast one answer is.
    """
    seconds = target.service.typical(typical.prompt_tokens, typical.output_tokens)
    return max(1, math.floor(60 * target.slots / seconds / groups)) if seconds > 0 else None


def _timeout(target: Target, typical: Request, slo: Slo, left: float) -> float:
    """Return when waiting has become pointless: the promise is broken, and slower than 19 of 20 answers.

    The edge is left earlier, while there is time for its fallback to keep the promise, but not before 19 of 20 answers of
    its own are there. ``left`` are the promised seconds less those that the fallback takes.
    """
    own = completion_seconds(target, IDLE, typical, cautious=True)
    if target.tier == "edge" and own <= left < slo.seconds:
        return max(0.1, math.floor(left * 10) / 10)
    return math.ceil(max(slo.seconds, own))


def _first(groups: dict[str, list[Target]]) -> str:
    return next(iter(groups), "nothing")
