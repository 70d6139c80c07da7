"""LiteLLM: where requests go when a group fails, and who decides it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, cast

from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.rules.litellm import PROXY, deployments
from ai_platform_mcp.domain.lint.subject import Subject
from ai_platform_mcp.domain.objects import rows, section

LISTS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
HOLDERS = ("/router_settings", "/litellm_settings", "")
STRATEGIES = frozenset(
    (
        "simple-shuffle", "least-busy", "usage-based-routing", "usage-based-routing-v2", "latency-based-routing",
        "cost-based-routing", "provider-budget-routing",
    )
)  # fmt: skip
USAGE = ("usage-based-routing", "usage-based-routing-v2")


def _fallbacks(subject: Subject) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each fallback: its pointer, its group, where it leads."""
    for holder in HOLDERS:
        data = section(subject.data, *holder.split("/")[1:])
        for name in LISTS:
            for place, row in enumerate(rows(data, name)):
                for group, targets in row.items():
                    listed = cast("list[Any]", targets) if isinstance(targets, list) else [targets]
                    yield f"{holder}/{name}/{place}", str(group), [str(target) for target in listed]


def _groups(subject: Subject) -> Counter[str]:
    return Counter(group for _, group, _ in deployments(subject))


def _known(subject: Subject) -> set[str]:
    return {*_groups(subject), *section(subject.data, "router_settings", "model_group_alias")}


def _matches(group: str, known: set[str]) -> bool:
    return group in known or any(name.endswith("*") and group.startswith(name[:-1]) for name in known)


