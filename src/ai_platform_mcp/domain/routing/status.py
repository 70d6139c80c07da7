"""``routing status`` as data: what targets did, what the edge saved, where a request goes now and why, what nobody measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ai_platform_mcp.domain.routing.conversations import between, stays
from ai_platform_mcp.domain.routing.decide import Choice, decide
from ai_platform_mcp.domain.routing.facts import Slo, Target
from ai_platform_mcp.domain.routing.observed import Observed, RoutingFacts, Source, latency_of
from ai_platform_mcp.domain.routing.worth import Worth, worth
from ai_platform_mcp.domain.text import clip

MOST_SITES = 40
"""Sites that are told one by one; of more, those in trouble first."""
SITE_COLUMNS = ("site", "ready", "share", "p50_ms", "p95_ms", "late", "errors", "rps", "circuit")
_OLD_SECONDS = 300
"""Older than this, a sample says nothing about now: Prometheus itself forgets it then."""


def status(facts: RoutingFacts) -> dict[str, Any]:
    """Return everything that is told of a model's routing."""
    total = sum(row.requests or 0.0 for row in facts.observed)
    edge = facts.of("edge")
    rows = [_row("edge", edge, facts, total)] if edge else []
    rows += [_row(row.name, (row,), facts, total) for row in facts.of("cloud")]
    body: dict[str, Any] = {
        "window_seconds": facts.window_seconds,
        "slo_seconds": facts.slo.seconds if facts.slo else None,
        "targets": rows,
        "savings": _savings(worth(facts)),
        "fallbacks": _fallbacks(facts, total),
        "decisions": decisions(facts),
        "conversations": _conversations(facts),
    }
    if len(edge) > 1:
        told = sorted(edge, key=lambda row: (_fine(row), row.name))[:MOST_SITES]
        sites: dict[str, Any] = {"columns": list(SITE_COLUMNS), "rows": [_site(row, facts, total) for row in told]}
        body["sites"] = sites | ({"left_out": len(edge) - MOST_SITES} if len(edge) > MOST_SITES else {})
    return {**body, "unknown": _unknown(facts), "notes": [*_stale(facts), *facts.notes]}


def _row(name: str, rows: Sequence[Observed], facts: RoutingFacts, total: float) -> dict[str, Any]:
    latency, first = latency_of(rows), rows[0]
    requests = sum(row.requests or 0.0 for row in rows)
    late = latency.late(facts.slo.seconds) if latency and facts.slo else None
    measured = [row for row in rows if row.requests is not None]
    fixed = [row.fixed_cents_per_hour for row in rows]
    known = [cents for cents in fixed if cents is not None]
    body: dict[str, Any] = {
        "target": name,
        "tier": first.tier,
        "share": _round(requests / total) if measured and total else None,
        "requests": round(requests) if measured else None,
        "rps": _round(sum(row.per_second or 0.0 for row in measured)) if measured else None,
        "p50_seconds": _round(latency.quantile(0.5) if latency else None),
        "p95_seconds": _round(latency.quantile(0.95) if latency else None),
        "late_share": _round(late.share) if late else None,
        "error_share": _round(_mean((row.failed_share, row.requests or row.routed) for row in rows)),
        "ready": sum(row.ready for row in rows),
        "units": sum(row.units for row in rows),
        "running": _round(_sum(row.running for row in rows)),
        "waiting": _round(_sum(row.waiting for row in rows)),
        "circuits_open": _whole(_sum(row.circuits_open for row in rows)),
        "circuits": _whole(_sum(row.circuits for row in rows)),
        "cooldowns": _whole(_sum(row.cooldowns for row in rows)),
        "fixed_cents_per_hour": _round(sum(known)) if len(known) == len(fixed) else None,
        "request_cents": _round(first.marginal_request_cents),
        "regions": sorted({row.region for row in rows if row.region}),
        "from": first.sources.get("latency", Source()).where,
        "age_seconds": _age(rows),
    }
    if late and (late.high - late.low) > 0.01:
        body["late_between"] = [_round(late.low), _round(late.high)]
    return {key: value for key, value in body.items() if value not in (None, [])}


