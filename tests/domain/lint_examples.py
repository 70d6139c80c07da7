"""One document per code that has the defect, and what a document without it says at that place."""

from __future__ import annotations

from typing import Any

import yaml

from ai_platform_mcp.domain.lint.model import Around

KINDS = frozenset({"v1/Pod", "trainer.kubeflow.org/v1alpha1/TrainJob", "serving.kserve.io/v1beta1/InferenceService"})


def pod(**fields: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "registry.example.com/a@sha256:" + "a" * 64}
    spec = {"containers": [{**container, **fields.pop("container", {})}], **fields}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


def job(labels: dict[str, Any] | None = None, pod_labels: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    asked = {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}
    inner = pod(restartPolicy=spec.pop("restartPolicy", "Never"), container={"resources": spec.pop("resources", asked)})
    template: dict[str, Any] = {"spec": inner["spec"]}
    if pod_labels:
        template["metadata"] = {"labels": pod_labels}
    metadata: dict[str, Any] = {"name": "j", "annotations": spec.pop("annotations", {})}
    metadata = {key: value for key, value in {**metadata, "labels": labels or {}}.items() if value}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template, **spec}}


def isvc(mode: str = "", *, spec: Any = None, annotations: Any = None, **predictor: Any) -> dict[str, Any]:
    notes = {**({"serving.kserve.io/deploymentMode": mode} if mode else {}), **(annotations or {})}
    model = {"modelFormat": {"name": "onnx"}, "storageUri": "s3://m/1", **predictor.pop("model", {})}
    body = predictor.pop("instead", None) or {"model": model}
    metadata = {"name": "v", "annotations": notes} if notes else {"name": "v"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {"predictor": {**predictor, **body}, **(spec or {})},
    }


def queue(version: str = "v1beta2", **spec: Any) -> dict[str, Any]:
    quota = {"name": "nvidia.com/gpu", "nominalQuota": 8}
    group = {"coveredResources": ["nvidia.com/gpu"], "flavors": [{"name": "a", "resources": [quota]}]}
    body = {"namespaceSelector": {}, "resourceGroups": [group], **spec}
    body = {key: value for key, value in body.items() if value is not None}
    return {"apiVersion": f"kueue.x-k8s.io/{version}", "kind": "ClusterQueue", "metadata": {"name": "q"}, "spec": body}


def service(**spec: Any) -> dict[str, Any]:
    notes = spec.pop("annotations", {})
    metadata = {"name": "s", "annotations": notes} if notes else {"name": "s"}
    body = {"selector": {"app": "a"}, "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": body}


def claim(version: str, **request: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"resource.k8s.io/{version}",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": "c"},
        "spec": {"spec": {"devices": {"requests": [{"name": "gpu", **request}]}}},
    }


def proxy(router: dict[str, Any] | None = None, more: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
    """A configuration of an edge group that falls back to a cloud group, with everything set."""
    settings = {"routing_strategy": "simple-shuffle", "num_retries": 0, "allowed_fails": 1, "cooldown_time": 30}
    given = {"model": "openai/v", "api_base": "http://v.edge.svc/v1", "timeout": 5, **params}
    edge = {"model_name": "edge", "litellm_params": {key: value for key, value in given.items() if value is not None}}
    cloud = {"model_name": "cloud", "litellm_params": {"model": "openai/v", "api_base": "https://v/v1", "timeout": 30}}
    chosen = {**settings, "fallbacks": [{"edge": ["cloud"]}], **(router or {})}
    chosen = {key: value for key, value in chosen.items() if value is not None}
    return {"model_list": [edge, cloud], "router_settings": chosen, **(more or {})}


def described(info: dict[str, Any]) -> dict[str, Any]:
    """The same configuration with an edge deployment that says more about itself."""
    made = proxy()
    made["model_list"][0]["model_info"] = info
    return made


def alerts(expr: str) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "r"},
        "spec": {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": expr}]}]},
    }


def thing(api: str, kind: str, spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "x", **metadata}, "spec": spec or {}}


def torch(name: str = "pytorch", queued: bool = False) -> dict[str, Any]:
    inner = pod(container={"name": name, "resources": {"limits": {"nvidia.com/gpu": 8}}})["spec"]
    labels = {"labels": {QUEUE: "gpu"}} if queued else {}
    replicas = {"Master": {"replicas": 1, "restartPolicy": "OnFailure", "template": {"spec": inner}}}
    spec = {"runPolicy": {"suspend": True} if queued else {}, "pytorchReplicaSpecs": replicas}
    return thing("kubeflow.org/v1", "PyTorchJob", spec, **labels)


