"""From Kubernetes objects to the inventory's rows: which label, field or condition says what. Pure functions.

Labels: https://kubernetes.io/docs/reference/labels-annotations-taints/, and those of each cloud and device plugin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from sys import intern
from typing import Any, NamedTuple, cast

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import ClusterInfo, DeploymentRow, FlavorRow, NodeRow, QueueRow, WorkloadRow
from ai_platform_mcp.domain.edge_identity import edge_identity
from ai_platform_mcp.domain.objects import (
    ENVIRONMENT_LABEL,
    MODEL_LABEL,
    TEAM_LABEL,
    VERSION_LABEL,
    annotations_of,
    condition,
    labels_of,
    metadata_of,
    parse_time,
    rows,
    section,
    whole,
)
from ai_platform_mcp.domain.progress import STABLE_VERSION, canary_percent, progress_of

CLOUD_LABEL = "aiplatform.dev/cloud"
PRICE_ANNOTATION = "aiplatform.dev/hourly-cents"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_REGION = "topology.kubernetes.io/region"
_ZONE = "topology.kubernetes.io/zone"
_ACCELERATOR_LABELS = (
    "nvidia.com/gpu.product",
    "cloud.google.com/gke-accelerator",
    "cloud.google.com/gke-tpu-accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
    "aiplatform.dev/accelerator",
)
_DEVICES = ("nvidia.com/gpu", "google.com/tpu", "amd.com/gpu", "aws.amazon.com/neuron", "habana.ai/gaudi")
_SPOT = {
    "karpenter.sh/capacity-type": "spot",
    "cloud.google.com/gke-spot": "true",
    "cloud.google.com/gke-provisioning": "spot",
    "eks.amazonaws.com/capacitytype": "spot",
    "kubernetes.azure.com/scalesetpriority": "spot",
    "aiplatform.dev/capacity-type": "spot",
}
_CLOUD_PREFIXES = {
    "eks.amazonaws.com/": "aws",
    "karpenter.k8s.aws/": "aws",
    "cloud.google.com/": "gcp",
    "kubernetes.azure.com/": "azure",
}
_PROVIDERS = {"aws": "aws", "gce": "gcp", "azure": "azure"}
_MOST_LABELS = 64


_NOT_KEPT = ("managedFields", "annotations", "ownerReferences", "finalizers", "selfLink")


_KEPT_ANNOTATIONS = (PRICE_ANNOTATION, STABLE_VERSION)


def slim(live: type_json) -> type_json:
    """Return what is kept of an object whose row depends on other objects too: no field ownership, few annotations."""
    meta = {key: value for key, value in metadata_of(live).items() if key not in _NOT_KEPT}
    notes = annotations_of(live)
    kept = {key: notes[key] for key in _KEPT_ANNOTATIONS if key in notes}
    if kept:
        meta["annotations"] = kept
    return {**live, "metadata": meta}


# --- nodes -----------------------------------------------------------------------------------------------------------


def node_row(info: ClusterInfo, live: type_json) -> NodeRow:
    """Return a node. Its role is edge by label, or because its whole cluster is."""
    labels = _labels(live)
    spec, status = section(live, "spec"), section(live, "status")
    ready = condition(live, "Ready")
    identity = edge_identity(labels)
    allocatable = section(status, "allocatable")
    return NodeRow(
        cluster=info.name,
        name=str(metadata_of(live).get("name", "")),
        ready=ready.get("status") == "True",
        schedulable=not spec.get("unschedulable"),
        role="edge" if info.role == "edge" or identity.edge else "cloud",
        cloud=cloud_of(labels, str(spec.get("providerID") or "")) or info.cloud,
        region=labels.get(_REGION) or info.region,
        zone=labels.get(_ZONE, ""),
        site=identity.site,
        accelerator=accelerator_of(labels) or next((name for name in _DEVICES if whole(allocatable.get(name))), ""),
        accelerators=sum(whole(allocatable.get(name)) for name in _DEVICES),
        spot=is_spot(labels),
        labels=dict(islice(labels.items(), _MOST_LABELS)),
        conditions={
            intern(str(row.get("type"))): intern(str(row.get("status")))
            for row in rows(status, "conditions")
            if row.get("type")
        },
        taints=tuple(_taint(row) for row in rows(spec, "taints")),
        last_seen=parse_time(ready.get("lastHeartbeatTime")),
        kubelet=intern(str(section(status, "nodeInfo").get("kubeletVersion") or "")),
    )


def _labels(live: type_json) -> dict[str, str]:
    """Return the labels with one object per distinct text: ten thousand nodes say the same few things."""
    return {intern(key): intern(value) for key, value in labels_of(live).items()}


def is_spot(labels: Mapping[str, str]) -> bool:
    """Tell whether labels mark capacity that the cloud may take back."""
    lowered = {key.lower(): value.lower() for key, value in labels.items()}
    return any(lowered.get(key) == value for key, value in _SPOT.items())


def cloud_of(labels: Mapping[str, str], provider_id: str = "") -> str:
    """Return the cloud that labels or the provider id name, empty where they name none."""
    if CLOUD_LABEL in labels:
        return labels[CLOUD_LABEL]
    for prefix, cloud in _CLOUD_PREFIXES.items():
        if any(key.startswith(prefix) for key in labels):
            return cloud
    return _PROVIDERS.get(provider_id.partition("://")[0], "")


def accelerator_of(labels: Mapping[str, str]) -> str:
    """Return the accelerator's name as its label says it, empty where no label does."""
    return next((labels[key] for key in _ACCELERATOR_LABELS if labels.get(key)), "")


