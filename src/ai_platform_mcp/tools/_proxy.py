"""The LiteLLM proxy of a namespace: the configuration that it has, and the steps that put one model's routing plan into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import yaml

from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.core.model import digest_of, type_json
from ai_platform_mcp.core.plan import Apply, Patch, Risk
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.redact import redact
from ai_platform_mcp.domain.lint import bounds
from ai_platform_mcp.domain.lint.rules.litellm import NO_KEYS
from ai_platform_mcp.domain.objects import differences, preconditions, ref_of, section
from ai_platform_mcp.domain.routing.check import IGNORED_FAILS
from ai_platform_mcp.domain.routing.plan import Breaker, RoutingPlan
from ai_platform_mcp.manifests.common import Origin, manifest
from ai_platform_mcp.manifests.litellm_merge import Merged, breaker_of, counted, merge
from ai_platform_mcp.tools._cloud import made_by
from ai_platform_mcp.tools._reading import Place
from ai_platform_mcp.tools._routes import proxy_of

PICKED_UP = "aiplatform.dev/proxy-config"
"""Annotation of the proxy's pods: digest of the configuration that they were started for. A new one replaces them."""
_COUNTS = "The proxy counts requests for Prometheus from now on (litellm_settings.callbacks), which routing status is told from."
_NEEDS_CLIENT = (
    "LiteLLM does not start with callbacks: [prometheus] where its environment lacks the package prometheus-client; "
    "its container images have it."
)
DEFAULTS: type_json = {"config_map": "litellm-config", "key": "config.yaml", "deployment": "", "keys": {}}
"""As in the settings, for platforms without a file."""


@dataclass(frozen=True)
class LiveProxy:
    """What a namespace's proxy is told now. ``config`` is empty where the ConfigMap, or its key, is not there yet."""

    name: str
    key: str
    deployment_name: str
    keys: Mapping[str, str]
    live: type_json | None
    config: type_json
    deployment: type_json | None
    committed: bool = False
    """Whether changes go through Git, and so arrive later."""

    @property
    def text(self) -> str:
        """The live text of the configuration."""
        return str(section(self.live, "data").get(self.key, ""))

    @property
    def replicas(self) -> int:
        """How many replicas the proxy has, 0 where its Deployment is not known."""
        said = section(self.deployment, "spec").get("replicas")
        return said if isinstance(said, int) else int(self.deployment is not None)

    def breaker(self) -> tuple[Breaker, str]:
        """Return the circuit breaker for all models of the proxy, and a sentence where it is not the usual one.

        A proxy has one: what it has stays, where that works.
        """
        fails, rest, retries = breaker_of(self.config)
        usual = Breaker()
        if fails is None or rest is None or fails < 0 or rest < 1 or fails == IGNORED_FAILS:
            told = f"The proxy had no circuit breaker that works: it gets one, for all of its models ({_said(usual)})."
            return usual, told if self.config else ""
        kept = Breaker(allowed_fails=fails, cooldown_seconds=rest, retries=min(retries or 0, 5))
        return kept, "" if kept == usual else f"The proxy's own circuit breaker stays ({_said(kept)})."

    @property
    def strategy(self) -> str:
        """How it shuffles a group, as its configuration says."""
        return str(section(self.config, "router_settings").get("routing_strategy") or "simple-shuffle")


@dataclass(frozen=True)
class ProxyPart:
    """What the proxy contributes to the draft."""

    steps: tuple[Apply | Patch, ...]
    reasons: tuple[str, ...]
    risks: tuple[Risk, ...] = ()


def _said(breaker: Breaker) -> str:
    return f"allowed_fails {breaker.allowed_fails}, cooldown_time {breaker.cooldown_seconds}, num_retries {breaker.retries}"


