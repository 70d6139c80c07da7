"""From a golden path to the object that trains: a TrainJob, a PyTorchJob, a RayJob, or a run of a WorkflowTemplate."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from ai_platform_mcp.core.errors import CapabilityMissing, InvalidInput
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Risk
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.objects import rows
from ai_platform_mcp.manifests import argo
from ai_platform_mcp.manifests.common import Capabilities, EnvVar, Origin, object_name
from ai_platform_mcp.manifests.trainer import (
    PYTORCHJOB_API,
    TRAINJOB_API,
    RayProgram,
    RuntimeRef,
    Training,
    outlives_its_hours,
    ray_job,
    training_engine,
    training_job,
)
from ai_platform_mcp.tools._accelerators import Placed
from ai_platform_mcp.tools._reading import Place, capabilities

_NAME_LENGTH = 40
ENDLESS = Risk(
    severity="warning",
    text="Nothing stops this TrainJob after its hours: Kubeflow Trainer has no activeDeadlineSeconds before 2.2.",
)
_UNQUEUED = Risk(
    severity="warning",
    text="Kueue 0.19 leaves its kubeflow.org/pytorchjob integration off by default: where nobody switched it on, this job "
    "stays suspended.",
)


@dataclass(frozen=True)
class Order:
    """What is to be trained: the golden path, and the call on top of it."""

    model: str
    golden_path: str
    path: type_json
    parameters: dict[str, str]
    checkpoint: str
    """Where checkpoints go, empty where the golden path's program knows that itself (``checkpoint: true``)."""
    sized: tuple[str, ...]
    """Those of ``count`` and ``nodes`` that the caller asked for in person."""
    origin: Origin
    operation_id: str

    @property
    def name(self) -> str:
        """The name of the object that trains."""
        return object_name(self.model, "train", seed=self.operation_id, length=_NAME_LENGTH)

    @property
    def experiment(self) -> str:
        """Where the tracking server keeps the runs."""
        return str(self.path.get("experiment") or self.model)


@dataclass(frozen=True)
class Job:
    """The object that trains, why it is of its kind, and what a person should weigh about that."""

    manifest: type_json
    reasons: tuple[str, ...] = ()
    risks: tuple[Risk, ...] = ()


def kinds_of(path: type_json) -> tuple[tuple[str, ...], str]:
    """Return the kinds of object that a golden path may train with, and what serves them, as people call it."""
    if path.get("workflow"):
        return ("Workflow",), "Argo Workflows"
    return (("RayJob",), "KubeRay") if path.get("ray") else (("TrainJob", "PyTorchJob"), "Kubeflow Trainer")


async def job_of(order: Order, placed: Placed, readers: Readers) -> Job:
    """Return a run of the golden path's ``workflow``, or a RayJob of its version of ``ray``, else a TrainJob or PyTorchJob.

    Raises:
        CapabilityMissing: the cluster does not serve, or does not have, what the golden path needs.
        InvalidInput: the golden path names no image, or its WorkflowTemplate does not take what is given or lacks a value.
    """
    can = await capabilities(readers, placed.where.cluster.name)
    workflow = str(order.path.get("workflow") or "")
    if workflow:
        return await _workflow(order, workflow, placed, readers, can)
    if order.path.get("ray"):
        return _ray(order, placed, can)
    engine = training_engine(can, otherwise=_otherwise(order, can))
    manifest = training_job(_training(order, placed), order.origin, can)
    if engine == "TrainJob":
        await _require_runtime(readers, placed.where, _runtime(order))
        return Job(manifest, risks=(ENDLESS,) if outlives_its_hours(manifest) else ())
    text = (
        f"The cluster serves PyTorchJob ({PYTORCHJOB_API}) and no TrainJob ({TRAINJOB_API}): that is what is submitted."
    )
    return Job(manifest, reasons=(text,), risks=(_UNQUEUED,))


def _otherwise(order: Order, can: Capabilities) -> str:
    """Return what would help where no training operator is served."""
    named = f"name a WorkflowTemplate as workflow in the golden path {order.golden_path!r}"
    if can.serves(argo.API, "Workflow"):
        return f"Argo Workflows is served: {named}, or install Kubeflow Trainer"
    return f"install Kubeflow Trainer, or install Argo Workflows and {named}"


# ------------------------------------------------------------------------------------------------ Kubeflow's training jobs


def _ray(order: Order, placed: Placed, can: Capabilities) -> Job:
    """Return a RayJob: one worker per node, and a head that runs the program and none of its tasks."""
    command = [str(part) for part in order.path.get("command") or ()]
    if not command:
        raise InvalidInput(
            f"The golden path {order.golden_path!r} names no command.",
            remedy="Add command to it in the platform file: Ray runs it on the head.",
        )
    program = RayProgram(
        name=order.name,
        namespace=placed.where.namespace.name,
        image=_image(order),
        entrypoint=shlex.join(command),
        ray_version=str(order.path["ray"]),
        env=_environment(order),
        workers=placed.need.nodes,
        compute=placed.compute(),
        queueing=placed.queueing,
        active_deadline_seconds=_deadline(placed),
    )
    text = f"The golden path {order.golden_path!r} names Ray {program.ray_version}: a RayJob trains."
    return Job(ray_job(program, order.origin, can), reasons=(text,))