def _taint(row: type_json) -> str:
    value = f"={row['value']}" if row.get("value") else ""
    return intern(f"{row.get('key')}{value}:{row.get('effect')}")


# --- quota -----------------------------------------------------------------------------------------------------------


def flavor_rows(info: ClusterInfo, queue: type_json, flavors: Mapping[str, type_json]) -> Iterable[FlavorRow]:
    """Return one row per flavor and resource of a ClusterQueue, processor and memory quotas left out."""
    spec, status = section(queue, "spec"), section(queue, "status")
    used, reserved = _usage(status, "flavorsUsage"), _usage(status, "flavorsReservation")
    covered = {
        str(row.get("name"))
        for group in rows(spec, "resourceGroups")
        for quota in rows(group, "flavors")
        for row in rows(quota, "resources")
    }
    for group in rows(spec, "resourceGroups"):
        for quota in rows(group, "flavors"):
            name = str(quota.get("name"))
            flavor = flavors.get(name, {})
            labels = {**section(flavor, "spec", "nodeLabels"), **labels_of(flavor)}
            price = annotations_of(flavor).get(PRICE_ANNOTATION, "")
            for row in rows(quota, "resources"):
                resource = str(row.get("name"))
                if not _is_device(resource):
                    continue
                yield FlavorRow(
                    cluster=info.name,
                    queue=str(metadata_of(queue).get("name", "")),
                    flavor=name,
                    resource=resource,
                    nominal=whole(row.get("nominalQuota")),
                    used=used.get((name, resource), 0),
                    reserved=reserved.get((name, resource), 0),
                    borrowing_limit=whole(row["borrowingLimit"]) if row.get("borrowingLimit") is not None else None,
                    cohort=str(spec.get("cohortName") or spec.get("cohort") or ""),  # the latter in v1beta1
                    accelerator=accelerator_of(labels),
                    cloud=cloud_of(labels) or info.cloud,
                    region=labels.get(_REGION) or info.region,
                    spot=is_spot(labels),
                    hourly_cents=int(price) if price.isdigit() else None,
                    node_labels=section(flavor, "spec", "nodeLabels"),
                    covered=tuple(sorted(covered)),
                )


def _is_device(resource: str) -> bool:
    """Tell whether a resource counts devices: extended resources that are no plain compute, and names of DeviceClasses.

    Kueue covers the latter where it counts claims. Drivers name their classes by their domain, and none of Kubernetes' own
    resources has a dot in its name.
    """
    return ("/" in resource or "." in resource) and not resource.startswith("hugepages")


