"""Decide where a model's requests go, and tell it the gateway: a change like any other, planned and guarded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ai_platform_mcp.core.errors import CapabilityMissing
from ai_platform_mcp.core.facts import Facts
from ai_platform_mcp.core.plan import Draft, Evidence, Risk
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.tool import PlanContext, WriteParams
from ai_platform_mcp.domain.namespaces import Environment
from ai_platform_mcp.domain.routing.facts import Target
from ai_platform_mcp.domain.routing.observed import RoutingFacts
from ai_platform_mcp.domain.routing.plan import Breaker, RoutingPlan
from ai_platform_mcp.tools._attached import Attached, attached
from ai_platform_mcp.tools._models import Chosen, choose_version
from ai_platform_mcp.tools._proxy import LiveProxy, ProxyPart, proxy_part, read_proxy
from ai_platform_mcp.tools._reachable import Reachable, reachable
from ai_platform_mcp.tools._reading import Place, find_place
from ai_platform_mcp.tools._route_plan import facts_of, make_plan, risks_of, told
from ai_platform_mcp.tools._routing_facts import read_routing_facts


class RouteModelParams(WriteParams):
    """Which model's requests, what is promised, and who is told."""

    model: str
    environment: Environment = "dev"
    cluster: str = ""
    namespace: str = ""
    slo_ms: Annotated[int | None, Field(ge=1)] = None
    gateway: Literal["auto", "litellm", "routes"] = "auto"
    force: bool = False


@dataclass(frozen=True)
class _World:
    """What was read to plan the routing of one model."""

    params: RouteModelParams
    chosen: Chosen
    where: Place
    facts: RoutingFacts
    reach: Reachable
    proxy: LiveProxy | None
    """None where the proxy is not told."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """What the gateway can call."""
        return self.reach.targets

    @property
    def slo_ms(self) -> int | None:
        """What is promised, in milliseconds."""
        return None if self.facts.slo is None else round(self.facts.slo.seconds * 1000)


class RouteModel:
    """Plans the ConfigMap of a LiteLLM proxy, and routes of the Gateway API."""

    name: ClassVar[str] = "route_model"
    title: ClassVar[str] = "Route a model's requests"
    description: ClassVar[str] = "Route a model: edge first within its SLO, fallbacks, breaker; LiteLLM or HTTPRoutes."
    params: ClassVar[type[WriteParams]] = RouteModelParams
    destructive: ClassVar[bool] = True

    async def plan(self, params: RouteModelParams, readers: Readers, context: PlanContext) -> Draft:
        """Return the gateway's new configuration, with reasons for each choice.

        Raises:
            InvalidInput: no plan can work; the reasons are told.
            CapabilityMissing: the gateway that is asked for is not there.
            Conflict: the proxy's configuration cannot be changed without harm.
        """
        world = await _read(params, readers, context)
        breaker, why = world.proxy.breaker() if world.proxy else (Breaker(), "")
        plan = make_plan(
            world.chosen.name,
            world.targets,
            world.facts.typical,
            world.facts.slo.seconds if world.facts.slo else None,
            left_out=world.reach.left_out,
            breaker=breaker,
            strategy=world.proxy.strategy if world.proxy else "simple-shuffle",
        )
        proxy = None
        if world.proxy is not None:
            proxy = proxy_part(
                world.proxy, plan, world.reach.names, world.where, context.operation_id, force=params.force
            )
        routes = await attached(
            readers,
            world.where,
            plan,
            world.chosen,
            context.operation_id,
            asked=params.gateway,
            force=params.force,
        )
        if proxy is None and not routes.steps:
            raise CapabilityMissing(
                f"No gateway can be told how to route {plan.model}.",
                cause=" ".join(routes.reasons),
                remedy="Pass gateway=litellm, or set routing.gateway in the platform file.",
            )
        return _draft(world, plan, why, proxy, routes)


async def _read(params: RouteModelParams, readers: Readers, context: PlanContext) -> _World:
    chosen = await choose_version(readers, params.model, params.environment, context.now)
    where = await find_place(
        readers, context, cluster=params.cluster, namespace=params.namespace, environment=params.environment
    )
    facts = await read_routing_facts(
        readers,
        context.caller.principal,
        chosen.name,
        slo_seconds=params.slo_ms / 1000 if params.slo_ms else None,
    )
    proxied = _through_proxy(params, chosen)
    return _World(
        params=params,
        chosen=chosen,
        where=where,
        facts=facts,
        reach=await reachable(readers, where, facts, openai=proxied),
        proxy=await read_proxy(readers, where) if proxied else None,
    )


def _through_proxy(params: RouteModelParams, chosen: Chosen) -> bool:
    """Tell whether the LiteLLM proxy is told: where it is asked for, else for what it can speak to, the OpenAI API."""
    return chosen.speaks if params.gateway == "auto" else params.gateway == "litellm"


def _draft(
    world: _World,
    plan: RoutingPlan,
    why: str,
    proxy: ProxyPart | None,
    routes: Attached,
) -> Draft:
    promised = f"p95 of {world.slo_ms} ms" if world.slo_ms else "no promise"
    first = next(group for group in plan.groups if group.name == plan.entries["interactive"])
    tier, where = first.members[0].tier, world.where
    spills = f", spilling to {', '.join(plan.fallbacks[first.name])}" if first.name in plan.fallbacks else ""
    return Draft(
        action="route",
        summary=f"Route {plan.model} in {where.namespace.name} ({where.environment}): {tier} first{spills}; {promised}.",
        steps=(*(proxy.steps if proxy else ()), *routes.steps),
        targets=(world.where.target(),),
        facts=Facts(model=world.chosen.facts, routing=facts_of(plan, world.targets, world.slo_ms)),
        risks=(*_risks(world), *risks_of(plan), *(proxy.risks if proxy else ()), *routes.risks),
        evidence=(world.chosen.evidence(), *_evidence(world.facts)),
        reasons=tuple(
            row
            for row in (
                *told(plan, world.targets, world.facts.typical),
                *world.reach.left_out,
                why,
                *(proxy.reasons if proxy else ()),
                *routes.reasons,
            )
            if row
        ),
    )


def _risks(world: _World) -> tuple[Risk, ...]:
    found = [Risk(severity="warning", text=text) for text in (*world.reach.warnings, *world.facts.notes)]
    if world.proxy is not None and not world.chosen.speaks:
        text = f"By the registry {world.chosen.name} is no language model; LiteLLM calls servers by the OpenAI API."
        found.append(Risk(severity="warning", text=text))
    if world.facts.slo is None:
        text = "Nothing is promised: no target is left out for being slow, and time-outs follow the slowest."
        found.append(Risk(severity="info", text=text))
    return tuple(found)


def _evidence(facts: RoutingFacts) -> tuple[Evidence, ...]:
    """Return how old the latency of each target is."""
    found = [(row.name, row.sources.get("latency")) for row in facts.observed]
    return tuple(
        Evidence(source=source.where, subject=name, age_seconds=source.age_seconds or 0)
        for name, source in found
        if source is not None and source.where
    )