@rule(
    "litellm.fallbacks-place",
    "error",
    "fallbacks at the top of the configuration",
    source="LiteLLM: fallbacks are read from router_settings and litellm_settings",
    fix="certain",
    kinds=PROXY,
)
def fallbacks_place(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find fallbacks that nobody reads."""
    router = subject.data.get("router_settings")
    for name in LISTS:
        if name in subject.data:
            taken = name in section(router) or name in section(subject.data, "litellm_settings")
            yield Hit(
                path=f"/{name}",
                message=f"{name} at the top is not read: a failing group fails its requests.",
                remedy=f"Move it into router_settings.{name}.",
                edits=(Edit(op="move", path=f"/{name}", to=f"/router_settings/{name}"),),
                certain=not taken and (router is None or isinstance(router, dict)),
            )


@rule(
    "litellm.dangling-fallback",
    "error",
    "fallback to, or of, a group that has no deployment",
    source="LiteLLM Router accepts it when it starts and fails when the fallback is needed (measured, 1.106)",
    fix="none",
    kinds=PROXY,
)
def dangling_fallback(subject: Subject, around: Around) -> Iterable[Hit]:
    """Compare the groups of fallbacks with those of the model list."""
    known = _known(subject)
    for path, group, targets in _fallbacks(subject):
        for name in (group, *targets):
            if name != "*" and not _matches(name, known):
                yield Hit(
                    path=path,
                    message=f"{name} is not in model_list: the proxy starts, and the fallback fails when it is needed.",
                    remedy=f"Add a deployment with model_name: {name}, or name one of {', '.join(sorted(known)) or 'the list'}.",
                )


@rule(
    "litellm.fallback-cycle",
    "error",
    "fallbacks that lead back",
    source="LiteLLM Router: each fallback is tried in turn; a circle repeats failing calls",
    fix="none",
    kinds=PROXY,
)
def fallback_cycle(subject: Subject, around: Around) -> Iterable[Hit]:
    """Follow the fallbacks of each group, list by list; each circle is told once."""
    for name in LISTS:
        chain = {group: targets for path, group, targets in _fallbacks(subject) if path.split("/")[-2] == name}
        told: set[frozenset[str]] = set()
        for path, group, _ in _fallbacks(subject):
            circle = _circle(group, chain) if path.split("/")[-2] == name else []
            if circle and frozenset(circle) not in told:
                told.add(frozenset(circle))
                yield Hit(
                    path=path,
                    message=f"{' → '.join([*circle, circle[0]])} is a circle: when all fail, each is asked again.",
                    remedy="End the chain at the group that is most likely to answer.",
                )


def _circle(start: str, chain: dict[str, list[str]]) -> list[str]:
    """Return the shortest way from a group back to itself, empty where there is none."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for target in chain.get(way[-1], ()):
            if target == start:
                return way
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []


@rule(
    "litellm.no-circuit-breaker",
    "warning",
    "no allowed_fails and cooldown_time",
    source="litellm#40405; measured on 1.106: a dead edge costs 8-17 s per request, with both set 20-50 ms",
    fix="suggested",
    kinds=PROXY,
)
def no_circuit_breaker(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find proxies that go on asking a dead server."""
    router, proxy = section(subject.data, "router_settings"), section(subject.data, "litellm_settings")
    missing = [key for key in ("allowed_fails", "cooldown_time") if key not in router and key not in proxy]
    if missing and "allowed_fails_policy" not in router and _groups(subject):
        alone = sorted(group for group, count in _groups(subject).items() if count == 1)
        yield Hit(
            path="/router_settings" if router else "",
            message=f"{' and '.join(missing)} not set: a group with one deployment"
            + (f" ({', '.join(alone[:5])})" if alone else "")
            + " has no circuit breaker, and every request waits for the dead server first.",
            remedy="Write router_settings.allowed_fails: 1 and cooldown_time: 30.",
        )


@rule(
    "litellm.single-deployment",
    "info",
    "group with one deployment and no fallback",
    source="LiteLLM Router: retries and cool-downs need somewhere else to go",
    fix="none",
    kinds=PROXY,
)
def single_deployment(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find groups that fail with their only server."""
    backed = {group for _, group, _ in _fallbacks(subject)} | {"*"}
    everywhere = bool(section(subject.data, "litellm_settings").get("default_fallbacks"))
    targets = {target for _, _, listed in _fallbacks(subject) for target in listed}
    counted = _groups(subject)
    for path, group, _ in deployments(subject):
        if counted[group] == 1 and group not in backed and group not in targets and not everywhere:
            yield Hit(
                path=path.removesuffix("/litellm_params"),
                message=f"{group} has one deployment and no fallback: it is away whenever that server is.",
                remedy="Add a second deployment under the same model_name, or a fallback group.",
            )


@rule(
    "litellm.latency-routing",
    "warning",
    "latency-based-routing",
    source="measured on a trace of 19,366 requests: it sends 0.2 % to an edge that is slower than the cloud",
    fix="suggested",
    kinds=PROXY,
)
def latency_routing(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the strategy that does not put the edge first."""
    if section(subject.data, "router_settings").get("routing_strategy") == "latency-based-routing":
        yield Hit(
            path="/router_settings/routing_strategy",
            message="It chooses within a group by recent latency: it is neither edge-first nor cheap, and between groups it "
            "decides nothing.",
            remedy="Write simple-shuffle, one group per tier, and fallbacks from the edge group to the cloud group.",
        )


@rule(
    "litellm.unknown-strategy",
    "warning",
    "routing strategy that LiteLLM does not have",
    source="LiteLLM Router 1.106: routing strategies",
    fix="suggested",
    kinds=PROXY,
)
def unknown_strategy(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find misspelt strategies."""
    strategy = section(subject.data, "router_settings").get("routing_strategy")
    if isinstance(strategy, str) and strategy not in STRATEGIES:
        yield Hit(
            path="/router_settings/routing_strategy",
            message=f"{strategy[:60]} is none of the strategies of LiteLLM 1.106.",
            remedy=f"Use one of {', '.join(sorted(STRATEGIES))}.",
        )


@rule(
    "litellm.no-limits",
    "warning",
    "usage-based routing without rpm or tpm",
    source="LiteLLM Router: usage-based routing compares usage with the rpm and tpm of deployments",
    fix="suggested",
    kinds=PROXY,
)
def no_limits(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find deployments that the strategy has nothing to compare with."""
    if section(subject.data, "router_settings").get("routing_strategy") in USAGE:
        for path, group, params in deployments(subject):
            if params.get("rpm") is None and params.get("tpm") is None:
                yield Hit(
                    path=path,
                    message=f"{group} has neither rpm nor tpm: its limit is never reached, and it is never relieved.",
                    remedy="Write litellm_params.rpm and tpm as measured.",
                )