def _image(order: Order) -> str:
    image = str(order.path.get("image") or "")
    if not image:
        raise InvalidInput(
            f"The golden path {order.golden_path!r} names no image.", remedy="Add image to it in the platform file."
        )
    return image


def _training(order: Order, placed: Placed) -> Training:
    path = order.path
    return Training(
        name=order.name,
        namespace=placed.where.namespace.name,
        runtime=RuntimeRef(name=_runtime(order)),
        image=_image(order),
        command=tuple(str(part) for part in path.get("command") or ()),
        env=_environment(order),
        nodes=placed.need.nodes,
        processes_per_node=placed.need.count,
        compute=placed.compute(),
        queueing=placed.queueing,
        active_deadline_seconds=_deadline(placed),
    )


def _runtime(order: Order) -> str:
    return str(order.path.get("runtime") or "torch-distributed")


def _deadline(placed: Placed) -> int:
    return (placed.need.hours or 1) * 3600


async def _require_runtime(readers: Readers, where: Place, runtime: str) -> None:
    """Raise CapabilityMissing where a TrainJob would name a runtime that is not there: it would be accepted and never run."""
    if await readers.clusters.get(where.cluster.name, TRAINJOB_API, "ClusterTrainingRuntime", runtime) is None:
        raise CapabilityMissing(
            f"The ClusterTrainingRuntime {runtime!r} is not installed.",
            remedy="Install it, or name another one as runtime in the golden path.",
        )


def _environment(order: Order) -> tuple[EnvVar, ...]:
    """Return what the training program is told, as environment variables: an argument could be read as an option."""
    told = {re.sub(r"[^A-Z0-9_]", "_", key.upper()): value for key, value in order.parameters.items()}
    told |= {
        "MODEL_NAME": order.model,
        "MLFLOW_EXPERIMENT_NAME": order.experiment,
        "AIPLATFORM_OPERATION": order.operation_id,
    }
    if order.checkpoint:
        told["CHECKPOINT_URI"] = order.checkpoint
    return tuple(EnvVar(name=key, value=value) for key, value in sorted(told.items()))


# ------------------------------------------------------------------------------------------------------- Argo Workflows


async def _workflow(order: Order, template: str, placed: Placed, readers: Readers, can: Capabilities) -> Job:
    for kind in ("Workflow", "WorkflowTemplate"):
        can.require(
            argo.API,
            kind,
            remedy=f"install Argo Workflows, or leave workflow out of the golden path {order.golden_path!r}",
        )
    where = placed.where
    if placed.claim:
        raise CapabilityMissing(
            f"A WorkflowTemplate cannot be handed the claim for {placed.pool.resource}.",
            cause=f"{placed.pool.cluster_queue} counts devices by DeviceClass, and a run's arguments carry a count alone.",
            remedy="Train by a golden path with ray, or have the queue cover the device plugin's resource.",
        )
    live = await readers.clusters.get(where.cluster.name, argo.API, "WorkflowTemplate", template, where.namespace.name)
    if live is None:
        raise CapabilityMissing(
            f"There is no WorkflowTemplate {template!r} in {where.namespace.name!r}.",
            cause=f"The golden path {order.golden_path!r} names it as its workflow.",
            remedy="Create it there, or name another one as workflow in the golden path.",
        )
    run = argo.PipelineRun(
        name=order.name,
        namespace=where.namespace.name,
        parameters=_arguments(order, template, live, placed),
        active_deadline_seconds=_deadline(placed),
        pods=argo.PodSettings(queueing=placed.queueing, node_selector=placed.chosen.selector),
    )
    reasons = (
        f"The golden path {order.golden_path!r} names the WorkflowTemplate {template!r}: a run of it trains.",
        "Kueue admits a Workflow's pods one by one, each when its step begins.",
    )
    return Job(argo.workflow(run, order.origin, can, template=template), reasons=reasons)


def _arguments(order: Order, template: str, live: type_json, placed: Placed) -> dict[str, str]:
    """Return the run's arguments: the model, the parameters, and of what the platform knows whatever the template asks for.

    Raises:
        InvalidInput: the template takes no ``count`` or ``nodes`` that the caller asked for, or a value of its is missing.
    """
    declared = {str(row.get("name")): row for row in rows(live, "spec", "arguments", "parameters")}
    known = {
        "count": str(placed.need.count),
        "nodes": str(placed.need.nodes),
        "accelerator-resource": placed.pool.resource,
        "experiment": order.experiment,
        "checkpoint": order.checkpoint,
        "operation": order.operation_id,
    }
    deaf = [name for name in order.sized if name not in declared]
    if deaf:
        raise InvalidInput(
            f"The WorkflowTemplate {template!r} takes no {' and no '.join(deaf)}.",
            remedy=f"Leave {' and '.join(deaf)} out, or declare it among the template's arguments.",
        )
    asked = {name: value for name, value in known.items() if name in declared and value}
    given = {"model": order.model, **asked, **order.parameters}
    filled = {"value", "valueFrom", "default"}
    lacking = [name for name, row in declared.items() if name not in given and not filled & row.keys()]
    if lacking:
        raise InvalidInput(
            f"The WorkflowTemplate {template!r} needs {', '.join(lacking)}.",
            remedy=f"Pass parameters, for instance {lacking[0]}=…, or give it a value in the golden path.",
        )
    return given
