"""One example of every object, as a person would read it. `UPDATE_GOLDEN=1 pytest …` writes them anew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

import strict_manifests as s
from ai_platform_mcp.domain.analysis.asked import analysis_for
from ai_platform_mcp.manifests import (
    argo,
    canaries,
    common,
    dra,
    edge,
    edge_golden,
    flux,
    kserve,
    kueue,
    litellm,
    llm,
    routing,
    trainer,
)

GOLDEN = Path(__file__).parent / "golden"
DIGEST = "sha256:" + "a1" * 32
IMAGE = "registry.example.com/vision@" + DIGEST
GPU = common.Compute(
    cpu="8",
    memory="64Gi",
    accelerators=1,
    node_selector={"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"},
    tolerations=(common.Toleration(key="nvidia.com/gpu", effect="NoSchedule"),),
)
CLAIM = common.Compute(cpu="8", memory="64Gi", claim_template="h100")
QUEUE = kueue.Queueing(queue="vision", priority_class="normal")
RACK = kueue.Placement(level="cloud.provider.com/topology-rack", strictness="required")


def model(version: int) -> kserve.ModelSource:
    return kserve.ModelSource(
        format="onnx", format_version="1", storage_uri=f"s3://models/vision-v3/{version}", runtime="kserve-tritonserver"
    )


def endpoint(mode: Any) -> dict[str, Any]:
    made = kserve.Endpoint(
        name="vision-v3",
        namespace="vision",
        mode=mode,
        model=model(11),
        compute=GPU,
        canary=kserve.Canary(percent=10, model=model(12)),
        min_replicas=0 if mode == "Knative" else 2,
        max_replicas=4,
        concurrency=8 if mode == "Knative" else None,
    )
    return kserve.inference_service(made, s.ORIGIN, s.EVERYTHING)


TRAINING = trainer.Training(
    name="vision-v3-0f3a",
    namespace="vision",
    runtime=trainer.RuntimeRef(name="torch-distributed"),
    image=IMAGE,
    args=("--epochs=3",),
    env=(common.EnvVar(name="MLFLOW_TOKEN", secret="mlflow", key="token"),),
    nodes=4,
    processes_per_node=8,
    compute=GPU,
    queueing=QUEUE,
    placement=RACK,
    active_deadline_seconds=86400,
)
STAGE = argo.Stage(image=IMAGE, args=("train",), compute=GPU)
PATH = argo.GoldenPath(
    train=STAGE,
    evaluate=argo.Stage(image=IMAGE, args=("evaluate",)),
    registration=argo.Stage(image=IMAGE, args=("register",)),
    queueing=QUEUE,
    service_account="golden-path",
)
RUN = argo.PipelineRun(
    name="vision-v3-0f3a", namespace="vision", parameters={"model": "vision-v3"}, active_deadline_seconds=86400
)
RELEASE = edge.Release(
    model="vision-v3",
    version="12",
    digest=DIGEST,
    image=IMAGE,
    storage_uri="oci://registry.example.com/vision",
    runtime="onnx",
)
ROLLOUT = edge.Rollout(
    name="vision-v3-12",
    namespace="edge",
    release=RELEASE,
    waves=(
        edge.Wave(name="canary", percent=5, canary=True),
        edge.Wave(name="half", percent=50),
        edge.Wave(name="all", percent=100),
    ),
    selector={"aiplatform.dev/team": "vision"},
    regions=("eu-west", "eu-north"),
    generation=7,
    rollback_to=edge.Release(model="vision-v3", version="11", digest="sha256:" + "b2" * 32, storage_uri="s3://m/11"),
    golden_inputs=edge.GoldenInputs(uri="s3://golden/vision-v3", digest="sha256:" + "c3" * 32),
)
PROXY = litellm.Proxy(
    deployments=(
        litellm.Deployment(
            group="vision", model="openai/vision-v3", api_base="http://vision-v3-edge:8080/v1", tier="edge"
        ),
        litellm.Deployment(
            group="vision", model="openai/vision-v3", api_base="http://vision-v3-next:8080/v1", tier="edge"
        ),
        litellm.Deployment(
            group="vision-cloud",
            model="openai/vision-v3",
            api_base="https://vision.example.com/v1",
            api_key_env="VISION_KEY",
            tier="cloud",
        ),
    ),
    fallbacks=(litellm.Fallback(group="vision", to=("vision-cloud",)),),
)
CANARY = canaries.CanaryRollout(
    name="vision-v3-canary-12",
    namespace="vision",
    model="vision-v3",
    new=canaries.Version(version="12", digest=DIGEST),
    stable=canaries.Version(
        version="11", predictor={"minReplicas": 2, "model": {"storageUri": "s3://models/vision-v3/11"}}
    ),
    inference_service="vision-v3",
    steps=tuple(canaries.Step(percent=share) for share in (10, 25, 50, 100)),
    analysis=analysis_for().manifest(edge=False),
)
ORIGIN, ALL = s.ORIGIN, s.EVERYTHING
SITE = edge.SiteService(release=RELEASE, namespace="edge", compute=GPU, priority_class="edge-critical")
CHECK = edge_golden.GoldenCheck(
    inputs=edge.GoldenInputs(uri="s3://golden/vision-v3", digest="sha256:" + "c3" * 32),
    image="registry.example.com/ai-platform-mcp@sha256:" + "d4" * 32,
    storage={"spec": {"container": {"name": "storage-initializer", "image": "kserve/storage-initializer:v0.19.0"}}},
)
ROUTE = routing.Route(
    name="vision-v3",
    namespace="vision",
    gateway="ai",
    gateway_namespace="gateways",
    hostnames=("vision.example.com",),
    backends=(
        routing.Backend(name="vision-v3-predictor", port=80, weight=9),
        routing.Backend(name="vision-v3-pool", kind="InferencePool", weight=1),
    ),
    timeout_seconds=300,
)
LLAMA = llm.LanguageModel(
    name="llama",
    namespace="llm",
    uri="hf://org/llama",
    served_name="llama",
    replicas=2,
    tensor_parallel=1,
    compute=GPU,
    group="llama",
)
EXAMPLES: dict[str, dict[str, Any]] = {
    "inference-service-knative": endpoint("Knative"),
    "inference-service-standard": endpoint("Standard"),
    "llm-inference-service": llm.llm_inference_service(LLAMA, ORIGIN, ALL),
    "llm-inference-service-v1alpha1": llm.llm_inference_service(
        LLAMA, ORIGIN, s.without(f"{llm.APIS[0]}/{llm.KIND}", f"{routing.POOL_API}/InferencePool")
    ),
    "llm-inference-service-before-groups": llm.llm_inference_service(
        LLAMA.model_copy(update={"group": ""}), ORIGIN, ALL.model_copy(update={"llm_groups": False})
    ),
    "llm-inference-service-canary": llm.llm_inference_service(
        LLAMA.model_copy(update={"name": llm.canary_name("llama"), "replicas": 1, "weight": 10}), ORIGIN, ALL
    ),
    "canary-rollout": canaries.canary_rollout(CANARY, ORIGIN, ALL),
    "canary-rollout-blue-green": canaries.canary_rollout(
        CANARY.model_copy(update={"strategy": "BlueGreen", "steps": (canaries.Step(percent=0, hold_seconds=60),)}),
        ORIGIN,
        ALL,
    ),
    "gpu-job": kueue.gpu_job(
        kueue.GpuJob(
            name="batch-0f3a", namespace="vision", image=IMAGE, pods=4, compute=CLAIM, queueing=QUEUE, placement=RACK
        ),
        ORIGIN,
    ),
    "local-queue": kueue.local_queue("vision", "vision", "gpus", ORIGIN, ALL),
    "train-job": trainer.train_job(TRAINING, ORIGIN),
    "train-job-trainer-2.1": trainer.train_job(TRAINING, ORIGIN, "podTemplateOverrides"),
    "train-job-trainer-2.0": trainer.train_job(
        TRAINING.model_copy(update={"placement": None}), ORIGIN, "podSpecOverrides"
    ),
    "pytorch-job": trainer.pytorch_job(TRAINING, ORIGIN),
    "ray-job": trainer.ray_job(
        trainer.RayProgram(
            name="sweep-0f3a",
            namespace="vision",
            image=IMAGE,
            entrypoint="python sweep.py",
            ray_version="2.50.0",
            workers=4,
            compute=GPU,
            queueing=QUEUE,
        ),
        ORIGIN,
        ALL,
    ),
    "workflow": argo.workflow(RUN, ORIGIN, ALL, path=PATH),
    "workflow-by-reference": argo.workflow(RUN, ORIGIN, ALL, template="golden-path"),
    "workflow-template": argo.workflow_template("golden-path", "vision", PATH, ("model",), ORIGIN, ALL),
    "resource-claim-template": dra.claim_template("h100", "vision", "gpu.nvidia.com", 2, ORIGIN, ALL),
    "edge-rollout": edge.edge_rollout(ROLLOUT, ORIGIN, ALL),
    "edge-daemon-set": edge.release_daemon_set(SITE, ORIGIN),
    "edge-daemon-set-golden-inputs": edge_golden.with_golden(edge.release_daemon_set(SITE, ORIGIN), RELEASE, CHECK, 36),
    "edge-prepull": edge.prepull_daemon_set(RELEASE, "edge", "registry.k8s.io/pause:3.10", {"a": "b"}, ORIGIN, 36),
    "edge-prepull-before-image-volumes": edge.prepull_daemon_set(
        RELEASE, "edge", "registry.k8s.io/pause:3.10", {"a": "b"}, ORIGIN, 34
    ),
    "edge-service": edge.site_service("vision-v3", "edge", 8080, ORIGIN),
    "eviction": edge.eviction("vision-v3-x7k2p", "edge", "5e3d2a10-0000-4000-8000-000000000001", 30),
    "http-route": routing.http_route(ROUTE, ORIGIN, ALL),
    "inference-pool": routing.inference_pool(
        "vision-v3-pool", "vision", {common.MODEL_LABEL: "vision-v3"}, 8080, "epp", 9002, ORIGIN, ALL
    ),
    "zonal-service": routing.zonal_service(
        "vision-v3", "vision", {common.MODEL_LABEL: "vision-v3"}, 80, "http", ORIGIN, ALL
    ),
    "knative-service": routing.knative_service(
        routing.KnativeApp(
            name="vision-v3",
            namespace="vision",
            image=IMAGE,
            max_scale=4,
            concurrency_target=8,
            previous_revision="vision-v3-00011",
            canary_percent=10,
        ),
        ORIGIN,
        ALL,
    ),
    "scaled-object": routing.scaled_object(
        routing.Scaling(
            name="vision-v3",
            namespace="vision",
            deployment="vision-v3-predictor",
            prometheus="http://prometheus.monitoring:9090",
            query='sum(vllm:num_requests_waiting{namespace="vision"})',
            threshold=8,
            max_replicas=4,
        ),
        ORIGIN,
        ALL,
    ),
    "flux-kustomization": flux.kustomization(
        "clusters", "eu-1", {"metadata": {"name": "platform", "namespace": "flux-system"}}, ALL
    ),
    "local-queue-v1beta1": kueue.local_queue("vision", "vision", "gpus", ORIGIN, s.without(f"{kueue.API}/LocalQueue")),
    "zonal-service-before-1-34": routing.zonal_service(
        "vision-v3",
        "vision",
        {common.MODEL_LABEL: "vision-v3"},
        80,
        "http",
        ORIGIN,
        ALL.model_copy(update={"kubernetes_minor": 33}),
    ),
    "litellm-proxy": litellm.proxy_config(PROXY),
}

OLDER = ("train-job-trainer-2.0", "train-job-trainer-2.1")
"""In the form of releases whose schema is not at hand: the version's name is the same, so that today's refuses them."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_is_as_reviewed(name: str) -> None:
    text = yaml.safe_dump(EXAMPLES[name], sort_keys=False, width=120)
    file = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        file.write_text(text)
    assert text == file.read_text()
    assert "&id" not in text, "two places of the object share one part"
    if "kind" in EXAMPLES[name] and name not in OLDER:
        s.assert_strictly_valid(EXAMPLES[name])


def test_no_golden_file_is_left_over() -> None:
    assert {file.stem for file in GOLDEN.glob("*.yaml")} == set(EXAMPLES)
