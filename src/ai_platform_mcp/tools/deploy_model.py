"""Serve a model version in the cloud, at the edge, or at both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.facts import ComputeFacts, Facts, RolloutFacts
from ai_platform_mcp.core.plan import Apply, Draft, Follow, Risk, Step, Target
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.rows import Inventory
from ai_platform_mcp.core.tool import PlanContext, WriteParams
from ai_platform_mcp.domain.namespaces import Environment
from ai_platform_mcp.domain.objects import labels_of, ref_of, section
from ai_platform_mcp.domain.targets import Choice, Side, allowed_region, choose_targets
from ai_platform_mcp.domain.versions import PRODUCTION_ALIAS
from ai_platform_mcp.manifests import edge as edge_manifests
from ai_platform_mcp.manifests import kserve
from ai_platform_mcp.manifests.common import Compute, Origin
from ai_platform_mcp.tools._accelerators import Placed, find_pool
from ai_platform_mcp.tools._canaries import weakest
from ai_platform_mcp.tools._cloud import STEPWISE, CloudPart, LiveService, Size, strategy_of
from ai_platform_mcp.tools._halves import Half, Wish, read_halves
from ai_platform_mcp.tools._language import LiveLanguageService, language_part, read_service
from ai_platform_mcp.tools._models import Chosen, choose_version
from ai_platform_mcp.tools._reading import Place, inventory_evidence
from ai_platform_mcp.tools._rollout import EdgePart, Fleet, edge_part, read_fleet
from ai_platform_mcp.tools._serving import cloud_part
from ai_platform_mcp.tools._signals import p95_ms
from ai_platform_mcp.tools._sizing import cost_of, need_of, replicas_of

FIRST_STEP_PERCENT = {"dev": 0, "staging": 20, "production": 10}
"""Share of the cloud traffic that a new version gets first where the call does not say; 0 is all at once."""
EDGE_CANARY_PERCENT = 10
"""Share of the edge nodes in the first wave where the call does not say: devices are far away in every environment."""
REGION_LABEL = "topology.kubernetes.io/region"


class DeployModelParams(WriteParams):
    """Which version goes where, how carefully and how large."""

    model: Annotated[
        str, Field(description="name, name@alias, name:version; bare: champion in production, else newest")
    ]
    target: Literal["cloud", "edge", "auto"] = "auto"
    environment: Environment = "dev"
    cluster: str = ""
    namespace: str = ""
    regions: tuple[str, ...] = ()
    sites: Annotated[tuple[str, ...], Field(description="edge")] = ()
    canary_percent: Annotated[int | None, Field(description="first step; 0: all at once", ge=0, le=100)] = None
    strategy: Annotated[Literal["canary", "blue_green"], Field(description="cloud")] = "canary"
    slo_ms: Annotated[int | None, Field(description="p95", ge=1)] = None
    min_replicas: Annotated[int | None, Field(ge=0)] = None
    max_replicas: Annotated[int | None, Field(ge=1)] = None
    accelerator: str = ""
    runtime: str = ""
    force: Annotated[bool, Field(description="take other managers' fields")] = False


@dataclass(frozen=True)
class _World:
    """What was read to plan one deployment."""

    params: DeployModelParams
    cloud: Half
    edge: Half
    chosen: Chosen
    service: LiveService
    fleet: Fleet
    origin: Origin
    who: Principal

    @property
    def where(self) -> Place:
        """Where it is about, in general: both halves are of one team and environment."""
        return self.edge.where if self.cloud.problem else self.cloud.where


class DeployModel:
    """Plans an InferenceService, an EdgeRollout, or both."""

    name: ClassVar[str] = "deploy_model"
    title: ClassVar[str] = "Deploy a model"
    description: ClassVar[str] = (
        "Serve a model version: cloud (KServe), edge (rollout in waves) or auto, by format, memory, latency, residency and "
        "fleet. What serves already stays stable behind a canary."
    )
    params: ClassVar[type[WriteParams]] = DeployModelParams
    destructive: ClassVar[bool] = True

    async def plan(self, params: DeployModelParams, readers: Readers, context: PlanContext) -> Draft:
        """Return the objects that would serve the version, with reasons for the place and the pace."""
        world = await _read(params, readers, context)
        choice = choose_targets(
            params.target,
            world.chosen.shape,
            await _cloud_side(world, readers),
            await _edge_side(world, readers),
            params.slo_ms,
        )
        if params.strategy == "blue_green" and "cloud" not in choice.targets:
            raise InvalidInput("Blue/green is for the cloud.", remedy="Leave out strategy: the edge goes in waves.")
        placed, why = await _pool(world, readers, context) if "cloud" in choice.targets else (None, "")
        cloud = await _cloud(world, readers, placed, why) if "cloud" in choice.targets else None
        edge = await _edge(world, readers) if "edge" in choice.targets else None
        return _draft(world, choice, cloud, edge, placed)


# ------------------------------------------------------------------------------------------------------------ reading


async def _read(params: DeployModelParams, readers: Readers, context: PlanContext) -> _World:
    chosen = await choose_version(readers, params.model, params.environment, context.now)
    wish = Wish(
        model=chosen.name,
        roles=("cloud", "edge") if params.target == "auto" else (params.target,),
        environment=params.environment,
        cluster=params.cluster,
        namespace=params.namespace,
    )
    cloud, edge = await read_halves(readers, context, wish)
    service = await read_service(readers, cloud.where, chosen, cloud.can, params.runtime)
    where = edge.where if cloud.problem else cloud.where
    return _World(
        params=params,
        who=context.caller.principal,
        cloud=cloud,
        edge=edge,
        chosen=chosen,
        service=service,
        fleet=await read_fleet(readers, edge.where, edge.inventory, chosen, params.sites, params.regions),
        origin=Origin(
            model=chosen.name,
            version=chosen.version.version,
            model_digest=chosen.facts.digest,
            team=where.team,
            environment=where.environment,
            operation=context.operation_id,
        ),
    )


async def _cloud_side(world: _World, readers: Readers) -> Side:
    cluster = world.cloud.where.cluster
    problem = world.cloud.obstacle("cloud")
    served = isinstance(world.service, LiveLanguageService) or world.cloud.can.serves(kserve.API, "InferenceService")
    if not problem and not served:
        problem = f"The cluster {cluster.name} does not serve KServe's InferenceService."
    if not problem and world.params.regions and not _cloud_regions(world):
        problem = f"No cloud node of {cluster.name} is in {', '.join(world.params.regions)}."
    return Side(available=problem, regions=_cloud_regions(world), p95_ms=await _p95(world, readers, "cloud"))


async def _edge_side(world: _World, readers: Readers) -> Side:
    cluster, fleet = world.edge.where.cluster, world.fleet
    problem = world.edge.obstacle("edge")
    if not problem and not world.edge.can.serves(edge_manifests.API, "EdgeRollout"):
        problem = f"The cluster {cluster.name} does not serve EdgeRollout."
    if not problem and world.chosen.facts.digest is None:
        problem = "Nothing pins the version by digest, and edge sites activate nothing else."
    nodes = {row.node for row in fleet.members}
    memory = [int(text) for node in world.edge.inventory.nodes if node.name in nodes
              and (text := node.labels.get("nvidia.com/gpu.memory", "")).isdigit()]  # fmt: skip
    return Side(
        available=problem,
        regions=fleet.regions,
        members=len(fleet.members),
        online=fleet.online,
        device_memory_mib=min(memory, default=None),
        p95_ms=await _p95(world, readers, "edge"),
    )


def _cloud_regions(world: _World) -> tuple[str, ...]:
    """Return the regions where this cluster has cloud nodes, narrowed to those asked for."""
    found = {node.region for node in world.cloud.inventory.nodes if node.role == "cloud" and node.ready and node.region}
    found |= {world.cloud.where.cluster.region} - {""}
    asked = world.params.regions
    return tuple(sorted(region for region in found if not asked or region.startswith(asked)))


async def _p95(world: _World, readers: Readers, target: Literal["cloud", "edge"]) -> int | None:
    return None if world.params.slo_ms is None else await p95_ms(readers, world.who, world.chosen.name, target)


# -------------------------------------------------------------------------------------------------------------- cloud


async def _pool(world: _World, readers: Readers, context: PlanContext) -> tuple[Placed | None, str]:
    """Return the pool for the replicas' accelerators and why so many, None where the model serves on processors."""
    asked = world.params.regions or world.chosen.facts.residency
    regions = tuple(row for row in _cloud_regions(world) if allowed_region(row, world.chosen.facts.residency))
    need, why = need_of(
        world.chosen,
        world.service,
        world.cloud.inventory,
        accelerator=world.params.accelerator,
        nodes=_replicas(world)[1],
        regions=regions if asked else (),
    )
    if need is None:
        return None, ""
    return (await find_pool(readers, world.cloud.where, need, context)).outside_of_queues(), why