async def read_proxy(readers: Readers, where: Place) -> LiveProxy:
    """Return the proxy of a namespace as the platform's settings name it.

    Raises:
        Conflict: its configuration cannot be read, or carries secrets in clear, which a plan would store and show.
    """
    said = {**DEFAULTS, **section(readers.platform.routing, "proxy")}
    cluster, namespace = where.cluster.name, where.namespace.name
    live = await readers.clusters.get(cluster, "v1", "ConfigMap", said["config_map"], namespace)
    name = str(said["deployment"])
    deployment = await readers.clusters.get(cluster, "apps/v1", "Deployment", name, namespace) if name else None
    text = section(live, "data").get(said["key"])
    return LiveProxy(
        name=str(said["config_map"]),
        key=str(said["key"]),
        deployment_name=name,
        keys=cast("Mapping[str, str]", said["keys"]),
        live=live,
        config=config_in(str(text), str(said["config_map"])) if text else {},
        deployment=deployment,
        committed=readers.platform.gitops is not None,
    )


def config_in(text: str, name: str) -> type_json:
    """Return the configuration in a text.

    Raises:
        Conflict: it is no configuration, or carries secrets in clear.
    """
    remedy = "Correct it, or name another ConfigMap under routing.proxy in the platform file."
    try:
        found: Any = yaml.safe_load(text)
        bounds.hold(found)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = f"ConfigMap {name} holds no configuration that can be read."
        raise Conflict(problem, cause=str(error).splitlines()[0][:160], remedy=remedy) from None
    if found is None:
        return {}
    if not isinstance(found, dict) or not isinstance(cast("type_json", found).get("model_list", []), list):
        raise Conflict(f"ConfigMap {name} holds no configuration of a LiteLLM proxy.", remedy=remedy)
    config = cast("type_json", found)
    if secrets := _in_clear(config):
        raise Conflict(
            f"The proxy's configuration carries secrets in clear: {', '.join(secrets[:5])}.",
            cause="A plan that keeps them would store them and show them to everybody who may see it.",
            remedy="Write os.environ/NAME there, give the proxy that variable from a Secret, and change the secret.",
            details={"places": secrets},
        )
    return config


def _in_clear(config: type_json) -> list[str]:
    """Return the places of secrets in a configuration, as JSON pointers; references to variables are none."""
    named = _without_references(config)
    found = [row.path for row in differences(named, redact(named))]
    if section(named, "general_settings").get("master_key"):
        found.append("/general_settings/master_key")
    return found


def _without_references(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_references(inner) for key, inner in cast("type_json", value).items()}
    if isinstance(value, list):
        return [_without_references(inner) for inner in cast("list[Any]", value)]
    reference = isinstance(value, str) and (value.startswith("os.environ/") or value.lower() in NO_KEYS)
    return "" if reference else value


def proxy_part(
    proxy: LiveProxy, plan: RoutingPlan, names: Mapping[str, str], where: Place, operation: str, *, force: bool
) -> ProxyPart:
    """Return the steps that put the plan into the proxy's configuration, with everything that others have there kept.

    ``names`` says, per target, what its server calls the model where that differs.

    Raises:
        InvalidInput: the plan has an error.
        Conflict: the proxy's other models stand in its way.
    """
    fresh = proxy_of([_shared(plan, proxy.replicas)], names, proxy.keys)
    merged = merge(proxy.config, plan.model, fresh, take=force)
    groups = ", ".join(group.name for group in plan.groups)
    title = f"Tell the LiteLLM proxy of {where.namespace.name} how to route {plan.model} ({groups})"
    part = _part(proxy, merged, where, title, operation, force=force)
    part = replace(part, risks=(*_twice_down(plan), *part.risks))
    if not any(member.per_minute for group in plan.groups for member in group.members):
        return part
    number = proxy.replicas or "an unknown number of them"
    counted = f"Each process of the proxy counts requests a minute for itself; it has {number}."
    return replace(part, reasons=(counted, *part.reasons))


def _twice_down(plan: RoutingPlan) -> tuple[Risk, ...]:
    """Return what two failures at once cost: no circuit opens for a group that requests reach as a fallback (measured on
    1.106.2: a second group of the cloud behind one that hangs is reached after its time-out, every time)."""
    first = plan.entries["interactive"]
    behind = plan.fallbacks.get(first, ())
    if len(behind) < 2:
        return ()
    waits = max(member.timeout_seconds for group in plan.groups if group.name == behind[0] for member in group.members)
    text = (
        f"LiteLLM opens no circuit for a group that requests reach as a fallback: while {first} and {behind[0]} are both down, "
        f"each request waits up to {waits:g} s for {behind[0]} before it goes to {behind[1]}."
    )
    return (Risk(severity="info", text=text),)