def ray(version: str = "v1", labels: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    head = {"rayStartParams": {}, "template": {"spec": pod()["spec"]}}
    body = {"entrypoint": "python a.py", "rayClusterSpec": {"headGroupSpec": head}, **spec}
    return thing(f"ray.io/{version}", "RayJob", body, **({"labels": labels} if labels else {}))


def trainjob(**spec: Any) -> dict[str, Any]:
    return thing("trainer.kubeflow.org/v1alpha1", "TrainJob", {"runtimeRef": {"name": "torch-distributed"}, **spec})


def knative(annotations: dict[str, str] | None = None, version: str = "v1", **below: str) -> dict[str, Any]:
    template: dict[str, Any] = {"spec": {"containers": pod()["spec"]["containers"]}}
    if below:
        template["metadata"] = {"annotations": {f"autoscaling.knative.dev/{k}": v for k, v in below.items()}}
    notes = {"annotations": annotations} if annotations else {}
    return thing(f"serving.knative.dev/{version}", "Service", {"template": template}, **notes)


def budget(**spec: Any) -> dict[str, Any]:
    return thing("policy/v1", "PodDisruptionBudget", {"selector": {"matchLabels": {"app": "a"}}, **spec})


def daemon(**spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "d"}}, "spec": pod(**spec)["spec"]}
    return thing("apps/v1", "DaemonSet", {"selector": {"matchLabels": {"app": "d"}}, "template": template})


def deployment(replicas: int) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "a"}}, "spec": pod()["spec"]}
    return thing("apps/v1", "Deployment", {"replicas": replicas, "template": template})


def scaler(name: str) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return thing("keda.sh/v1alpha1", "ScaledObject", {"scaleTargetRef": target, "triggers": []})


def hpa(name: str) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return thing("autoscaling/v2", "HorizontalPodAutoscaler", {"scaleTargetRef": target, "maxReplicas": 3})


def route(*weights: int) -> dict[str, Any]:
    backends = [{"name": f"b{place}", "port": 80, "weight": weight} for place, weight in enumerate(weights)]
    return thing("gateway.networking.k8s.io/v1", "HTTPRoute", {"rules": [{"backendRefs": backends}]})


def flavors(*named: list[str], covered: list[str]) -> list[dict[str, Any]]:
    listed = [
        {"name": f"f{place}", "resources": [{"name": name, "nominalQuota": 1} for name in names]}
        for place, names in enumerate(named)
    ]
    return [{"coveredResources": covered, "flavors": listed}]


QUEUE = "kueue.x-k8s.io/queue-name"
ALPHA_POOL = {
    "selector": {"app": "vllm"},
    "targetPortNumber": 8000,
    "extensionRef": {"name": "epp", "failureMode": "FailOpen"},
}
BORROWING = [
    {
        "coveredResources": ["cpu"],
        "flavors": [{"name": "a", "resources": [{"name": "cpu", "nominalQuota": 1, "borrowingLimit": 1}]}],
    }
]
CLAIMED = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]}
TAKEN = {"resources": {"claims": [{"name": "gpu"}]}}