def _replicas(world: _World) -> tuple[int, int]:
    return replicas_of(world.service, world.params.min_replicas, world.params.max_replicas)


def _canary_percent(world: _World) -> int:
    asked = world.params.canary_percent
    return FIRST_STEP_PERCENT[world.cloud.where.environment] if asked is None else asked


async def _cloud(world: _World, readers: Readers, placed: Placed | None, why: str) -> CloudPart:
    low, high = _replicas(world)
    compute = placed.compute() if placed else Compute(node_selector=_region_pin(world))
    size = Size(min_replicas=low, max_replicas=high, compute=compute)
    percent, force, wanted = _canary_percent(world), world.params.force, world.params.strategy
    if isinstance(world.service, LiveLanguageService):
        part = language_part(
            world.cloud.where, world.chosen, world.service, size, wanted=wanted, percent=percent, force=force,
            can=world.cloud.can, origin=world.origin,
        )  # fmt: skip
        return replace(part, reasons=(*part.reasons, why))
    return await cloud_part(
        readers, world.cloud.where, world.chosen, world.service, size, wanted=wanted, percent=percent,
        runtime=world.params.runtime, force=force, can=world.cloud.can, origin=world.origin,
    )  # fmt: skip


def _region_pin(world: _World) -> dict[str, str]:
    """Pin the pods to one region where the call or the model's residency leaves no other choice open; else let them be."""
    residency = world.chosen.facts.residency
    if not world.params.regions and not residency:
        return {}
    allowed = [region for region in _cloud_regions(world) if allowed_region(region, residency)]
    nodes = [
        node.region for node in world.cloud.inventory.nodes if node.role == "cloud" and node.ready and node.schedulable
    ]
    best = max(allowed, key=lambda region: (nodes.count(region), region), default="")
    return {REGION_LABEL: best} if best else {}