def _usage(status: type_json, key: str) -> dict[tuple[str, str], int]:
    """Return what is used by flavor and resource, borrowed devices included."""
    return {
        (str(flavor.get("name")), str(row.get("name"))): whole(row.get("total"))
        for flavor in rows(status, key)
        for row in rows(flavor, "resources")
    }


def queue_row(info: ClusterInfo, live: type_json) -> QueueRow:
    """Return a LocalQueue."""
    status = section(live, "status")
    stopped = str(section(live, "spec").get("stopPolicy") or "None") != "None"
    return QueueRow(
        cluster=info.name,
        namespace=str(metadata_of(live).get("namespace", "")),
        name=str(metadata_of(live).get("name", "")),
        cluster_queue=str(section(live, "spec").get("clusterQueue") or ""),
        pending=whole(status.get("pendingWorkloads")),
        admitted=whole(status.get("admittedWorkloads")),
        active=not stopped and condition(live, "Active").get("status", "True") == "True",
    )


# --- workloads -------------------------------------------------------------------------------------------------------

_STATES = (("Finished", "finished"), ("Evicted", "evicted"), ("Admitted", "admitted"), ("QuotaReserved", "reserved"))


def workload_row(info: ClusterInfo, live: type_json) -> WorkloadRow:
    """Return a Workload. Its state is the furthest of Kueue's conditions that holds, else why it waits."""
    meta, spec = metadata_of(live), section(live, "spec")
    state, deciding = "pending", condition(live, "QuotaReserved")
    for kind, word in _STATES:
        if condition(live, kind).get("status") == "True":
            state, deciding = word, condition(live, kind)
            break
    if state == "pending" and spec.get("active") is False:
        state = "inactive"
    if state == "evicted" and condition(live, "Requeued").get("status") == "True":
        state = "pending"
    owner = next(iter(rows(meta, "ownerReferences")), {})
    assigned = rows(live, "status", "admission", "podSetAssignments")
    flavors = sorted(
        {str(name) for row in assigned for res, name in section(row, "flavors").items() if _is_device(res)}
    )
    text = ": ".join(part for part in (str(deciding.get("reason") or ""), str(deciding.get("message") or "")) if part)
    return WorkloadRow(
        cluster=info.name,
        namespace=str(meta.get("namespace", "")),
        name=str(meta.get("name", "")),
        owner=f"{owner.get('kind')}/{owner.get('name')}" if owner else "",
        queue=str(spec.get("queueName") or labels_of(live).get(QUEUE_LABEL, "")),
        state=state,
        reason=untrusted(text, 200),
        accelerator_count=sum(_requested(row) for row in rows(spec, "podSets")),
        flavor=",".join(flavors),
        created=parse_time(meta.get("creationTimestamp")),
    )


def _requested(pod_set: type_json) -> int:
    """Return the devices of a whole pod set: those of a pod, times pods."""
    return sum(_devices(section(pod_set, "template", "spec")).values()) * whole(pod_set.get("count", 1))


def _devices(pod_spec: type_json) -> dict[str, int]:
    """Return the devices a pod asks for by resource: requests (limits where no request is given) of every container."""
    found: dict[str, int] = {}
    for container in rows(pod_spec, "containers"):
        resources = section(container, "resources")
        if not resources:
            continue
        wanted = {**section(resources, "limits"), **section(resources, "requests")}
        for name, amount in wanted.items():
            if "/" in name and _is_device(name):
                found[name] = found.get(name, 0) + whole(amount)
    return found


# --- pods ------------------------------------------------------------------------------------------------------------

_KSERVE_LABEL = "serving.kserve.io/inferenceservice"


class Held(NamedTuple):
    """What one pod holds: its place, and its devices with whose they are. All that is kept of a pod."""

    node: str
    namespace: str = ""
    team: str = ""
    model: str = ""
    resource: str = ""
    devices: int = 0


