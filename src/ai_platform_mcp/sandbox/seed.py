"""The world a newcomer gets: three clouds, quotas, teams, an edge fleet of 47 nodes, and services that already run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anyio

from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.kube.engine import Write
from ai_platform_mcp.sandbox.kube.store import Store
from ai_platform_mcp.sandbox.life.faults import FAULTS
from ai_platform_mcp.sandbox.life.nodes import AWAY
from ai_platform_mcp.sandbox.prometheus.platform import SeedNode, SeedQueue

Json = dict[str, Any]
SEEDED = "sandbox-seed"
"""ConfigMap that is made last: where it is, the world is whole."""
KUEUE = "kueue.x-k8s.io/v1beta2"
TEAMS = ("vision", "nlp", "platform")
STAGES = {"dev": "dev", "staging": "staging", "prod": "production"}
GPU, TPU = "nvidia.com/gpu", "google.com/tpu"

# flavor: cloud, region, product, resource, devices, spot, cents per device-hour (rounded list prices, August 2026)
FLAVORS: dict[str, tuple[str, str, str, str, int, bool, int]] = {
    "aws-a100": ("aws", "us-east-1", "NVIDIA-A100-SXM4-80GB", GPU, 64, False, 343),
    "aws-a100-spot": ("aws", "us-east-1", "NVIDIA-A100-SXM4-80GB", GPU, 64, True, 148),
    "gcp-h100": ("gcp", "us-central1", "NVIDIA-H100-80GB-HBM3", GPU, 32, False, 1106),
    "gcp-h100-spot": ("gcp", "us-central1", "NVIDIA-H100-80GB-HBM3", GPU, 32, True, 332),
    "azure-h100": ("azure", "eastus", "NVIDIA-H100-80GB-HBM3", GPU, 32, False, 1229),
    "gcp-tpu-v5e": ("gcp", "us-central1", "tpu-v5-lite-podslice", TPU, 64, False, 120),
}
QUEUES = {
    "gpu-pool": ("aws-a100", "gcp-h100", "azure-h100"),
    "gpu-spot": ("aws-a100-spot", "gcp-h100-spot"),
    "tpu-pool": ("gcp-tpu-v5e",),
}
LOCAL_QUEUES = {"gpu": "gpu-pool", "gpu-spot": "gpu-spot", "tpu": "tpu-pool"}
SITES = {"us-south": (5, 5, 4), "us-east": (5, 4, 4), "eu-west": (4, 4, 3), "ap-south": (5, 4)}
"""Edge nodes by region and site."""
OFFLINE = frozenset({"edge-us-east-2-04", "edge-eu-west-3-02", "edge-ap-south-1-05"})
DEPLOYED = ("InferenceService", "LLMInferenceService")
"""Kinds that the platform itself deployed: its field manager owns them, so that they can be deployed anew."""
RUNTIMES = {
    "kserve-tritonserver": (("onnx", "1"), ("tensorrt", "8"), ("pytorch", "1")),
    "kserve-openvino": (("onnx", "1"), ("openvino_ir", "1")),
    "kserve-huggingfaceserver": (("huggingface", "1"),),
    "kserve-sklearnserver": (("sklearn", "1"),),
    "kserve-mlserver": (("sklearn", "1"), ("mlflow", "1"), ("xgboost", "2")),
}


def _obj(api: str, kind: str, name: str, namespace: str = "", labels: Json | None = None, **body: Any) -> Json:
    metadata: Json = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}


def namespaces() -> Iterator[Json]:
    """A namespace per team and stage, and the platform's own."""
    for name in ("aiplatform-system", "kueue-system"):
        yield _obj("v1", "Namespace", name)
    for team in TEAMS:
        for short, stage in STAGES.items():
            labels = {"aiplatform.dev/team": team, "aiplatform.dev/environment": stage}
            yield _obj("v1", "Namespace", f"{team}-{short}", labels=labels)