def _cloud_target(world: _World, cloud: CloudPart, placed: Placed | None) -> Target:
    if placed is not None:
        return placed.target()
    pinned = section(cloud.step.manifest, "spec", "predictor", "nodeSelector").get(REGION_LABEL, "")
    rows = [node for node in world.cloud.inventory.nodes if pinned and node.region == pinned]
    return world.cloud.where.target(region=str(pinned), cloud=rows[0].cloud if rows else "")


# --------------------------------------------------------------------------------------------------------------- edge


async def _edge(world: _World, readers: Readers) -> EdgePart:
    asked = world.params.canary_percent
    return await edge_part(
        readers,
        world.edge.where,
        world.chosen,
        world.fleet,
        percent=EDGE_CANARY_PERCENT if asked is None else asked,
        runtime=world.params.runtime,
        force=world.params.force,
        can=world.edge.can,
        origin=world.origin,
    )


# ---------------------------------------------------------------------------------------------------------- the draft


def _draft(
    world: _World, choice: Choice, cloud: CloudPart | None, edge: EdgePart | None, placed: Placed | None
) -> Draft:
    claims = placed.claim_steps(world.origin) if placed else ()
    steps: tuple[Step, ...] = (
        *claims,
        *((cloud.step, *cloud.moved, *cloud.further) if cloud else ()),
        *(edge.steps if edge else ()),
    )
    followed = (*((cloud.step, *cloud.moved) if cloud else ()), *(edge.steps if edge else ()))
    targets = (*((_cloud_target(world, cloud, placed),) if cloud else ()), *(edge.targets if edge else ()))
    rollout = _rollout(world, cloud, edge)
    return Draft(
        action="deploy",
        summary=_summary(world, choice, rollout),
        steps=steps,
        targets=targets,
        facts=Facts(
            model=world.chosen.facts,
            compute=_compute(placed) if cloud else None,
            rollout=rollout,
            fleet=edge.facts if edge else None,
            quota=placed.quota_facts() if placed else None,
        ),
        cost=cost_of(placed),
        risks=(
            *_risks(world),
            *(cloud.risks if cloud else ()),
            *(placed.risks() if placed else ()),
            *(edge.risks if edge else ()),
        ),
        evidence=(world.chosen.evidence(), *(inventory_evidence(row) for row in _inventories(world))),
        reasons=(
            *choice.reasons,
            *(cloud.reasons if cloud else ()),
            *(placed.reasons if placed else ()),
            *(edge.reasons if edge else ()),
        ),
        follow=tuple(_follow(step) for step in followed if step.manifest["kind"] != "Service"),
    )