WRONG_AND_RIGHT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "core.budget-blocks-drain": (budget(maxUnavailable=0), budget(maxUnavailable=1)),
    "core.removed-api": (
        thing("autoscaling/v2beta2", "HorizontalPodAutoscaler", hpa("d")["spec"]),
        hpa("d"),
    ),
    "dra.counted-twice": (
        pod(container={"resources": {"claims": [{"name": "gpu"}], "limits": {"nvidia.com/gpu": 1}}}, **CLAIMED),
        pod(container=TAKEN, **CLAIMED),
    ),
    "dra.flat-request": (claim("v1", deviceClassName="gpu"), claim("v1", exactly={"deviceClassName": "gpu"})),
    "dra.old-version": (
        claim("v1beta1", deviceClassName="gpu", count=2),
        claim("v1", firstAvailable=[{"name": "a", "deviceClassName": "gpu"}]),
    ),
    "dra.pod-source": (
        pod(container=TAKEN, resourceClaims=[{"name": "gpu", "source": {"resourceClaimTemplateName": "t"}}]),
        pod(container=TAKEN, **CLAIMED),
    ),
    "dra.undeclared-claim": (pod(container=TAKEN), pod(container=TAKEN, **CLAIMED)),
    "dra.unused-claim": (pod(**CLAIMED), pod(container=TAKEN, **CLAIMED)),
    "edge.deprecated-label": (
        pod(nodeSelector={"failure-domain.beta.kubernetes.io/zone": "a"}),
        pod(nodeSelector={"topology.kubernetes.io/zone": "a"}),
    ),
    "edge.no-tolerations": (
        daemon(nodeSelector={"node-role.kubernetes.io/edge": ""}),
        daemon(nodeSelector={"node-role.kubernetes.io/edge": ""}, tolerations=[{"operator": "Exists"}]),
    ),
    "edge.role-label": (
        pod(nodeSelector={"node-role": "edge-gpu"}),
        pod(nodeSelector={"node-role.kubernetes.io/edge": ""}),
    ),
    "flux.old-version": (
        thing("source.toolkit.fluxcd.io/v1beta2", "GitRepository", {"url": "https://g/r", "interval": "1m"}),
        thing("source.toolkit.fluxcd.io/v1", "GitRepository", {"url": "https://g/r", "interval": "1m"}),
    ),
    "gaie.inference-model": (
        thing("inference.networking.x-k8s.io/v1alpha2", "InferenceModel"),
        thing("inference.networking.k8s.io/v1", "InferencePool"),
    ),
    "gaie.objective-moved": (
        thing("inference.networking.x-k8s.io/v1alpha2", "InferenceObjective"),
        thing("inference.networking.k8s.io/v1", "InferencePool"),
    ),
    "gaie.old-pool": (
        thing("inference.networking.x-k8s.io/v1alpha2", "InferencePool", ALPHA_POOL),
        thing("inference.networking.k8s.io/v1", "InferencePool"),
    ),
    "gateway.no-weight": (route(0, 0), route(0, 1)),
    "gateway.old-version": (
        thing("gateway.networking.k8s.io/v1beta1", "HTTPRoute", route(1)["spec"]),
        route(1),
    ),
    "job.parallelism": (job(parallelism=4, completions=2), job(parallelism=4, completions=4)),
    "job.restart-policy": (job(restartPolicy="Always"), job()),
    "job.starts-before-admission": (job({QUEUE: "gpu"}), job({QUEUE: "gpu"}, suspend=True)),
    "job.suspended-forever": (job(suspend=True), job({QUEUE: "gpu"}, suspend=True)),
    "keda.old-group": (thing("keda.k8s.io/v1alpha1", "ScaledObject"), scaler("d")),
    "knative.annotation-level": (
        knative({"autoscaling.knative.dev/min-scale": "1"}),
        knative(**{"min-scale": "1"}),
    ),
    "knative.annotation-name": (knative(minScale="1"), knative(**{"min-scale": "1"})),
    "knative.old-version": (knative(version="v1beta1"), knative()),
    "kserve.canary-ignored": (
        isvc("Standard", canaryTrafficPercent=10),
        isvc("Knative", canaryTrafficPercent=10),
    ),
    "kserve.canary-list": (
        isvc("Knative", spec={"canary": [{"trafficPercent": 10, "predictor": {"name": "c"}}]}),
        isvc("Standard", spec={"canary": [{"trafficPercent": 10, "predictor": {"name": "c"}}]}),
    ),
    "kserve.canary-top-level": (
        isvc("Knative", spec={"canaryTrafficPercent": 10}),
        isvc("Knative", canaryTrafficPercent=10),
    ),
    "kserve.field-level": (
        isvc(model={"nodeSelector": {"a": "b"}}),
        isvc(nodeSelector={"a": "b"}),
    ),
    "kserve.floating-model": (
        isvc(model={"storageUri": "oci://r/m:1"}),
        isvc(model={"storageUri": "oci://r/m@sha256:" + "0" * 64}),
    ),
    "kserve.legacy-mode": (isvc("RawDeployment"), isvc("Standard")),
    "kserve.legacy-predictor": (isvc(instead={"onnx": {"storageUri": "s3://m/1"}}), isvc()),
    "kserve.llm-old-version": (
        thing("serving.kserve.io/v1alpha1", "LLMInferenceService"),
        thing("serving.kserve.io/v1alpha2", "LLMInferenceService"),
    ),
    "kserve.old-group": (
        {**isvc(), "apiVersion": "serving.kubeflow.org/v1beta1"},
        isvc(),
    ),
    "kserve.standard-to-zero": (isvc("Standard", minReplicas=0), isvc("Knative", minReplicas=0)),
    "kserve.unknown-runtime": (
        isvc(model={"runtime": "kserve-onnxruntime"}),
        isvc(model={"runtime": "kserve-tritonserver"}),
    ),
    "kueue.admission-checks-moved": (
        queue(admissionChecks=["dws"]),
        queue(admissionChecksStrategy={"admissionChecks": [{"name": "dws"}]}),
    ),
    "kueue.borrowing-without-cohort": (
        queue(resourceGroups=BORROWING),
        queue(resourceGroups=BORROWING, cohortName="all"),
    ),
    "kueue.cohort-renamed": (queue(cohort="all"), queue(cohortName="all")),
    "kueue.flavor-coverage": (
        queue(resourceGroups=flavors(["cpu"], covered=["cpu", "memory"])),
        queue(resourceGroups=flavors(["cpu", "memory"], covered=["cpu", "memory"])),
    ),
    "kueue.fungibility-values": (
        queue(flavorFungibility={"whenCanBorrow": "Borrow", "whenCanPreempt": "Preempt"}),
        queue(flavorFungibility={"whenCanBorrow": "MayStopSearch"}),
    ),
    "kueue.integration-off": (torch(queued=True), torch()),
    "kueue.no-namespace-selector": (queue(namespaceSelector=None), queue()),
    "kueue.no-requests": (
        job({QUEUE: "gpu"}, suspend=True, resources={}),
        job({QUEUE: "gpu"}, suspend=True),
    ),
    "kueue.old-version": (
        queue("v1beta1", cohort="all", admissionChecks=["dws"], flavorFungibility={"whenCanBorrow": "Borrow"}),
        queue(cohortName="all"),
    ),
    "kueue.queue-annotation": (
        job(annotations={QUEUE: "gpu"}),
        job({QUEUE: "gpu"}),
    ),
    "kueue.queue-on-template": (job(pod_labels={QUEUE: "gpu"}), job({QUEUE: "gpu"})),
    "kueue.resource-twice": (
        queue(resourceGroups=[*flavors(["cpu"], covered=["cpu"]), *flavors(["cpu"], covered=["cpu"])]),
        queue(),
    ),
    "kueue.workflow-label": (
        thing("argoproj.io/v1alpha1", "Workflow", labels={QUEUE: "gpu"}),
        thing(
            "argoproj.io/v1alpha1", "Workflow", {"templates": [{"name": "a", "metadata": {"labels": {QUEUE: "gpu"}}}]}
        ),
    ),
    "litellm.base-without-version": (proxy(api_base="http://v.edge.svc"), proxy()),
    "litellm.dangling-fallback": (proxy({"fallbacks": [{"edge": ["spot"]}]}), proxy()),
    "litellm.fallback-cycle": (proxy({"fallbacks": [{"edge": ["cloud"]}, {"cloud": ["edge"]}]}), proxy()),
    "litellm.fallbacks-place": (proxy({"fallbacks": None}, {"fallbacks": [{"edge": ["cloud"]}]}), proxy()),
    "litellm.key-in-clear": (proxy(api_key="abc123"), proxy(api_key="os.environ/KEY")),
    "litellm.latency-routing": (proxy({"routing_strategy": "latency-based-routing"}), proxy()),
    "litellm.model-tier": (described({"tier": "edge"}), described({"placement": "edge"})),
    "litellm.no-circuit-breaker": (proxy({"allowed_fails": None}), proxy()),
    "litellm.no-limits": (
        proxy({"routing_strategy": "usage-based-routing-v2"}),
        proxy(),
    ),
    "litellm.no-retries": (proxy({"num_retries": None}), proxy()),
    "litellm.no-timeout": (proxy(timeout=None), proxy()),
    "litellm.single-deployment": (proxy({"fallbacks": []}), proxy()),
    "litellm.unknown-strategy": (proxy({"routing_strategy": "edge-first"}), proxy()),
    "litellm.unreachable-base": (proxy(api_base="v.edge.svc/v1"), proxy()),
    "metrics.ecc-not-exported": (alerts("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL > 0"), alerts("DCGM_FI_DEV_ROW_REMAP_FAILURE")),
    "metrics.knative-renamed": (
        alerts("rate(revision_app_request_latencies_bucket[5m])"),
        alerts("rate(kn_serving_invocation_duration_seconds_bucket[5m])"),
    ),
    "metrics.npd-knows-no-gpu": (
        alerts('problem_gauge{type="GPUHealth"}'),
        alerts('problem_gauge{type="KernelDeadlock"}'),
    ),
    "metrics.npd-monitor-gpu": (
        daemon(
            container={"image": "r/node-problem-detector@sha256:" + "0" * 64},
            nodeSelector={"nvidia.com/gpu.present": "true"},
        ),
        daemon(container={"image": "r/node-problem-detector@sha256:" + "0" * 64}),
    ),
    "metrics.vllm-renamed": (
        alerts("vllm:time_per_output_token_seconds_bucket"),
        alerts("vllm:inter_token_latency_seconds_bucket"),
    ),
    "metrics.xid-is-no-counter": (
        alerts("increase( DCGM_FI_DEV_XID_ERRORS[5m]) > 0"),
        alerts("changes(DCGM_FI_DEV_XID_ERRORS[5m]) > 0"),
    ),
    "pod.env-not-text": (
        pod(container={"env": [{"name": "A", "value": 1}, {"name": "B", "value": True}]}),
        pod(container={"env": [{"name": "A", "value": "1"}]}),
    ),
    "pod.extended-resource": (
        pod(container={"resources": {"requests": {"nvidia.com/gpu": 1}}}),
        pod(container={"resources": {"limits": {"nvidia.com/gpu": "1"}}}),
    ),
    "pod.field-level": (
        pod(container={"nodeSelector": {"a": "b"}}),
        pod(nodeSelector={"a": "b"}),
    ),
    "pod.image-latest": (pod(container={"image": "r:5000/a"}), pod()),
    "pod.image-not-pinned": (pod(container={"image": "r:5000/a:1.2"}), pod()),
    "pod.label-not-text": (
        pod(nodeSelector={"cloud.google.com/gke-spot": True}),
        pod(nodeSelector={"cloud.google.com/gke-spot": "true"}),
    ),
    "pod.secret-in-env": (
        pod(container={"env": [{"name": "HF_TOKEN", "value": "x1"}]}),
        pod(container={"env": [{"name": "TOKENIZERS_PARALLELISM", "value": "false"}]}),
    ),
    "ray.cluster-stays": (
        ray(labels={QUEUE: "gpu"}, suspend=True),
        ray(shutdownAfterJobFinishes=True),
    ),
    "ray.old-version": (ray("v1alpha1", shutdownAfterJobFinishes=True), ray(shutdownAfterJobFinishes=True)),
    "service.distribution-overruled": (
        service(trafficDistribution="PreferSameNode", internalTrafficPolicy="Local"),
        service(internalTrafficPolicy="Local"),
    ),
    "service.prefer-close": (
        service(trafficDistribution="PreferClose"),
        service(trafficDistribution="PreferSameZone"),
    ),
    "service.topology-keys": (service(topologyKeys=["kubernetes.io/hostname", "*"]), service()),
    "trainer.container-name": (torch("main"), torch()),
    "trainer.labels-dropped": (trainjob(labels={"a": "b"}), trainjob()),
    "trainer.legacy-job": (torch(), trainjob()),
    "trainer.overrides-renamed": (
        trainjob(
            podTemplateOverrides=[{"targetJobs": [{"name": "node"}], "spec": {"nodeSelector": {"a": "b"}}}],
        ),
        trainjob(),
    ),
}