def held_by(live: type_json) -> Held | None:
    """Return what a pod holds, None where it runs nowhere or has ended. One without devices only counts on its node."""
    node = section(live, "spec").get("nodeName")
    if not node or section(live, "status").get("phase") in ("Succeeded", "Failed"):
        return None
    devices = {name: count for name, count in _devices(section(live, "spec")).items() if count and name in _DEVICES}
    if not devices:
        return Held(intern(str(node)))
    labels = labels_of(live)
    return Held(
        node=intern(str(node)),
        namespace=intern(str(metadata_of(live).get("namespace") or "")),
        team=intern(labels.get(TEAM_LABEL, "")),
        model=intern(labels.get(MODEL_LABEL) or labels.get(_KSERVE_LABEL, "")),
        resource=intern(max(devices, key=lambda name: devices[name])),
        devices=sum(devices.values()),
    )


# --- deployments -----------------------------------------------------------------------------------------------------


def deployment_row(info: ClusterInfo, live: type_json, namespace: type_json) -> DeploymentRow:
    """Return a served model. Team and environment come from its labels, else from its namespace's, else its cluster's."""
    kind = str(live.get("kind", ""))
    meta, labels, around = metadata_of(live), labels_of(live), labels_of(namespace)
    spec, status = section(live, "spec"), section(live, "status")
    edge = kind == "EdgeRollout"
    phase = str(status.get("phase") or "")
    ready = condition(live, "Ready")
    return DeploymentRow(
        cluster=info.name,
        namespace=str(meta.get("namespace", "")),
        name=str(meta.get("name", "")),
        kind=kind,
        model=labels.get(MODEL_LABEL) or str(_model(kind, spec)),
        version=labels.get(VERSION_LABEL) or str(spec.get("version") or ""),
        environment=labels.get(ENVIRONMENT_LABEL) or info.environment or around.get(ENVIRONMENT_LABEL, ""),
        team=labels.get(TEAM_LABEL) or around.get(TEAM_LABEL, ""),
        ready=_ready(kind, live),
        target="edge" if edge or info.role == "edge" else "cloud",
        url=str(status.get("url") or status.get("uri") or ""),
        canary_percent=canary_percent({**live, "kind": kind})
        if kind in ("LLMInferenceService", "RunService")
        else _canary(spec, status),
        replicas=_replicas(kind, spec, status),
        message=untrusted(str(status.get("message") or ready.get("message") or phase), 200),
        created=parse_time(meta.get("creationTimestamp")),
        progress=_progress(status) if edge else {},
    )


def _ready(kind: str, live: type_json) -> bool:
    """Tell whether it serves. A Function has no such condition of its own: ACK's conditions and Lambda's state say it."""
    if kind == "EdgeRollout":
        return section(live, "status").get("phase") == "Succeeded"
    if kind == "Function":
        return progress_of({**live, "kind": kind}).state == "succeeded"
    return condition(live, "Ready").get("status") == "True"


def _model(kind: str, spec: type_json) -> Any:
    if kind == "LLMInferenceService":
        return section(spec, "model").get("name") or ""
    return spec.get("model") or "" if kind == "EdgeRollout" else ""


def _canary(spec: type_json, status: type_json) -> int | None:
    """Return the share of traffic that a canary gets: by ``spec.canary[]`` (Standard) or by the predictor (Knative)."""
    shares = [row.get("trafficPercent") for row in rows(spec, "canary")]
    if shares:
        return sum(share for share in shares if isinstance(share, int))
    share = section(spec, "predictor").get("canaryTrafficPercent")
    served = section(status, "components", "predictor")
    moving = not served or served.get("latestRolledoutRevision") != served.get("latestReadyRevision")
    return share if isinstance(share, int) and (share < 100 or moving) else None


def _replicas(kind: str, spec: type_json, status: type_json) -> int | None:
    """Return how many replicas serve: copies the status reports, else what the spec asks for at least."""
    if kind == "RunService":
        return whole(section(spec, "template", "scaling").get("minInstanceCount"))
    copies = section(status, "modelStatus", "copies").get("totalCopies")
    asked = spec.get("replicas") if kind == "LLMInferenceService" else section(spec, "predictor").get("minReplicas")
    found = copies if isinstance(copies, int) else asked
    return found if isinstance(found, int) else None


def _progress(status: type_json) -> dict[str, int | str]:
    names = ("phase", "wave", "healthy", "failed", "offline", "total", "reason")
    return {name: cast("int | str", status[name]) for name in names if isinstance(status.get(name), int | str)}