def _shared(plan: RoutingPlan, replicas: int) -> RoutingPlan:
    """Return the plan for one of several replicas, each of which sends a target its part of what that completes."""
    groups = tuple(
        group.model_copy(
            update={
                "members": tuple(
                    member.model_copy(update={"per_minute": max(1, member.per_minute // max(1, replicas))})
                    if member.per_minute
                    else member
                    for member in group.members
                )
            }
        )
        for group in plan.groups
    )
    return plan.model_copy(update={"groups": groups})


def without_part(proxy: LiveProxy, model: str, part: type_json, where: Place, operation: str) -> ProxyPart:
    """Return the steps that give a model the part of the configuration that it had before; an empty part is none."""
    merged = merge(proxy.config, model, part)
    title = f"Give the LiteLLM proxy of {where.namespace.name} what it had for {model} before"
    return _part(proxy, merged, where, title, operation, force=False)


def _part(proxy: LiveProxy, merged: Merged, where: Place, title: str, operation: str, *, force: bool) -> ProxyPart:
    same = merged.config == proxy.config
    text = proxy.text if same else yaml.safe_dump(merged.config, sort_keys=False, allow_unicode=True, width=120)
    made = Origin(team=where.team, environment=where.environment, operation=operation)
    wanted = manifest(
        "v1", "ConfigMap", proxy.name, where.namespace.name, made_by(proxy.live, made), {"data": {proxy.key: text}},
        component="routing",
    )  # fmt: skip
    step = Apply(title=title, cluster=where.cluster.name, manifest=wanted, force=force)
    step = step.model_copy(update={"preconditions": preconditions(step, proxy.live)})
    restart, told, risks = _picked_up(proxy, where, digest_of(merged.config))
    if counted(merged.config) and not counted(proxy.config):
        told = (_COUNTS, *told)
        risks = (Risk(severity="info", text=_NEEDS_CLIENT), *risks)
    if merged.kept:
        told = (f"Other groups of the proxy stay as they are: {', '.join(merged.kept)}.", *told)
    if merged.gone:
        gone = f"Clients that call {', '.join(merged.gone)} will be told that there is no such model."
        risks = (Risk(severity="warning", text=gone), *risks)
    if not same and any(line.lstrip().startswith("#") for line in proxy.text.splitlines()):
        lost = f"The comments in ConfigMap {proxy.name} are lost; everything that LiteLLM reads stays."
        risks = (Risk(severity="warning", text=lost), *risks)
    return ProxyPart(steps=(step, *restart), reasons=told, risks=risks)


def _picked_up(
    proxy: LiveProxy, where: Place, digest: str
) -> tuple[tuple[Patch, ...], tuple[str, ...], tuple[Risk, ...]]:
    """Return how the proxy learns of its new configuration: it reads it when it starts, and never again."""
    if proxy.committed:
        text = (
            "LiteLLM reads its configuration when it starts: restart the proxy once the commit has reached the cluster."
        )
        return (), (), (Risk(severity="warning", text=text),)
    if not proxy.deployment_name:
        text = "LiteLLM reads its configuration when it starts: restart the proxy (no routing.proxy.deployment is set)."
        return (), (), (Risk(severity="warning", text=text),)
    if proxy.deployment is None:
        text = f"There is no Deployment {proxy.deployment_name} in {where.namespace.name}: restart what reads the ConfigMap."
        return (), (), (Risk(severity="warning", text=text),)
    ref = ref_of(proxy.deployment)
    body = {"spec": {"template": {"metadata": {"annotations": {PICKED_UP: digest}}}}}
    step = Patch(title=f"Replace the pods of {ref}, which read it", cluster=where.cluster.name, ref=ref, patch=body)
    step = step.model_copy(update={"preconditions": preconditions(step, proxy.deployment)})
    return (step,), ("The proxy's pods are replaced one after another, so that they read it.",), ()