def _follow(step: Apply) -> Follow:
    return Follow(cluster=step.cluster, ref=ref_of(step.manifest))


def _rollout(world: _World, cloud: CloudPart | None, edge: EdgePart | None) -> RolloutFacts:
    """Tell how traffic moves. Where both halves move, the larger first step counts."""
    version = world.chosen.version.version
    current = (cloud.current_version if cloud else None) or (world.fleet.current_version if edge else None)
    shares = [*([cloud.percent] if cloud and cloud.strategy != "none" else []), *([edge.first_share] if edge else [])]
    first = max(shares, default=0)
    moves = world.fleet.current_version not in (None, version)
    moving = [cloud.analysis] if cloud and cloud.strategy in STEPWISE else []
    moving += [edge.analysis] if edge and moves else []
    strategy = "blue_green" if cloud and cloud.strategy == "blue_green" else strategy_of(current, version, first)
    return RolloutFacts(
        strategy=strategy,
        first_step_percent=first,
        current_version=current,
        replicas_before=world.service.replicas("maxReplicas") if cloud else 0,
        replicas_after=_replicas(world)[1] if cloud else 0,
        analysis=weakest(moving),
        by_hand=bool(cloud and cloud.strategy == "canary" and not cloud.moved) and None not in moving[1:],
        golden_inputs=edge.golden if edge else None,
    )


def _compute(placed: Placed | None) -> ComputeFacts:
    if placed is not None:
        return placed.compute_facts()
    return ComputeFacts(purpose="serve", accelerator="", count=0, hours=None, spot=False, checkpoint=False)


def _summary(world: _World, choice: Choice, rollout: RolloutFacts) -> str:
    what = f"{world.chosen.name} {world.chosen.version.version}"
    places = " and ".join(choice.targets)
    how = {
        "new": "its first release here",
        "none": f"{what} serves already",
        "canary": f"{rollout.first_step_percent} % first, {rollout.current_version} keeps the rest",
        "blue_green": f"warm first, then all at once, and {rollout.current_version} is kept to go back to",
        "all_at_once": f"replaces {rollout.current_version} at once",
    }.get(rollout.strategy, rollout.strategy)
    return f"Deploy {what} to {places} in {_place_name(world, choice)} ({world.where.environment}); {how}."


def _place_name(world: _World, choice: Choice) -> str:
    """Return the namespace; with their clusters where the halves could be apart."""
    halves = [world.edge.where if target == "edge" else world.cloud.where for target in choice.targets]
    if not world.cloud.problem and not world.edge.problem and world.cloud.where == world.edge.where:
        return world.where.namespace.name
    return " and ".join(f"{half.namespace.name} of cluster {half.cluster.name}" for half in halves)


def _inventories(world: _World) -> tuple[Inventory, ...]:
    """Return what was read, once where both halves are in one cluster."""
    return tuple({row.inventory.cluster: row.inventory for row in (world.cloud, world.edge)}.values())


def _risks(world: _World) -> tuple[Risk, ...]:
    found: list[Risk] = []
    chosen, live = world.chosen, world.service.live
    if chosen.facts.digest is None:
        found.append(
            Risk(
                severity="warning", text="Nothing pins the artifact by digest: its bytes could change under this plan."
            )
        )
    if chosen.version.source.startswith("file:"):
        text = "The source is a file path: it serves only where that path is mounted into the pods."
        found.append(Risk(severity="warning", text=text))
    if world.where.environment == "production" and PRODUCTION_ALIAS not in chosen.facts.aliases:
        found.append(Risk(severity="warning", text=f"{chosen.version.version} is not the {PRODUCTION_ALIAS}."))
    if live is not None and "aiplatform.dev/model" not in labels_of(live):
        found.append(Risk(severity="warning", text="The InferenceService that is there was not made by this platform."))
    for inventory in _inventories(world):
        if inventory.stale:
            text = f"The inventory of {inventory.cluster} is {inventory.age_seconds} s old."
            found.append(Risk(severity="warning", text=text))
    return tuple(found)
