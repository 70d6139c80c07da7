"""Accelerators through Kueue: choose the pool, price it, say when it starts, and submit a job that holds it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.facts import Facts
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Draft, Follow, Risk, Submit
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.tool import PlanContext, WriteParams
from ai_platform_mcp.domain.namespaces import Environment
from ai_platform_mcp.domain.objects import preconditions, ref_of
from ai_platform_mcp.domain.placement import Need
from ai_platform_mcp.manifests.common import EnvVar, Origin, object_name
from ai_platform_mcp.manifests.kueue import GpuJob, gpu_job
from ai_platform_mcp.manifests.trainer import TRAINJOB_API, RuntimeRef, Training, outlives_its_hours, train_job
from ai_platform_mcp.tools._accelerators import Placed, find_pool
from ai_platform_mcp.tools._places import find_places
from ai_platform_mcp.tools._reading import capabilities
from ai_platform_mcp.tools._training import ENDLESS

HOLDING_IMAGE = "registry.k8s.io/pause:3.10"
"""Kubernetes' own image that does nothing: it holds the devices until somebody attaches to the pod."""
TRAINING_RUNTIME = "torch-distributed"
"""The ClusterTrainingRuntime that Kubeflow Trainer ships for programs of several nodes."""


class RequestGpuParams(WriteParams):
    """What is needed, for how long, and within which bounds."""

    purpose: Literal["train", "batch", "serve", "dev"]
    accelerator: Annotated[str, Field(description="a100, h100, tpu-v5e; empty: any")] = ""
    count: Annotated[int, Field(description="devices per node", ge=1)] = 1
    nodes: Annotated[int, Field(ge=1)] = 1
    hours: Annotated[int | None, Field(description="required unless serve", ge=1)] = None
    capacity: Literal["auto", "on_demand", "spot"] = "auto"
    checkpoint: Annotated[str, Field(description="URI; spot needs it")] = ""
    max_hourly_dollars: int | None = None
    regions: tuple[str, ...] = ()
    environment: Environment = "dev"
    cluster: str = ""
    namespace: str = ""
    queue: str = ""
    image: Annotated[str, Field(description="empty: only hold devices")] = ""
    command: tuple[str, ...] = ()


class RequestGpu:
    """Plans one job on the best pool."""

    name: ClassVar[str] = "request_gpu"
    title: ClassVar[str] = "Request accelerators"
    description: ClassVar[str] = (
        "Run a job on GPUs or TPUs through Kueue, in the cheapest fitting pool of all clusters that starts soonest. "
        "Says price, queue forecast and alternatives."
    )
    params: ClassVar[type[WriteParams]] = RequestGpuParams
    destructive: ClassVar[bool] = False

    async def plan(self, params: RequestGpuParams, readers: Readers, context: PlanContext) -> Draft:
        """Return the job that would be submitted, with pool, price and forecast."""
        if params.hours is None and params.purpose != "serve":
            raise InvalidInput(
                f"For how long? purpose={params.purpose} needs hours.",
                remedy="Pass hours: the job is priced by them and stopped after them.",
            )
        places = await find_places(
            readers,
            context,
            cluster=params.cluster,
            namespace=params.namespace,
            environment=params.environment,
            role="cloud",
        )
        placed = await find_pool(readers, places, _need(params), context)
        where = placed.where
        manifest = await _job(params, placed, readers, context)
        endless = params.hours is not None and outlives_its_hours(manifest)
        step = Submit(
            title=f"Submit {manifest['kind']} {manifest['metadata']['name']} to queue {placed.pool.local_queue}",
            cluster=where.cluster.name,
            manifest=manifest,
        )
        step = step.model_copy(update={"preconditions": preconditions(step, None)})
        return Draft(
            action="submit",
            summary=_summary(params, placed),
            steps=(*placed.claim_steps(_origin(placed, context)), step),
            targets=placed.targets(),
            facts=Facts(compute=placed.compute_facts(ends=not endless), quota=placed.quota_facts()),
            cost=placed.cost,
            risks=(*placed.risks(), *_risks(params), *([ENDLESS] if endless else [])),
            evidence=(placed.evidence(),),
            reasons=placed.reasons,
            follow=(Follow(cluster=where.cluster.name, ref=ref_of(manifest)),),
        )


def _need(params: RequestGpuParams) -> Need:
    dollars = params.max_hourly_dollars
    return Need(
        purpose=params.purpose,
        accelerator=params.accelerator,
        count=params.count,
        nodes=params.nodes,
        hours=params.hours,
        capacity=params.capacity,
        checkpoint=bool(params.checkpoint),
        regions=params.regions,
        queue=params.queue,
        max_hourly_cents=None if dollars is None else dollars * 100,
    )


def _origin(placed: Placed, context: PlanContext) -> Origin:
    where = placed.where
    return Origin(team=where.team, environment=where.environment, operation=context.operation_id)


async def _job(params: RequestGpuParams, placed: Placed, readers: Readers, context: PlanContext) -> type_json:
    """Return a TrainJob for training over several nodes, which need a rendezvous; else a plain Job."""
    where, origin = placed.where, _origin(placed, context)
    env = (EnvVar(name="CHECKPOINT_URI", value=params.checkpoint),) if params.checkpoint else ()
    deadline = None if params.hours is None else params.hours * 3600
    name = object_name(params.purpose, placed.pool.flavor, seed=context.operation_id, length=40)
    if params.purpose == "train" and params.nodes > 1 and params.image and await _trains(readers, where.cluster.name):
        training = Training(
            name=name,
            namespace=where.namespace.name,
            runtime=RuntimeRef(name=TRAINING_RUNTIME),
            image=params.image,
            command=params.command,
            env=env,
            nodes=params.nodes,
            processes_per_node=params.count,
            compute=placed.compute(),
            queueing=placed.queueing,
            active_deadline_seconds=deadline,
        )
        can = await capabilities(readers, where.cluster.name)
        return train_job(training, origin, can.training_overrides)
    job = GpuJob(
        name=name,
        namespace=where.namespace.name,
        image=params.image or HOLDING_IMAGE,
        command=params.command,
        env=env,
        pods=params.nodes,
        compute=placed.compute(),
        queueing=placed.queueing,
        active_deadline_seconds=deadline,
    )
    return gpu_job(job, origin)


async def _trains(readers: Readers, cluster: str) -> bool:
    """Tell whether the cluster can run a TrainJob with the runtime we name."""
    if not await readers.clusters.serves(cluster, TRAINJOB_API, "TrainJob"):
        return False
    return await readers.clusters.get(cluster, TRAINJOB_API, "ClusterTrainingRuntime", TRAINING_RUNTIME) is not None


def _summary(params: RequestGpuParams, placed: Placed) -> str:
    devices = f"{placed.need.devices} × {params.accelerator or placed.pool.accelerator}"
    length = f"for {params.hours} h" if params.hours is not None else "until stopped"
    when = {"now": "starts now", "queued": "waits in the queue", "never": "is never admitted"}[placed.chosen.forecast]
    where = placed.place_name
    return f"{devices} {length} to {params.purpose} on {placed.flavors} in {where}; {when}."


def _risks(params: RequestGpuParams) -> tuple[Risk, ...]:
    found: list[Risk] = []
    if not params.image:
        found.append(Risk(severity="info", text="No image: the pods only hold the devices; attach with kubectl debug."))
    if params.hours is None:
        found.append(Risk(severity="warning", text="Open-ended: it costs money until somebody stops it."))
    return tuple(found)