def queues() -> Iterator[Json]:
    """Kueue's flavors, queues and priorities."""
    for name, (cloud, region, product, resource, _, spot, cents) in FLAVORS.items():
        node_labels = _pool_labels(cloud, region, product, resource, spot)
        flavor = _obj(KUEUE, "ResourceFlavor", name, spec={"nodeLabels": node_labels})
        flavor["metadata"]["annotations"] = {"aiplatform.dev/hourly-cents": str(cents)}
        yield flavor
    for name, flavors in QUEUES.items():
        resource = FLAVORS[flavors[0]][3]
        rows = [{"name": f, "resources": _quotas(resource, FLAVORS[f][4])} for f in flavors]
        groups = [{"coveredResources": [resource, "cpu", "memory"], "flavors": rows}]
        yield _obj(
            KUEUE, "ClusterQueue", name, spec={"cohortName": "all", "namespaceSelector": {}, "resourceGroups": groups}
        )
    for team in TEAMS:
        for short in STAGES:
            for name, queue in LOCAL_QUEUES.items():
                yield _obj(KUEUE, "LocalQueue", name, f"{team}-{short}", spec={"clusterQueue": queue})
    for name, value in {"production": 1000, "standard": 100, "preemptible": 1}.items():
        yield _obj(KUEUE, "WorkloadPriorityClass", name, value=value, description=f"{name} work")


def _quotas(resource: str, devices: int) -> list[Json]:
    """All that the nodes of a flavor have: Kueue admits nothing that requests what its queue does not cover."""
    nodes = devices // 8
    amounts = {resource: devices, "cpu": nodes * 96, "memory": f"{nodes * 768}Gi"}
    return [{"name": name, "nominalQuota": amount} for name, amount in amounts.items()]


def _pool_labels(cloud: str, region: str, product: str, resource: str, spot: bool) -> dict[str, str]:
    product_label = "nvidia.com/gpu.product" if resource == GPU else "cloud.google.com/gke-tpu-accelerator"
    return {
        "aiplatform.dev/cloud": cloud,
        "topology.kubernetes.io/region": region,
        product_label: product,
        "karpenter.sh/capacity-type": "spot" if spot else "on-demand",
    }


