"""Kueue: what makes a workload wait for quota, and the plain Job that asks for accelerators.

Speaks ``kueue.x-k8s.io/v1beta2``, the storage version since v0.16; v1beta1 is served with a deprecation warning, and
without Kueue's webhook a v1beta1 write loses fields that were renamed (``cohort``).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.manifests.common import Capabilities, Compute, EnvVar, Origin, compact, manifest, pod_template

API = "kueue.x-k8s.io/v1beta2"
OLD_API = "kueue.x-k8s.io/v1beta1"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
JOB_UID_LABEL = "kueue.x-k8s.io/job-uid"


class Queueing(Value):
    """Which LocalQueue a workload waits in, with which WorkloadPriorityClass."""

    queue: str
    priority_class: str | None = None


class Placement(Value):
    """How close the pods of one pod set must be, by a level of the flavor's Topology (a node label)."""

    level: str | None = None
    strictness: Literal["required", "preferred", "unconstrained"] = "preferred"


def queue_labels(queueing: Queueing) -> dict[str, str]:
    """Return the labels of the job object itself.

    They belong on the Job's metadata and not on its pod template: pods so labelled would be queued a second time by the pod
    integration. ``kueue.x-k8s.io/queue-name`` as an annotation is the form of v0.1 and ignored.
    """
    return compact({QUEUE_LABEL: queueing.queue, PRIORITY_LABEL: queueing.priority_class})


def topology_annotations(placement: Placement | None) -> dict[str, str]:
    """Return the annotations of the pod template that ask for topology-aware scheduling (KEP-2724)."""
    if placement is None:
        return {}
    if placement.strictness == "unconstrained":
        return {"kueue.x-k8s.io/podset-unconstrained-topology": "true"}
    if not placement.level:
        raise InvalidInput("a topology level is needed", remedy="name a level such as cloud.provider.com/topology-rack")
    return {f"kueue.x-k8s.io/podset-{placement.strictness}-topology": placement.level}


def local_queue(name: str, namespace: str, cluster_queue: str, origin: Origin, capabilities: Capabilities) -> type_json:
    """Return a LocalQueue in the newest version that is served; ``spec.clusterQueue`` is immutable and alike in both."""
    version = API if capabilities.serves(API, "LocalQueue") else OLD_API
    capabilities.require(version, "LocalQueue", remedy="install Kueue, or submit to another cluster")
    return manifest(version, "LocalQueue", name, namespace, origin, {"spec": {"clusterQueue": cluster_queue}})


def workload_selector(job_uid: str) -> str:
    """Return the label selector that finds the Workload of a job.

    Never compute a Workload's name: its digest and its greatest length changed between releases (kueue#9872).
    """
    return f"{JOB_UID_LABEL}={job_uid}"


class GpuJob(Value):
    """A batch job on accelerators: ``pods`` equal pods that start together or not at all."""

    name: str = Field(max_length=52)
    """Pod host names are ``<name>-<index>`` and the index must fit into the label of 63."""
    namespace: str
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    pods: int = Field(default=1, ge=1)
    compute: Compute
    queueing: Queueing
    placement: Placement | None = None
    active_deadline_seconds: int | None = Field(default=None, ge=1)
    retries: int = Field(default=3, ge=0)
    keep_seconds: int = Field(default=86400, ge=0)
    """How long the finished Job stays, so that its outcome can be read."""


def gpu_job(job: GpuJob, origin: Origin) -> type_json:
    """Return a ``batch/v1`` Job that Kueue admits.

    Created suspended: Kueue suspends a labelled Job anyway, but one that is created running can start pods before its webhook
    has seen it, where the webhook is away. An ``Indexed`` Job gives each pod its rank. Pods that a node takes down with it
    (spot preemption, drain) do not count against the retries: ``podFailurePolicy`` ignores ``DisruptionTarget`` (KEP-3329),
    which needs ``restartPolicy: Never``. Each pod is replaced only after it is gone, so that a gang never holds more
    devices than its quota.
    """
    container = compact(
        {
            "name": "main",
            "image": job.image,
            "command": list(job.command),
            "args": list(job.args),
            "env": [variable.manifest() for variable in job.env],
            "resources": job.compute.resources(),
        }
    )
    template = pod_template(
        {"restartPolicy": "Never", **job.compute.pod_fields(), "containers": [container]}, origin, component="job"
    )
    if notes := topology_annotations(job.placement):
        template["metadata"]["annotations"] = notes
    spec = compact(
        {
            "parallelism": job.pods,
            "completions": job.pods,
            "completionMode": "Indexed",
            "activeDeadlineSeconds": job.active_deadline_seconds,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "template": template,
        }
    )
    spec |= {"suspend": True, "backoffLimit": job.retries, "ttlSecondsAfterFinished": job.keep_seconds}
    return manifest(
        "batch/v1",
        "Job",
        job.name,
        job.namespace,
        origin,
        {"spec": spec},
        component="job",
        extra_labels=queue_labels(job.queueing),
    )
