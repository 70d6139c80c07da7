"""From a routing plan to what gateways read: the LiteLLM proxy's configuration, and HTTPRoutes with InferencePools."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.domain.routing.check import validate
from ai_platform_mcp.domain.routing.plan import Group, Member, RoutingPlan
from ai_platform_mcp.manifests import litellm
from ai_platform_mcp.manifests.common import Capabilities, Origin, object_name
from ai_platform_mcp.manifests.routing import POOL_API, Backend, Route, http_route, inference_pool

_SERVICE = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.[a-z0-9.-]+)?")


class Pool(Value):
    """What an InferencePool needs to stand for a target's Service."""

    match_labels: dict[str, str]
    port: int
    picker: str
    picker_port: int


class Gateway(Value):
    """The Gateway that routes attach to, and the domain under which each group gets a host name."""

    name: str
    namespace: str | None = None
    domain: str


class Routes(Value):
    """Objects of the Gateway API, and the groups that could not be expressed in it, with the reason."""

    objects: tuple[type_json, ...]
    left_out: dict[str, str]


def proxy_of(
    plans: Sequence[RoutingPlan], served_names: Mapping[str, str] | None = None, keys: Mapping[str, str] | None = None
) -> type_json:
    """Return the configuration of one LiteLLM proxy that serves the models of all these plans.

    ``served_names`` says, per target, what its server calls the model where that differs; ``keys`` names, per target, the
    environment variable with its key.

    Raises:
        InvalidInput: there is no plan; one has an error, each told with its code; two share a group's name; or their circuit
            breakers differ, of which a proxy has one.
    """
    for plan in plans:
        _refuse(plan)
    breaker = next((plan.breaker for plan in plans), None)
    if breaker is None or any(plan.breaker != breaker for plan in plans):
        raise InvalidInput("one proxy needs one circuit breaker", remedy="give plans with the same breaker")
    groups = Counter(group.name for plan in plans for group in plan.groups)
    if twice := sorted(name for name, count in groups.items() if count > 1):
        raise InvalidInput(f"two plans have a group {twice[0]}", remedy="serve one of them from another proxy")
    names, named = served_names or {}, keys or {}
    return litellm.proxy_config(
        litellm.Proxy(
            deployments=tuple(row for plan in plans for row in _deployments(plan, names, named)),
            fallbacks=tuple(
                litellm.Fallback(group=group, to=to) for plan in plans for group, to in plan.fallbacks.items()
            ),
            allowed_fails=breaker.allowed_fails,
            cooldown_seconds=breaker.cooldown_seconds,
            retries=breaker.retries,
        )
    )


def _deployments(plan: RoutingPlan, names: Mapping[str, str], keys: Mapping[str, str]) -> Iterator[litellm.Deployment]:
    for group in plan.groups:
        for member in group.members:
            yield litellm.Deployment(
                group=group.name,
                target=member.target,
                namespace=member.namespace,
                site=member.site,
                routed_for=plan.model,
                model=f"openai/{names.get(member.target, plan.model)}",
                api_base=member.base_url,
                api_key_env=keys.get(member.target),
                tier=member.tier,
                timeout_seconds=member.timeout_seconds,
                weight=member.weight if len(group.members) > 1 else None,
                prompt_limit=member.prompt_limit,
                per_minute=member.per_minute,
            )


def routes_of(
    plan: RoutingPlan,
    namespace: str,
    gateway: Gateway,
    origin: Origin,
    capabilities: Capabilities,
    pools: Mapping[str, Pool | str] | None = None,
) -> Routes:
    """Return one HTTPRoute per group whose members are Services of ``namespace``, and the InferencePools behind them.

    An HTTPRoute shares requests out by weight and knows no fallback: between groups that stays with whoever calls, such as
    the LiteLLM proxy. A target with a :class:`Pool` is reached through it where InferencePool is served, else through its
    Service; a name instead of one is a pool that stands already, and stays with whoever made it. Services elsewhere would
    need a ReferenceGrant of their owner, so such groups are left out.

    Raises:
        InvalidInput: the plan has an error.
        CapabilityMissing: Gateway API is not served.
    """
    _refuse(plan)
    known = pools if pools and capabilities.serves(POOL_API, "InferencePool") else {}
    objects: dict[str, type_json] = {}
    left_out: dict[str, str] = {}
    for group in plan.groups:
        outside = [member.target for member in group.members if _service(member, namespace) is None]
        if outside:
            left_out[group.name] = f"{', '.join(outside)} is no Service of {namespace} with a port"
            continue
        for member in group.members:
            if isinstance(pool := known.get(member.target), Pool):
                objects[f"pool {member.target}"] = inference_pool(
                    object_name(member.target),
                    namespace,
                    pool.match_labels,
                    pool.port,
                    pool.picker,
                    pool.picker_port,
                    origin,
                    capabilities,
                )
        objects[group.name] = http_route(_route(group, namespace, gateway, known), origin, capabilities)
    return Routes(objects=tuple(objects.values()), left_out=left_out)


def _route(group: Group, namespace: str, gateway: Gateway, pools: Mapping[str, Pool | str]) -> Route:
    name = object_name(group.name)
    return Route(
        name=name,
        namespace=namespace,
        gateway=gateway.name,
        gateway_namespace=gateway.namespace,
        hostnames=(f"{name}.{gateway.domain}",),
        backends=tuple(_backend(member, namespace, pools) for member in group.members),
        timeout_seconds=math.ceil(max(member.timeout_seconds for member in group.members)),
    )


def _backend(member: Member, namespace: str, pools: Mapping[str, Pool | str]) -> Backend:
    found, pool = _service(member, namespace), pools.get(member.target)
    if pool is not None or found is None:
        name = pool if isinstance(pool, str) else object_name(member.target)
        return Backend(name=name, kind="InferencePool", weight=member.weight)
    return Backend(name=found[0], port=found[1], weight=member.weight)


def _service(member: Member, namespace: str) -> tuple[str, int] | None:
    """Return the Service and port that a member's URL names, where it is one of the namespace."""
    base = urlsplit(member.base_url)
    found = _SERVICE.fullmatch(base.hostname or "")
    if not found or found[2] != namespace:
        return None
    return found[1], base.port or (443 if base.scheme == "https" else 80)


def _refuse(plan: RoutingPlan) -> None:
    if wrong := [finding for finding in validate(plan) if finding.severity == "error"]:
        raise InvalidInput(
            f"the routing plan of {plan.model} cannot work: {wrong[0].message}",
            cause="; ".join(f"{finding.code}: {finding.message}" for finding in wrong),
            remedy=wrong[0].remedy,
        )