BESIDE: dict[str, tuple[dict[str, Any], Around, Around]] = {
    "cluster.not-served": (torch(), Around(kinds=KINDS), Around(kinds=KINDS | {"kubeflow.org/v1/PyTorchJob"})),
    "core.budget-blocks-drain": (
        budget(minAvailable=2),
        Around(peers=(deployment(2),)),
        Around(peers=(deployment(3),)),
    ),
    "keda.two-autoscalers": (scaler("d"), Around(peers=(hpa("d"),)), Around(peers=(hpa("other"),))),
    "kserve.canary-list": (
        isvc("Standard", spec={"canary": [{"trafficPercent": 1, "predictor": {"name": "c"}}]}),
        Around(standard_canary=False),
        Around(standard_canary=True),
    ),
    "kserve.two-autoscalers": (
        hpa("v-predictor"),
        Around(peers=(isvc(),)),
        Around(peers=(isvc(annotations={"serving.kserve.io/autoscalerClass": "external"}),)),
    ),
    "kserve.unknown-runtime": (
        isvc(model={"runtime": "our-onnx"}),
        Around(runtimes=frozenset({"kserve-tritonserver"})),
        Around(runtimes=frozenset({"our-onnx"})),
    ),
    "kueue.old-version": (
        queue("v1beta1"),
        Around(kinds=frozenset({"kueue.x-k8s.io/v1beta2/ClusterQueue"})),
        Around(kinds=frozenset({"kueue.x-k8s.io/v1beta1/ClusterQueue"})),
    ),
    "service.prefer-close": (
        service(trafficDistribution="PreferClose"),
        Around(kubernetes_minor=36),
        Around(kubernetes_minor=31),
    ),
    "trainer.legacy-job": (torch(), Around(kinds=KINDS), Around(kinds=frozenset({"kubeflow.org/v1/PyTorchJob"}))),
}
"""What depends on the target or on other objects: the document, surroundings in which it is wrong, and in which not."""


def text(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)
