"""Serve a model version in the cloud, at the edge, or at both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.facts import ComputeFacts, Facts, RolloutFacts
from ai_platform_mcp.core.plan import Apply, Draft, Follow, Risk, Step
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.rows import Inventory
from ai_platform_mcp.core.tool import PlanContext, WriteParams
from ai_platform_mcp.domain.clusters import Role
from ai_platform_mcp.domain.namespaces import Environment
from ai_platform_mcp.domain.objects import labels_of, ref_of
from ai_platform_mcp.domain.targets import Choice, Side, choose_targets
from ai_platform_mcp.domain.versions import PRODUCTION_ALIAS
from ai_platform_mcp.manifests import edge as edge_manifests
from ai_platform_mcp.manifests.common import Origin
from ai_platform_mcp.tools._accelerators import Placed
from ai_platform_mcp.tools._canaries import weakest
from ai_platform_mcp.tools._cloud import STEPWISE, CloudPart, strategy_of
from ai_platform_mcp.tools._cloud_half import Asked, CloudHalf, read_cloud_half
from ai_platform_mcp.tools._halves import Half, Wish, read_halves
from ai_platform_mcp.tools._models import Chosen, choose_version
from ai_platform_mcp.tools._reading import Place, inventory_evidence
from ai_platform_mcp.tools._rollout import EdgePart, Fleet, edge_part, read_fleet
from ai_platform_mcp.tools._signals import p95_ms
from ai_platform_mcp.tools._sizing import cost_of


class DeployModelParams(WriteParams):
    """Which version goes where, how carefully and how large."""

    model: Annotated[
        str, Field(description="name, name@alias, name:version; bare: champion in production, else newest")
    ]
    target: Literal["cloud", "edge", "auto", "serverless"] = "auto"
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
    cloud: CloudHalf
    edge: Half
    chosen: Chosen
    fleet: Fleet
    origin: Origin
    who: Principal

    @property
    def where(self) -> Place:
        """Where it is about, in general: both halves are of one team and environment."""
        return self.edge.where if self.cloud.half.problem else self.cloud.where


class DeployModel:
    """Plans an InferenceService, an EdgeRollout, or both."""

    name: ClassVar[str] = "deploy_model"
    title: ClassVar[str] = "Deploy a model"
    description: ClassVar[str] = (
        "Serve a version: cloud, edge (in waves), serverless (Cloud Run, Lambda, else KServe to zero) or auto: where it fits. "
        "What serves stays stable behind a canary."
    )
    params: ClassVar[type[WriteParams]] = DeployModelParams
    destructive: ClassVar[bool] = True

    async def plan(self, params: DeployModelParams, readers: Readers, context: PlanContext) -> Draft:
        """Return the objects that would serve the version, with reasons for the place and the pace."""
        world = await _read(params, readers, context)
        choice = choose_targets(
            "cloud" if params.target == "serverless" else params.target,
            world.chosen.shape,
            await _cloud_side(world, readers),
            await _edge_side(world, readers),
            params.slo_ms,
        )
        if params.strategy == "blue_green" and "cloud" not in choice.targets:
            raise InvalidInput("Blue/green is for the cloud.", remedy="Leave out strategy: the edge goes in waves.")
        placed, why = await world.cloud.pool(readers, context) if "cloud" in choice.targets else (None, "")
        cloud = await world.cloud.part(readers, placed, why) if "cloud" in choice.targets else None
        edge = await _edge(world, readers) if "edge" in choice.targets else None
        return _draft(world, choice, cloud, edge, placed)


# ------------------------------------------------------------------------------------------------------------ reading


async def _read(params: DeployModelParams, readers: Readers, context: PlanContext) -> _World:
    chosen = await choose_version(readers, params.model, params.environment, context.now)
    roles: dict[str, tuple[Role, ...]] = {"auto": ("cloud", "edge"), "edge": ("edge",)}
    wish = Wish(
        model=chosen.name,
        roles=roles.get(params.target, ("cloud",)),
        environment=params.environment,
        cluster=params.cluster,
        namespace=params.namespace,
    )
    cloud, edge = await read_halves(readers, context, wish)
    where = edge.where if cloud.problem else cloud.where
    origin = Origin(
        model=chosen.name,
        version=chosen.version.version,
        model_digest=chosen.facts.digest,
        team=where.team,
        environment=where.environment,
        operation=context.operation_id,
    )
    return _World(
        params=params,
        who=context.caller.principal,
        cloud=await read_cloud_half(readers, cloud, chosen, origin, _asked(params)),
        edge=edge,
        chosen=chosen,
        fleet=await read_fleet(readers, edge.where, edge.inventory, chosen, params.sites, params.regions),
        origin=origin,
    )


def _asked(params: DeployModelParams) -> Asked:
    return Asked(
        regions=params.regions,
        accelerator=params.accelerator,
        runtime=params.runtime,
        strategy=params.strategy,
        canary_percent=params.canary_percent,
        min_replicas=params.min_replicas,
        max_replicas=params.max_replicas,
        force=params.force,
        serverless=params.target == "serverless",
    )


async def _cloud_side(world: _World, readers: Readers) -> Side:
    cloud = world.cloud
    return Side(available=cloud.obstacle(), regions=cloud.regions(), p95_ms=await _p95(world, readers, "cloud"))


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


async def _p95(world: _World, readers: Readers, target: Literal["cloud", "edge"]) -> int | None:
    return None if world.params.slo_ms is None else await p95_ms(readers, world.who, world.chosen.name, target)


# --------------------------------------------------------------------------------------------------------------- edge


async def _edge(world: _World, readers: Readers) -> EdgePart:
    return await edge_part(
        readers,
        world.edge.where,
        world.chosen,
        world.fleet,
        percent=world.params.canary_percent,
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
    targets = (*((world.cloud.target(cloud, placed),) if cloud else ()), *(edge.targets if edge else ()))
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
        replicas_before=world.cloud.service.replicas("maxReplicas") if cloud else 0,
        replicas_after=world.cloud.replicas()[1] if cloud else 0,
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
    places = " and ".join(world.cloud.place if target == "cloud" else target for target in choice.targets)
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
    if not world.cloud.half.problem and not world.edge.problem and world.cloud.where == world.edge.where:
        return world.where.namespace.name
    return " and ".join(f"{half.namespace.name} of cluster {half.cluster.name}" for half in halves)


def _inventories(world: _World) -> tuple[Inventory, ...]:
    """Return what was read, once where both halves are in one cluster."""
    return tuple({row.inventory.cluster: row.inventory for row in (world.cloud.half, world.edge)}.values())


def _risks(world: _World) -> tuple[Risk, ...]:
    found: list[Risk] = []
    chosen, live = world.chosen, world.cloud.service.live
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
        found.append(
            Risk(severity="warning", text=f"{ref_of(live).kind} {ref_of(live).name} was not made by this platform.")
        )
    for inventory in _inventories(world):
        if inventory.stale:
            text = f"The inventory of {inventory.cluster} is {inventory.age_seconds} s old."
            found.append(Risk(severity="warning", text=text))
    return tuple(found)
