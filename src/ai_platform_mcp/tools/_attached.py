"""Routes of the Gateway API for a routing plan, and what they cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ai_platform_mcp.core.errors import CapabilityMissing, Forbidden
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Apply, Risk
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.objects import labels_of, metadata_of, preconditions, ref_of, rows, section
from ai_platform_mcp.domain.routing.plan import RoutingPlan
from ai_platform_mcp.manifests.common import (
    MANAGED_BY,
    MODEL_LABEL,
    OPERATION_LABEL,
    Capabilities,
    Origin,
    label_value,
)
from ai_platform_mcp.manifests.routing import POOL_API, ROUTE_API
from ai_platform_mcp.tools._cloud import made_by
from ai_platform_mcp.tools._models import Chosen
from ai_platform_mcp.tools._reachable import service_of
from ai_platform_mcp.tools._reading import Place, capabilities, list_all
from ai_platform_mcp.tools._routes import Gateway, Pool, routes_of


@dataclass(frozen=True)
class Attached:
    """What the Gateway API contributes to the draft."""

    steps: tuple[Apply, ...]
    reasons: tuple[str, ...]
    risks: tuple[Risk, ...] = ()


async def attached(
    readers: Readers, where: Place, plan: RoutingPlan, chosen: Chosen, operation: str, *, asked: str, force: bool
) -> Attached:
    """Return the routes, none where the call wants the proxy alone.

    Raises:
        CapabilityMissing: the call wants routes, and there is no Gateway, or no Gateway API, for them.
    """
    if asked == "litellm":
        return Attached((), ())
    said = section(readers.platform.routing, "gateway")
    can = await capabilities(readers, where.cluster.name)
    missing = "" if said else "No Gateway is named (routing.gateway in the platform file)."
    if said and not can.serves(ROUTE_API, "HTTPRoute"):
        missing = f"The cluster {where.cluster.name} does not serve the Gateway API."
    if missing:
        if asked == "routes":
            raise CapabilityMissing(missing, remedy="Pass gateway=litellm, or name a Gateway where that API is served.")
        return Attached((), (f"{missing} No routes are made.",))
    origin = Origin(model=chosen.name, team=where.team, environment=where.environment, operation=operation)
    gateway = Gateway(name=said["name"], namespace=said.get("namespace"), domain=said["domain"])
    pools = await _pools(readers, where, plan, can, said)
    routes = routes_of(plan, where.namespace.name, gateway, origin, can, pools)
    steps = tuple([await _step(readers, where, route, origin, force=force) for route in routes.objects])
    reasons = [f"No route for {group}: {why}." for group, why in routes.left_out.items()]
    if steps:
        reasons.append(
            "An HTTPRoute shares requests out and waits; fallbacks between groups and the circuit breaker are not its to say: "
            "they stay with the proxy, or with whoever calls."
        )
    if pools:
        reasons.append(f"An endpoint picker chooses the replica of {', '.join(sorted(pools))} (InferencePool).")
    return Attached(steps, tuple(reasons), await _gateway_away(readers, where, gateway) if steps else ())


async def _gateway_away(readers: Readers, where: Place, gateway: Gateway) -> tuple[Risk, ...]:
    """Return the warning that routes attach to a Gateway that is not there: nothing would carry them out."""
    namespace = gateway.namespace or where.namespace.name
    cluster = where.cluster.name
    try:
        served = await readers.clusters.serves(cluster, ROUTE_API, "Gateway")
        live = await readers.clusters.get(cluster, ROUTE_API, "Gateway", gateway.name, namespace) if served else None
    except Forbidden:
        return ()  # whoever may not read it may still attach routes to it
    text = f"There is no Gateway {namespace}/{gateway.name}: no request reaches these routes until there is one."
    return () if live else (Risk(severity="warning", text=text),)


async def _step(readers: Readers, where: Place, route: type_json, origin: Origin, *, force: bool) -> Apply:
    ref = ref_of(route)
    live = await readers.clusters.get(where.cluster.name, ref.api_version, ref.kind, ref.name, ref.namespace)
    if kept := made_by(live, origin).operation:
        metadata_of(route)["labels"][OPERATION_LABEL] = label_value(kept)
    hosts = ", ".join(str(host) for host in section(route, "spec").get("hostnames", ()))
    title = f"Route {hosts} by {ref}" if hosts else f"Put the replicas into {ref}"
    step = Apply(title=title, cluster=where.cluster.name, manifest=route, force=force)
    return step.model_copy(update={"preconditions": preconditions(step, live)})


async def _pools(
    readers: Readers, where: Place, plan: RoutingPlan, can: Capabilities, said: type_json
) -> Mapping[str, Pool | str]:
    """Return the InferencePools of cloud targets: the one that stands for the model, else one per Service with a picker."""
    if not can.serves(POOL_API, "InferencePool"):
        return {}
    clouds = {row.target: row.base_url for group in plan.groups for row in group.members if row.tier == "cloud"}
    found = await list_all(readers, where.cluster.name, POOL_API, "InferencePool", namespace=where.namespace.name)
    standing = [str(metadata_of(pool)["name"]) for pool in found if _stands_for(pool, plan.model)]
    if len(standing) == 1 and len(clouds) == 1:
        return dict.fromkeys(clouds, standing[0])
    if not said.get("picker"):
        return {}
    made = {name: await _pool(readers, where, url, said) for name, url in clouds.items()}
    return {name: pool for name, pool in made.items() if pool is not None}


def _stands_for(pool: type_json, model: str) -> bool:
    ours = labels_of(pool).get("app.kubernetes.io/managed-by") == MANAGED_BY
    return not ours and section(pool, "spec", "selector", "matchLabels").get(MODEL_LABEL) == label_value(model)


async def _pool(readers: Readers, where: Place, url: str, said: type_json) -> Pool | None:
    """Return a pool of the pods behind a Service of the namespace, None where it selects none itself."""
    named = service_of(url)
    if named is None or named[1] != where.namespace.name:
        return None
    live = await readers.clusters.get(where.cluster.name, "v1", "Service", *named)
    selector = {str(key): str(value) for key, value in section(live, "spec", "selector").items()}
    ports = [
        port for row in rows(live, "spec", "ports") if isinstance(port := row.get("targetPort", row.get("port")), int)
    ]
    if not selector or not ports:
        return None
    return Pool(match_labels=selector, port=ports[0], picker=said["picker"], picker_port=said["picker_port"])