def _site(row: Observed, facts: RoutingFacts, total: float) -> list[Any]:
    latency = row.latency
    late = latency.late(facts.slo.seconds) if latency and facts.slo else None
    p50, p95 = (latency.quantile(0.5), latency.quantile(0.95)) if latency else (None, None)
    return [
        row.name,
        f"{row.ready}/{row.units}",
        _round(row.requests / total) if row.requests is not None and total else None,
        _round(None if p50 is None else 1000 * p50),
        _round(None if p95 is None else 1000 * p95),
        _round(late.share) if late else None,
        _round(row.failed_share),
        _round(row.per_second),
        f"open {row.circuits_open}/{row.circuits}" if row.circuits_open else None if row.circuits is None else "closed",
    ]


def _fine(row: Observed) -> bool:
    return row.ready == row.units and row.requests is not None and row.failed_share != 1 and not row.circuits_open


def _savings(made: Worth) -> dict[str, Any]:
    if made.savings is None:
        marginal = {} if made.marginal_share is None else {"marginal_share": _round(made.marginal_share)}
        return {"why": made.why, **marginal}
    found = made.savings
    return {
        "share": _round(found.share),
        "marginal_share": _round(found.marginal_share),
        "counterfactual": found.counterfactual,
        "hours": _round(found.hours),
        "counterfactual_cents": _round(found.counterfactual_cents),
        "request_cents": _round(found.marginal_cents),
        "fixed_cents": _round(found.fixed_cents),
        "assumptions": list(made.assumptions),
    }


def _fallbacks(facts: RoutingFacts, total: float) -> dict[str, Any]:
    """Return who answered in whose place. What the cloud answers of a model that the edge serves first is what was spilled."""
    body: dict[str, Any] = {}
    edge, cloud = facts.of("edge"), facts.of("cloud")
    if edge and cloud and total:
        body["to_cloud"] = round(sum(row.requests or 0.0 for row in cloud))
    if facts.fallbacks is not None:
        body["answered"] = {name: round(count) for name, count in sorted(facts.fallbacks.items())}
    if facts.failed_fallbacks is not None:
        body["failed"] = round(facts.failed_fallbacks)
    if facts.slo_violations is not None:
        body["objectives_missed"] = round(facts.slo_violations)
    source = facts.sources.get("fallbacks", Source())
    return {**body, "age_seconds": source.age_seconds} if source.age_seconds is not None else body


def _conversations(facts: RoutingFacts) -> list[dict[str, str]]:
    """Return how conversations stay with their endpoints; nothing for a model that keeps nothing between requests."""
    rows = [row.model_dump() for row in stays(facts)]
    told = between(facts)
    return [*rows, {"target": "", "by": "gateway", "hint": told}] if told else rows


# --- where a request goes now ---------------------------------------------------------------------------------------


def decisions(facts: RoutingFacts) -> list[dict[str, Any]]:
    """Return where the mean request goes now, by the place it comes from: a site's clients reach their own nodes, then the cloud.

    Places with the same outcome are told together.
    """
    if facts.slo is None or not facts.targets:
        return []
    loads, clouds = facts.loads, [target for row in facts.of("cloud") if (target := row.target()) is not None]
    groups: dict[tuple[str, ...], list[tuple[str, Choice]]] = {}
    for row in facts.of("edge"):
        here = row.target()
        choice = decide(facts.typical, [*([here] if here else []), *clouds], loads, facts.slo)
        outcome = "own" if choice.target == row.name else choice.target
        code = choice.refused.get(row.name, "" if here else "unmeasured")
        groups.setdefault((outcome, code, "spill" if choice.spilled_from else ""), []).append((row.name, choice))
    if not facts.of("edge"):
        choice = decide(facts.typical, clouds, loads, facts.slo)
        groups["cloud", "", ""] = [("", choice)]
    named = {target.name: target for target in facts.targets}
    return [_decision(key, found, facts, named) for key, found in sorted(groups.items())]


def _decision(
    key: tuple[str, ...], found: Sequence[tuple[str, Choice]], facts: RoutingFacts, targets: dict[str, Target]
) -> dict[str, Any]:
    # the slowest of them: what is told of it holds for the others
    site, choice = max(found, key=lambda pair: (pair[1].seconds or 0.0, pair[0]))
    reasons = [*choice.reasons]
    if key[1] == "unmeasured":
        reasons.append(f"{site} is left out: how long it takes is not measured")
    if choice.target == site and site and facts.slo:
        reasons.append(_turning_point(targets[site], facts.slo, facts))
    return {
        "from": [name for name, _ in found] if site else [],
        "target": "the site's own nodes" if key[0] == "own" else choice.target,
        "predicted_seconds": _round(choice.seconds),
        "keeps_slo": choice.keeps_slo,
        "fallbacks": list(choice.fallbacks),
        "reasons": [reason for reason in reasons if reason],
    }


