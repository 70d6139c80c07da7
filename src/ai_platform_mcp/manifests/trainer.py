"""Training jobs: TrainJob where it is served, PyTorchJob in clusters that still have only that, RayJob for Ray programs.

Speaks ``trainer.kubeflow.org/v1alpha1`` in its three forms (v2.0, v2.1, v2.2 and later), ``kubeflow.org/v1`` (maintenance
line), ``ray.io/v1``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.errors import CapabilityMissing
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.manifests.common import (
    Capabilities,
    Compute,
    EnvVar,
    Origin,
    TrainingOverrides,
    compact,
    manifest,
    pod_template,
)
from ai_platform_mcp.manifests.kueue import Placement, Queueing, queue_labels, topology_annotations

TRAINJOB_API = "trainer.kubeflow.org/v1alpha1"
PYTORCHJOB_API = "kubeflow.org/v1"
RAY_API = "ray.io/v1"
PATCH_MANAGER = "aiplatform.dev/ai-platform-mcp"

Engine = Literal["TrainJob", "PyTorchJob"]
_OTHERWISE = "install Kubeflow Trainer, or run the training as a plain Job through request_gpu"


class RuntimeRef(Value):
    """The TrainingRuntime that a TrainJob fills in; ``job`` is its replicated job that runs the trainer."""

    name: str
    kind: Literal["ClusterTrainingRuntime", "TrainingRuntime"] = "ClusterTrainingRuntime"
    job: str = "node"


class Training(Value):
    """One training run over ``nodes`` equal pods."""

    name: str = Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=40)
    """RFC 1035 by a rule of the CRD; short because pods are ``<name>-node-0-<index>-<5>`` and their labels end at 63."""
    namespace: str
    runtime: RuntimeRef
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    nodes: int = Field(default=1, ge=1)
    processes_per_node: int = Field(default=1, ge=1)
    compute: Compute
    queueing: Queueing
    placement: Placement | None = None
    active_deadline_seconds: int | None = Field(default=None, ge=1)


def training_engine(capabilities: Capabilities, *, otherwise: str = _OTHERWISE) -> Engine:
    """Return what to train with: TrainJob where it is served, PyTorchJob where only that is.

    ``otherwise`` is the remedy where neither is.

    Raises:
        CapabilityMissing: neither is served.
    """
    if capabilities.serves(TRAINJOB_API, "TrainJob"):
        return "TrainJob"
    if capabilities.serves(PYTORCHJOB_API, "PyTorchJob"):
        return "PyTorchJob"
    raise CapabilityMissing(
        "the cluster serves neither TrainJob nor PyTorchJob",
        remedy=otherwise,
    )


def training_job(training: Training, origin: Origin, capabilities: Capabilities) -> type_json:
    """Return the training as the kind that the cluster serves."""
    if training_engine(capabilities) == "TrainJob":
        return train_job(training, origin, capabilities.training_overrides)
    return pytorch_job(training, origin)


def stops_by_itself(overrides: TrainingOverrides) -> bool:
    """Tell whether a TrainJob of this form has ``activeDeadlineSeconds``: since v2.2."""
    return overrides == "runtimePatches"


def outlives_its_hours(job: type_json) -> bool:
    """Tell whether nothing in the cluster ends this training after the time it was priced for."""
    return job.get("kind") == "TrainJob" and "activeDeadlineSeconds" not in job["spec"]


def train_job(training: Training, origin: Origin, overrides: TrainingOverrides = "runtimePatches") -> type_json:
    """Return a TrainJob (``trainer.kubeflow.org/v1alpha1``).

    The spec changed inside v1alpha1: pod settings were ``podSpecOverrides`` (v2.0), then ``podTemplateOverrides`` (v2.1) and
    are ``runtimePatches`` since v2.2, keyed by manager, with ours beside the one that Kueue writes; ``overrides`` is the
    form that is served. ``spec.labels`` and ``spec.annotations`` are gone since v2.2, and ``activeDeadlineSeconds`` came
    with it. Nearly every field is immutable, so that a changed training is a new TrainJob. A TrainJob that Kueue admits is
    created suspended. Topology annotations cannot be given per pod template here: the metadata of the patched template is
    where they go.
    """
    trainer = compact(
        {
            "image": training.image,
            "command": list(training.command),
            "args": list(training.args),
            "env": [variable.manifest() for variable in training.env],
            "numNodes": training.nodes,
            "numProcPerNode": training.processes_per_node,
            "resourcesPerNode": training.compute.resources(),
        }
    )
    spec = compact(
        {
            "runtimeRef": {
                "apiGroup": "trainer.kubeflow.org",
                "kind": training.runtime.kind,
                "name": training.runtime.name,
            },
            "suspend": True,
            "trainer": trainer,
            overrides: _overrides(training, overrides),
            "activeDeadlineSeconds": training.active_deadline_seconds if stops_by_itself(overrides) else None,
        }
    )
    return manifest(
        TRAINJOB_API,
        "TrainJob",
        training.name,
        training.namespace,
        origin,
        {"spec": spec},
        component="training",
        extra_labels=queue_labels(training.queueing),
    )


def _overrides(training: Training, form: TrainingOverrides) -> list[type_json]:
    """What the runtime's pods get on top: where they may run, and how close to each other.

    Raises:
        CapabilityMissing: a device claim, which no form carries; or annotations of pods where pods' specs alone change.
    """
    fields = training.compute.pod_fields()
    if training.compute.claim_template:
        raise CapabilityMissing(
            "a TrainJob cannot carry a device claim",
            cause=f"{form} has no resourceClaims",
            remedy="put the claim into the TrainingRuntime, or ask for the device plugin's resource",
        )
    notes = topology_annotations(training.placement)
    if not fields and not notes:
        return []
    target = {"targetJobs": [{"name": training.runtime.job}]}
    if form == "podSpecOverrides":
        if notes:
            raise CapabilityMissing(
                "a TrainJob of Kubeflow Trainer 2.0 cannot say how close its pods should be",
                cause="podSpecOverrides changes the specs of pods and not their annotations",
                remedy="upgrade Kubeflow Trainer to 2.2 or later, or leave the topology out",
            )
        return [{**target, **fields}]
    template = compact({"metadata": compact({"annotations": notes}), "spec": fields})
    if form == "podTemplateOverrides":
        return [{**target, **template}]
    job = {"name": training.runtime.job, "template": {"spec": {"template": template}}}
    return [{"manager": PATCH_MANAGER, "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job]}}}}]


def pytorch_job(training: Training, origin: Origin) -> type_json:
    """Return a PyTorchJob (``kubeflow.org/v1``) for clusters whose operator predates TrainJob.

    The container must be called ``pytorch``: the operator sets the rendezvous variables in no other. Suspension is under
    ``runPolicy``. Kueue 0.19 leaves this integration off by default: such a job then stays suspended for ever, which is for
    the caller to check. The master is one of the nodes.
    """
    container = compact(
        {
            "name": "pytorch",
            "image": training.image,
            "command": list(training.command),
            "args": list(training.args),
            "env": [variable.manifest() for variable in training.env],
            "resources": training.compute.resources(),
        }
    )
    template = pod_template({**training.compute.pod_fields(), "containers": [container]}, origin, component="training")
    if notes := topology_annotations(training.placement):
        template["metadata"]["annotations"] = notes
    replica = {"restartPolicy": "OnFailure", "template": template}
    replicas = {"Master": {"replicas": 1, **replica}}
    if training.nodes > 1:
        replicas["Worker"] = {"replicas": training.nodes - 1, **replica}
    policy = compact({"cleanPodPolicy": "Running", "activeDeadlineSeconds": training.active_deadline_seconds})
    spec = {
        "runPolicy": {"suspend": True, **policy},
        "nprocPerNode": str(training.processes_per_node),
        "pytorchReplicaSpecs": replicas,
    }
    return manifest(
        PYTORCHJOB_API,
        "PyTorchJob",
        training.name,
        training.namespace,
        origin,
        {"spec": spec},
        component="training",
        extra_labels=queue_labels(training.queueing),
    )


class RayProgram(Value):
    """A Ray program on a cluster of its own: one head without accelerators, ``workers`` equal workers."""

    name: str = Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=40)
    namespace: str
    image: str
    entrypoint: str
    ray_version: str
    env: tuple[EnvVar, ...] = ()
    workers: int = Field(default=1, ge=1)
    compute: Compute
    head: Compute = Compute(cpu="2", memory="8Gi")
    queueing: Queueing
    active_deadline_seconds: int | None = Field(default=None, ge=1)


def ray_job(program: RayProgram, origin: Origin, capabilities: Capabilities) -> type_json:
    """Return a RayJob (``ray.io/v1``; v1alpha1 is deprecated).

    Kueue admits a RayJob only with ``shutdownAfterJobFinishes`` and without ``clusterSelector``, and counts a fixed number of
    workers: replicas, minimum and maximum are the same, and in-tree autoscaling stays off. The head takes no Ray work
    (``num-cpus: "0"``), or tasks would run on the one pod whose loss ends the job.
    """
    capabilities.require(RAY_API, "RayJob", remedy="install KubeRay, or train with a TrainJob")
    worker = {
        "groupName": "workers",
        "replicas": program.workers,
        "minReplicas": program.workers,
        "maxReplicas": program.workers,
        "rayStartParams": {},
        "template": _ray_pod(program, program.compute, "ray-worker", origin),
    }
    head = {
        "rayStartParams": {"num-cpus": "0"},
        "template": _ray_pod(program, program.head, "ray-head", origin),
    }
    spec = {
        "suspend": True,
        "shutdownAfterJobFinishes": True,
        "entrypoint": program.entrypoint,
        "submissionMode": "K8sJobMode",
        "rayClusterSpec": {
            "rayVersion": program.ray_version,
            "headGroupSpec": head,
            "workerGroupSpecs": [worker],
        },
        **compact({"activeDeadlineSeconds": program.active_deadline_seconds}),
    }
    return manifest(
        RAY_API,
        "RayJob",
        program.name,
        program.namespace,
        origin,
        {"spec": spec},
        component="training",
        extra_labels=queue_labels(program.queueing),
    )


def _ray_pod(program: RayProgram, compute: Compute, name: str, origin: Origin) -> type_json:
    env = [variable.manifest() for variable in program.env]
    container = compact({"name": name, "image": program.image, "env": env, "resources": compute.resources()})
    return pod_template({**compute.pod_fields(), "containers": [container]}, origin, component=name)
