"""A large made-up cluster: nodes, pods, queues, workloads and deployments, with the bulk that real objects carry.

What objects of a kind have in common is one Python value in all of them: the server never changes what it stores.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, TypeAlias

from ai_platform_mcp.sandbox.kube.store import Store

Json: TypeAlias = dict[str, Any]

BORN = "2026-11-01T08:00:00Z"
GPU = "nvidia.com/gpu"
KUEUE = "kueue.x-k8s.io/v1beta2"
TEAMS = 30
ENVIRONMENTS = ("dev", "staging", "production")
CLOUDS = (("aws", "us-east-1"), ("gcp", "us-central1"), ("azure", "eastus"))
GPU_EVERY, EDGE_EVERY = 5, 10
"""One node in five has eight GPUs, one in ten is an edge node with one."""
WORKLOADS, DEPLOYMENTS = 2_000, 500


def fill(store: Store, nodes: int, pods: int) -> None:
    """Put the whole world into an empty store, past admission: what is stored is what an API server would have stored."""
    for obj in world(nodes, pods):
        commit(store, obj)


def commit(store: Store, obj: Json) -> None:
    """Store one object as it is."""
    resource = store.registry.kind(obj["apiVersion"], obj["kind"])
    meta = obj["metadata"]
    store.storage.commit(resource.bucket, (meta.get("namespace", ""), meta["name"]), obj)


def world(nodes: int, pods: int) -> Iterator[Json]:
    """Every object."""
    for team in range(TEAMS):
        for environment in ENVIRONMENTS:
            yield _namespace(team, environment)
    yield from _quota()
    for number in range(nodes):
        yield node(number)
    for number in range(pods):
        yield pod(number, nodes)
    for number in range(min(WORKLOADS, pods // 5)):
        yield _workload(number)
    for number in range(min(DEPLOYMENTS, pods // 20)):
        yield _deployment(number)


def _meta(name: str, namespace: str = "", **more: Any) -> Json:
    where = {"namespace": namespace} if namespace else {}
    return {"name": name, **where, "uid": str(uuid.uuid4()), "creationTimestamp": BORN, **more}


def _fields(manager: str, names: int) -> Json:
    """One entry of field ownership; real ones are about this large."""
    fields = {f"f:field-{number:02}": {".": {}, "f:name": {}, "f:value": {}} for number in range(names)}
    return {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": BORN, "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": fields}}  # fmt: skip


# --- nodes -----------------------------------------------------------------------------------------------------------

_IMAGES = [
    {"names": [f"registry.example.org/team/image-{n}@sha256:{n:064x}", f"registry.example.org/team/image-{n}:1.{n}"],
     "sizeBytes": 10_000_000 + n}
    for n in range(40)
]  # fmt: skip
_NODE_FIELDS = [_fields("kubelet", 20), _fields("kube-controller-manager", 8)]
_NODE_INFO = {"kubeletVersion": "v1.36.1", "osImage": "Linux", "architecture": "amd64", "kernelVersion": "6.12.0",
              "containerRuntimeVersion": "containerd://2.1.4", "operatingSystem": "linux"}  # fmt: skip


def node_name(number: int) -> str:
    """Return the name of a node."""
    return f"{'edge' if number % EDGE_EVERY == 0 else 'node'}-{number:05}"


def node(number: int, *, beat: str = BORN, ready: bool = True, labels: Json | None = None) -> Json:
    """Return a node as its kubelet last reported it."""
    cloud, region = CLOUDS[number % len(CLOUDS)]
    found = {
        "kubernetes.io/hostname": node_name(number),
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": f"type-{number % 12}",
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": f"{region}-{'abc'[number % 3]}",
        "aiplatform.dev/cloud": cloud,
        "aiplatform.dev/nodepool": f"pool-{number % 40}",
    }
    amounts = {"cpu": "96", "memory": "768Gi", "pods": "110", "ephemeral-storage": "1Ti"}
    if number % EDGE_EVERY == 0:
        found |= {"node-role.kubernetes.io/edge": "", "edge.aiplatform.dev/site": f"site-{number // EDGE_EVERY % 200:03}",
                  "nvidia.com/gpu.product": "NVIDIA-Jetson-AGX-Orin", "aiplatform.dev/cloud": "edge",
                  "edge.aiplatform.dev/release.vision": f"v{number % 3}"}  # fmt: skip
        amounts[GPU] = "1"
    elif number % GPU_EVERY == 1:
        found |= {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "karpenter.sh/capacity-type": "on-demand"}
        amounts[GPU] = "8"
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure")
    calm = [_condition(kind, "False", beat) for kind in kinds]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": _meta(node_name(number), labels=found | (labels or {}), managedFields=_NODE_FIELDS,
                          annotations={"node.alpha.kubernetes.io/ttl": "300", "volumes/attach-detach": "true"}),
        "spec": {"providerID": f"{cloud}:///zone/i-{number:012x}", "podCIDR": f"10.{number >> 8 & 255}.{number & 255}.0/24"},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [*calm, _condition("Ready", "True" if ready else "Unknown", beat)],
            "addresses": [{"type": "InternalIP", "address": f"10.0.{number >> 8 & 255}.{number & 255}"}],
            "nodeInfo": _NODE_INFO,
            "images": _IMAGES,
        },
    }  # fmt: skip


def _condition(kind: str, status: str, beat: str) -> Json:
    return {"type": kind, "status": status, "lastHeartbeatTime": beat, "lastTransitionTime": BORN,
            "reason": f"Kubelet{kind}", "message": f"kubelet reports {kind}"}  # fmt: skip


# --- pods ------------------------------------------------------------------------------------------------------------

_POD_FIELDS = [_fields("kube-controller-manager", 10), _fields("kubelet", 12)]
_ENVIRON = [{"name": f"SETTING_{number}", "value": f"value-{number}"} for number in range(8)]
_TOLERATIONS = [{"key": f"node.kubernetes.io/{why}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
                for why in ("not-ready", "unreachable")]  # fmt: skip


def _container(wanted: Json) -> Json:
    return {"name": "main", "image": "registry.example.org/team/image-1:1.1", "env": _ENVIRON,
            "resources": {"requests": wanted, "limits": wanted}, "imagePullPolicy": "IfNotPresent",
            "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}  # fmt: skip


_PLAIN = _container({"cpu": "500m", "memory": "1Gi"})
_ONE = _container({"cpu": "2", "memory": "8Gi", GPU: "1"})
_TWO = _container({"cpu": "8", "memory": "64Gi", GPU: "2"})


def pod(number: int, nodes: int, *, phase: str = "Running", generation: int = 0) -> Json:
    """Return a pod: ten to a node, and on GPU nodes four of them with two GPUs each."""
    home, slot = number % nodes, number // nodes
    team, environment = number % TEAMS, ENVIRONMENTS[number % len(ENVIRONMENTS)]
    container = _PLAIN
    if home % EDGE_EVERY == 0 and slot == 0:
        container = _ONE
    elif home % EDGE_EVERY and home % GPU_EVERY == 1 and slot < 4:
        container = _TWO
    labels = {
        "app": f"app-{number % 500}",
        "aiplatform.dev/team": f"team-{team:02}",
        "pod-template-hash": f"{number % 997:08x}",
    }
    if container is not _PLAIN:
        labels["aiplatform.dev/model"] = f"model-{number % 90:02}"
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"app-{number % 500}-5d4f", "controller": True,
             "blockOwnerDeletion": True, "uid": "3c1d2a30-7a3e-4b8e-9d55-0a6d5a1f2b11"}  # fmt: skip
    name = f"app-{number % 500}-5d4f-{number:06}"
    state = {"name": "main", "ready": True, "restartCount": generation, "started": True, "image": container["image"],
             "imageID": container["image"], "state": {"running": {"startedAt": BORN}}}  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _meta(name, f"team-{team:02}-{environment}", labels=labels, ownerReferences=[owner],
                          managedFields=_POD_FIELDS, annotations={"kubernetes.io/config.seen": BORN}),
        "spec": {"nodeName": node_name(home), "containers": [container], "restartPolicy": "Always",
                 "serviceAccountName": "default", "schedulerName": "default-scheduler", "tolerations": _TOLERATIONS},
        "status": {"phase": phase, "podIP": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", "startTime": BORN,
                   "conditions": [{"type": kind, "status": "True", "lastTransitionTime": BORN}
                                  for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")],
                   "containerStatuses": [state]},
    }  # fmt: skip


# --- everything else -------------------------------------------------------------------------------------------------


def _namespace(team: int, environment: str) -> Json:
    labels = {"aiplatform.dev/team": f"team-{team:02}", "aiplatform.dev/environment": environment}
    meta = _meta(f"team-{team:02}-{environment}", labels=labels)
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta, "status": {"phase": "Active"}}


def _quota() -> Iterator[Json]:
    def kueue(kind: str, meta: Json, spec: Json, status: Json | None = None) -> Json:
        return {"apiVersion": KUEUE, "kind": kind, "metadata": meta, "spec": spec, "status": status or {}}

    for number in range(12):
        labels = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "aiplatform.dev/nodepool": f"pool-{number}"}
        price = {"aiplatform.dev/hourly-cents": "1180"}
        yield kueue("ResourceFlavor", _meta(f"flavor-{number}", annotations=price), {"nodeLabels": labels})
        resources = [{"name": GPU, "nominalQuota": "1000"}]
        group = {"coveredResources": [GPU], "flavors": [{"name": f"flavor-{number}", "resources": resources}]}
        usage = [{"name": f"flavor-{number}", "resources": [{"name": GPU, "total": str(600 + 30 * number)}]}]
        yield kueue("ClusterQueue", _meta(f"queue-{number}"), {"cohortName": "all", "resourceGroups": [group]},
                    {"flavorsUsage": usage, "flavorsReservation": usage})  # fmt: skip
    for team in range(TEAMS):
        for environment in ENVIRONMENTS:
            meta = _meta("gpu", f"team-{team:02}-{environment}")
            status = {"pendingWorkloads": team % 4, "admittedWorkloads": team}
            yield kueue("LocalQueue", meta, {"clusterQueue": f"queue-{team % 12}"}, status)


def _workload(number: int) -> Json:
    namespace = f"team-{number % TEAMS:02}-{ENVIRONMENTS[number % len(ENVIRONMENTS)]}"
    pods = {"name": "main", "count": 2, "template": {"spec": {"containers": [_TWO], "restartPolicy": "Never"}}}
    done = {"type": "Admitted" if number % 5 else "QuotaReserved", "status": "True" if number % 5 else "False",
            "reason": "Waiting", "message": "waits for quota", "lastTransitionTime": BORN}  # fmt: skip
    return {"apiVersion": KUEUE, "kind": "Workload", "metadata": _meta(f"job-{number:05}", namespace),
            "spec": {"queueName": "gpu", "podSets": [pods]}, "status": {"conditions": [done]}}  # fmt: skip


def _deployment(number: int) -> Json:
    namespace = f"team-{number % TEAMS:02}-{ENVIRONMENTS[number % len(ENVIRONMENTS)]}"
    labels = {"aiplatform.dev/model": f"model-{number % 90:02}", "aiplatform.dev/version": str(number % 7)}
    model = {"modelFormat": {"name": "onnx"}, "storageUri": f"s3://models/{number}"}
    ready = {"type": "Ready", "status": "True" if number % 25 else "False", "lastTransitionTime": BORN}
    return {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
            "metadata": _meta(f"served-{number:04}", namespace, labels=labels),
            "spec": {"predictor": {"minReplicas": 2, "model": model}},
            "status": {"url": f"http://served-{number}.example.org", "conditions": [ready]}}  # fmt: skip