def _turning_point(target: Target, slo: Slo, facts: RoutingFacts) -> str:
    """Return at how many requests at once the edge would be late, by the rule of ``predict.wait_seconds`` turned round."""
    service = target.service.typical(facts.typical.prompt_tokens, facts.typical.output_tokens)
    load = facts.loads.get(target.name)
    slots = target.slots if load is None or load.slots is None else min(load.slots, target.slots)
    if service <= 0 or slots <= 0:
        return ""
    most = slots - 1 + math.floor((slo.seconds - service) * slots / service)
    return f"{target.name} spills once more than {most} requests run or wait there"


# --- what is not known -------------------------------------------------------------------------------------------------

_TOLD = {
    "latency": "latency and requests",
    "failed_share": "errors",
    "waiting": "queue",
    "running": "running requests",
    "circuits": "circuit state",
    "fixed_cents_per_hour": "fixed cost",
    "region": "region",
    "slots_per_unit": "requests that one serves at a time",
}
"""What people want to know of each target, and how it is called; the rest is in the data where it is known."""
_HOW = {
    "latency": "let Prometheus scrape the LiteLLM proxy, or the servers with the labels model, namespace, target and, at the "
    "edge, site",
    "failed_share": "let Prometheus scrape a server or router that counts responses by code",
    "waiting": "vLLM and endpoint pickers export it",
    "running": "vLLM and Knative's queue-proxy export it",
    "circuits": "scrape the LiteLLM proxy (litellm_settings.callbacks: [prometheus])",
    "fallbacks": "scrape the LiteLLM proxy (litellm_settings.callbacks: [prometheus])",
    "slo_violations": "an endpoint picker before the model's replicas counts them",
}
"""How to get measured what is not."""
_REASON = 110
"""Characters of a backend's own reason."""


def _unknown(facts: RoutingFacts) -> list[str]:
    """Return what is not known and how to come by it, a sentence each; the same reason at many targets once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in facts.observed:
        for name in _TOLD:
            source = row.sources.get(name, Source())
            priced = name == "fixed_cents_per_hour" and row.per_request and row.tier == "cloud"
            if source.why and not priced:
                reasons.setdefault((name, source.why), []).append(row.name)
    everywhere = len(facts.observed)
    told = [
        _sentence(name, f"{_TOLD[name]}{'' if len(names) == everywhere else f' of {_names(names)}'}", why)
        for (name, why), names in reasons.items()
    ]
    if facts.observed and (facts.slo is None or not facts.targets):
        reason = "nothing is promised" if facts.targets else "no target's speed is measured"
        told.append(f"where a request goes now: {reason}")
    whole = {
        "slo": "what is promised",
        "residency": "where requests may be processed",
        "fallbacks": "fallbacks",
        "slo_violations": "objectives missed",
    }
    sources = {name: facts.sources.get(name, Source()) for name in whole}
    return told + [_sentence(name, what, sources[name].why) for name, what in whole.items() if sources[name].why]


def _sentence(name: str, what: str, why: str) -> str:
    how = f"; {_HOW[name]}" if name in _HOW else ""
    return f"{what}: {clip(why, _REASON)}{how}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _stale(facts: RoutingFacts) -> list[str]:
    old = [(row.name, age) for row in facts.observed if (age := _age((row,))) is not None and age > _OLD_SECONDS]
    if not old:
        return []
    return [
        f"The newest sample of {_names([name for name, _ in old])} is {max(age for _, age in old)} s old: not of now."
    ]


def _age(rows: Sequence[Observed]) -> int | None:
    ages = [row.sources["latency"].age_seconds for row in rows if "latency" in row.sources]
    return max((age for age in ages if age is not None), default=None)


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _mean(pairs: Iterable[tuple[float | None, float | None]]) -> float | None:
    known = [(value, weight) for value, weight in pairs if value is not None and weight]
    whole = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / whole if whole else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _round(value: float | None) -> float | None:
    """Return four significant digits: more is noise to whoever decides."""
    return None if value is None else float(f"{value:.4g}")