def nodes(now: str, long_ago: str) -> Iterator[Json]:
    """Eight devices a node in the pools; one in an edge node."""
    for flavor, (cloud, region, product, resource, devices, spot, _) in FLAVORS.items():
        for number in range(devices // 8):
            zone = f"{region}{'abc'[number % 3]}" if cloud != "gcp" else f"{region}-{'abc'[number % 3]}"
            labels = {**_pool_labels(cloud, region, product, resource, spot), "topology.kubernetes.io/zone": zone}
            yield _node(f"{flavor}-{number + 1:02d}", labels, {resource: "8"}, now, ready=True)
    for name, site, region in edge_places():
        labels = {
            "node-role.kubernetes.io/edge": "",
            "edge.aiplatform.dev/site": site,
            "topology.kubernetes.io/region": region,
            "topology.kubernetes.io/zone": site,
            "aiplatform.dev/cloud": "edge",
            "nvidia.com/gpu.product": "NVIDIA-Jetson-AGX-Orin",
        }
        away = name in OFFLINE
        yield _node(name, labels, {GPU: "1"}, long_ago if away else now, ready=not away)


def edge_places() -> Iterator[tuple[str, str, str]]:
    """Name, site and region of every edge node."""
    for region, sizes in SITES.items():
        for place, size in enumerate(sizes, 1):
            for number in range(1, size + 1):
                yield f"edge-{region}-{place}-{number:02d}", f"{region}-{place}", region


def _node(name: str, labels: dict[str, str], devices: dict[str, str], since: str, *, ready: bool) -> Json:
    amounts = {"cpu": "96", "memory": "768Gi", "pods": "110"}
    if labels["aiplatform.dev/cloud"] == "edge":
        amounts = {"cpu": "12", "memory": "64Gi", "pods": "60"}
    resources = {**amounts, **devices}
    reason, text = (
        ("KubeletReady", "kubelet is posting ready status")
        if ready
        else ("NodeStatusUnknown", "Kubelet stopped posting node status.")
    )
    conditions = [
        {
            "type": "Ready",
            "status": "True" if ready else "Unknown",
            "reason": reason,
            "message": text,
            "lastHeartbeatTime": since,
            "lastTransitionTime": since,
        }
    ]
    info = {
        "architecture": "arm64" if name.startswith("edge-") else "amd64",
        "bootID": name,
        "containerRuntimeVersion": "containerd://2.2.0",
        "kernelVersion": "6.12.0",
        "kubeProxyVersion": "v1.36.0",
        "kubeletVersion": "v1.36.0",
        "machineID": name,
        "operatingSystem": "linux",
        "osImage": "Debian GNU/Linux 13",
        "systemUUID": name,
    }
    taints = [] if ready else [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]
    body = _obj("v1", "Node", name, labels={**labels, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"})
    body["spec"] = {"taints": taints} if taints else {}
    if not ready:  # away by a fault, so that taking the fault off brings it back
        body["metadata"]["annotations"] = {FAULTS: json.dumps([{"kind": "offline"}]), AWAY: since}
    body["status"] = {"capacity": resources, "allocatable": resources, "conditions": conditions, "nodeInfo": info}
    return body


def runtimes() -> Iterator[Json]:
    """Serving runtimes that KServe ships, and Trainer's torch runtime."""
    for name, formats in RUNTIMES.items():
        rows = [{"name": kind, "version": version, "autoSelect": True} for kind, version in formats]
        containers = [{"name": "kserve-container", "image": f"registry.local/{name}:v0.20.0"}]
        spec = {"supportedModelFormats": rows, "containers": containers}
        yield _obj("serving.kserve.io/v1alpha1", "ClusterServingRuntime", name, spec=spec)
    container = {"name": "node", "image": "registry.local/torch:2.9"}
    pod = {"template": {"spec": {"template": {"spec": {"containers": [container]}}}}}
    job = {
        "name": "node",
        "template": {
            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
            **pod["template"],
        },
    }
    spec = {"mlPolicy": {"numNodes": 1, "torch": {}}, "template": {"spec": {"replicatedJobs": [job]}}}
    labels = {"trainer.kubeflow.org/framework": "torch"}
    yield _obj("trainer.kubeflow.org/v1alpha1", "ClusterTrainingRuntime", "torch-distributed", labels=labels, spec=spec)


def services() -> Iterator[Json]:
    """What runs already: agents on the edge, a gateway with a budget, and two models in production."""
    sites = {site: region for _, site, region in edge_places()}
    members = {site: sum(1 for _, other, _ in edge_places() if other == site) for site in sites}
    data = {
        site: json.dumps(
            {"region": region, "minimum_healthy": -(-members[site] * 6 // 10), "maintenance_window_utc": "00:00-24:00"}
        )
        for site, region in sites.items()
    }
    yield _obj("v1", "ConfigMap", "edge-sites", "aiplatform-system", data=data)
    template = _template("edge-agent", nodeSelector={"node-role.kubernetes.io/edge": ""})
    yield _obj(
        "apps/v1",
        "DaemonSet",
        "edge-agent",
        "aiplatform-system",
        spec={"selector": {"matchLabels": {"app": "edge-agent"}}, "template": template},
    )
    template = _template("edge-gateway", nodeSelector={"node-role.kubernetes.io/edge": ""})
    yield _obj(
        "apps/v1",
        "Deployment",
        "edge-gateway",
        "aiplatform-system",
        spec={"replicas": 12, "selector": {"matchLabels": {"app": "edge-gateway"}}, "template": template},
    )
    yield _obj(
        "policy/v1",
        "PodDisruptionBudget",
        "edge-gateway",
        "aiplatform-system",
        spec={"minAvailable": 10, "selector": {"matchLabels": {"app": "edge-gateway"}}},
    )
    yield _service("vision-v2", "4", "vision", "onnx", "kserve-tritonserver")
    yield _service("fraud", "2", "platform", "xgboost", "kserve-mlserver")
    labels = _served_labels("llama-3.3-70b", "1", "nlp")
    spec = {"model": {"uri": "oci://registry.local/llama-3.3-70b:1", "name": "llama-3.3-70b"}, "replicas": 2}
    yield _obj(
        "serving.kserve.io/v1alpha2", "LLMInferenceService", "llama-3-3-70b", "nlp-prod", labels=labels, spec=spec
    )


def _template(app: str, **spec: Any) -> Json:
    containers = [{"name": app, "image": f"registry.local/{app}:1.4.2"}]
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": containers, **spec}}


def _service(model: str, version: str, team: str, kind: str, runtime: str) -> Json:
    labels = _served_labels(model, version, team)
    inner = {"modelFormat": {"name": kind}, "runtime": runtime, "storageUri": f"oci://registry.local/{model}:{version}"}
    spec = {"predictor": {"minReplicas": 2, "maxReplicas": 6, "model": inner}}
    service = _obj("serving.kserve.io/v1beta1", "InferenceService", model, f"{team}-prod", labels=labels, spec=spec)
    service["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "Knative"}
    return service


def _served_labels(model: str, version: str, team: str) -> dict[str, str]:
    return {
        "aiplatform.dev/model": model,
        "aiplatform.dev/version": version,
        "aiplatform.dev/team": team,
        "aiplatform.dev/environment": "production",
    }


async def seed_cluster(store: Store) -> None:
    """Fill a new world; what a user changed or deleted in a kept one stays as it is. An interrupted filling is completed."""
    mark = ("v1", "ConfigMap", SEEDED, "aiplatform-system")
    if await store.find(*mark) is not None:
        return
    now = store.clock.now()
    long_ago = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for maker in (namespaces(), queues(), nodes(stamp(now), stamp(long_ago)), runtimes(), services()):
        async with anyio.create_task_group() as group:  # all at once, so that they reach the disk in a few transactions
            for obj in maker:
                group.start_soon(_plant, store, obj)
    await store.create(_obj("v1", "ConfigMap", SEEDED, "aiplatform-system", data={"seeded": stamp(now)}))


async def _plant(store: Store, obj: Json) -> None:
    meta = obj["metadata"]
    if await store.find(obj["apiVersion"], obj["kind"], meta["name"], meta.get("namespace", "")) is None:
        if obj["kind"] in DEPLOYED:
            await store.apply(obj, Write(manager="ai-platform-mcp"))
            return
        await store.create(obj)
        if obj["kind"] == "Node":
            await store.update_status(obj)


def metric_nodes() -> list[SeedNode]:
    """The nodes as their exporters see them."""
    pools = [
        SeedNode(f"{flavor}-{number + 1:02d}", gpus=8, gpu_model=row[2], busy=0.35 if row[5] else 0.62, region=row[1])
        for flavor, row in FLAVORS.items()
        if row[3] == GPU
        for number in range(row[4] // 8)
    ]
    edge = [
        SeedNode(
            name,
            gpus=1,
            gpu_model="NVIDIA-Jetson-AGX-Orin",
            gpu_memory_gib=64,
            busy=0.3,
            region=region,
            site=site,
            ready=name not in OFFLINE,
        )
        for name, site, region in edge_places()
    ]
    return pools + edge


def metric_queues() -> list[SeedQueue]:
    """The queues as Kueue's exporter sees them."""
    return [
        SeedQueue(queue, flavor, FLAVORS[flavor][3], quota=FLAVORS[flavor][4], used=0, cohort="all")
        for queue, flavors in QUEUES.items()
        for flavor in flavors
    ]
