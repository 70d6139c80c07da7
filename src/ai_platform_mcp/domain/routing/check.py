"""What is wrong with a routing plan, whoever wrote it: the same findings that lint gives, with codes of their own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from ai_platform_mcp.domain.lint.model import SEVERITIES, Finding, Severity
from ai_platform_mcp.domain.routing.plan import Group, Member, RoutingPlan

IGNORED_FAILS = 3
"""LiteLLM 1.106 takes an ``allowed_fails`` that equals its own default for one that was never set."""
CODES: dict[str, tuple[Severity, str]] = {
    "routing.dangling-fallback": ("error", "LiteLLM Router accepts it and fails when the fallback is needed"),
    "routing.dangling-entry": ("error", "requests of that class name a group that is not there"),
    "routing.fallback-cycle": ("error", "a circle asks failing groups again"),
    "routing.residency": ("error", "data leaves the regions where it may be processed"),
    "routing.unreachable-base": ("error", "a gateway calls each member by its URL"),
    "routing.no-breaker": ("error", "litellm#40405; a dead edge costs every request its failures"),
    "routing.ignored-breaker": ("error", "LiteLLM 1.106: allowed_fails equal to the default is taken as unset"),
    "routing.edge-alone": ("error", "an edge site is away whenever its link is"),
    "routing.strategy": ("warning", "measured on a trace of 19,366 requests: latency-based routing leaves the edge idle"),
    "routing.shared-failure-domain": ("warning", "what failed takes its fallback with it"),
    "routing.late-timeout": ("warning", "the promise is broken before the fallback is asked"),
    "routing.single-deployment": ("info", "it is away whenever its only server is"),
}  # fmt: skip
"""Every code, how grave it is, and why."""

Problem = tuple[str, str, str, str]
"""Code, pointer, message, remedy."""


def validate(plan: RoutingPlan) -> tuple[Finding, ...]:
    """Return what is wrong with a plan, gravest first; nothing is wrong with one that :func:`plan_routes` made of targets
    that have URLs and back each other up.
    """
    groups = {group.name: group for group in plan.groups}
    found = [
        *_names(plan, groups),
        *_cycles(plan.fallbacks),
        *_breaker(plan),
        *_backing(plan, groups),
        *(row for group in plan.groups for member in group.members for row in _member(plan, group, member)),
    ]
    findings = [_finding(plan, *problem) for problem in found]
    return tuple(sorted(findings, key=lambda row: (SEVERITIES.index(row.severity), row.path, row.code)))


def _finding(plan: RoutingPlan, code: str, path: str, message: str, remedy: str) -> Finding:
    severity, source = CODES[code]
    return Finding(
        code=code,
        severity=severity,
        kind="RoutingPlan",
        name=plan.model,
        path=path,
        message=message,
        remedy=remedy,
        source=source,
        fix="none",
    )


def _names(plan: RoutingPlan, groups: Mapping[str, Group]) -> Iterator[Problem]:
    for group, listed in plan.fallbacks.items():
        for name in (group, *listed):
            if name not in groups:
                known = ", ".join(sorted(groups))
                yield (
                    "routing.dangling-fallback",
                    f"/fallbacks/{group}",
                    f"{name} is no group.",
                    f"Use one of {known}.",
                )
    for kind, name in plan.entries.items():
        if name not in groups:
            yield (
                "routing.dangling-entry",
                f"/entries/{kind}",
                f"{kind} requests enter at {name}, which is no group.",
                f"Use one of {', '.join(sorted(groups))}.",
            )


def _cycles(fallbacks: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
    told: set[frozenset[str]] = set()
    for group in sorted(fallbacks):
        reached = _reached(group, fallbacks)
        circle = frozenset(name for name in reached if group in _reached(name, fallbacks))
        if group in reached and circle not in told:
            told.add(circle)
            yield (
                "routing.fallback-cycle",
                f"/fallbacks/{group}",
                f"{', '.join(sorted(circle))} fall back to each other in a circle.",
                "End the chain at the group that is most likely to answer.",
            )


def _reached(group: str, fallbacks: Mapping[str, Sequence[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(fallbacks.get(group, ()))
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(fallbacks.get(name, ()))
    return reached


def _breaker(plan: RoutingPlan) -> Iterator[Problem]:
    if plan.breaker is None:
        yield ("routing.no-breaker", "/breaker", "A dead server is asked again and again.", "Give it a breaker.")
    elif plan.breaker.allowed_fails == IGNORED_FAILS:
        yield (
            "routing.ignored-breaker",
            "/breaker/allowed_fails",
            f"{IGNORED_FAILS} is LiteLLM's default and works as if it were not set.",
            "Use 1.",
        )
    edge = any(member.tier == "edge" for group in plan.groups for member in group.members)
    if edge and plan.strategy == "latency-based-routing":
        yield (
            "routing.strategy",
            "/strategy",
            "It prefers whoever answers faster, and the edge is meant to come first while it keeps the SLO.",
            "Use simple-shuffle, one group per tier, and fallbacks.",
        )


def _backing(plan: RoutingPlan, groups: Mapping[str, Group]) -> Iterator[Problem]:
    entered = set(plan.entries.values())
    for group in plan.groups:
        behind = [groups[name] for name in _reached(group.name, plan.fallbacks) if name in groups]
        own = {member.failure_domain for member in group.members}
        others = {member.failure_domain for other in behind for member in other.members}
        path = f"/groups/{group.name}"
        if any(member.tier == "edge" for member in group.members) and not any(
            member.tier == "cloud" for other in behind for member in other.members
        ):
            yield (
                "routing.edge-alone",
                path,
                f"{group.name} is at the edge, and no cloud is behind it.",
                "Add a fallback.",
            )
        elif behind and len(own | others) == 1:
            yield (
                "routing.shared-failure-domain",
                path,
                f"{group.name} and its fallbacks are all in {next(iter(own))}.",
                "Add a fallback in another failure domain.",
            )
        if len(group.members) == 1 and not behind and group.name in entered:
            yield (
                "routing.single-deployment",
                path,
                f"{group.name} has one deployment and no fallback.",
                "Add a second one, or a fallback.",
            )


def _member(plan: RoutingPlan, group: Group, member: Member) -> Iterator[Problem]:
    path = f"/groups/{group.name}/{member.target}"
    if plan.regions and member.region not in plan.regions:
        allowed = ", ".join(sorted(plan.regions))
        yield ("routing.residency", path, f"{member.target} is in {member.region}.", f"Keep to {allowed}.")
    base = urlsplit(member.base_url)
    if base.scheme not in ("http", "https") or not base.hostname or base.hostname in ("0.0.0.0", "::"):  # noqa: S104
        yield (
            "routing.unreachable-base",
            path,
            f"{member.target} has no URL that a gateway can call ({member.base_url or 'none'}).",
            "Write http(s)://service.namespace.svc:port/v1.",
        )
    if member.tier == "edge" and member.timeout_seconds > math.ceil(plan.slo_seconds):
        yield (
            "routing.late-timeout",
            path,
            f"{member.target} is waited for {member.timeout_seconds:g} s; {plan.slo_seconds:g} s are promised.",
            f"Use {math.ceil(plan.slo_seconds)}.",
        )
