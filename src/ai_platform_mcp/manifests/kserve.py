"""KServe: InferenceService. Language models have ``manifests/llm.py``.

Speaks ``serving.kserve.io/v1beta1``. Runtimes are the administrators': we name one that is installed and bring none.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.errors import CapabilityMissing, InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.manifests.common import (
    VERSION_LABEL,
    Capabilities,
    Compute,
    EnvVar,
    Origin,
    compact,
    label_value,
    manifest,
    object_name,
)

API = "serving.kserve.io/v1beta1"
RUNTIME_API = "serving.kserve.io/v1alpha1"
MODE_ANNOTATION = "serving.kserve.io/deploymentMode"
AUTOSCALER_ANNOTATION = "serving.kserve.io/autoscalerClass"
TAGS_ANNOTATION = "serving.kserve.io/enable-tag-routing"
MODEL_CONTAINER = "kserve-container"

Mode = Literal["Knative", "Standard"]
ModelFormat = Literal[
    "onnx",
    "huggingface",
    "sklearn",
    "xgboost",
    "lightgbm",
    "tensorflow",
    "pytorch",
    "tensorrt",
    "openvino",
    "pmml",
    "paddle",
]

# Best first. KServe ships no `kserve-onnxruntime` in any release: the schema takes the name and the predictor never starts.
RUNTIMES: dict[ModelFormat, tuple[str, ...]] = {
    "onnx": ("kserve-tritonserver", "kserve-openvino"),
    "huggingface": ("kserve-huggingfaceserver",),
    "sklearn": ("kserve-sklearnserver", "kserve-mlserver"),
    "xgboost": ("kserve-xgbserver", "kserve-mlserver"),
    "lightgbm": ("kserve-lgbserver", "kserve-mlserver"),
    "tensorflow": ("kserve-tensorflow-serving", "kserve-tritonserver"),
    "pytorch": ("kserve-tritonserver", "kserve-torchserve"),
    "tensorrt": ("kserve-tritonserver",),
    "openvino": ("kserve-openvino",),
    "pmml": ("kserve-pmmlserver",),
    "paddle": ("kserve-paddleserver",),
}

_FORMAT_NAME = {"openvino": "openvino_ir"}


class ModelSource(Value):
    """The model to serve: its format, its runtime and where its bytes are."""

    format: ModelFormat
    format_version: str | None = None
    storage_uri: str = Field(pattern=r"^[a-z][a-z0-9+.-]*://.+$")
    runtime: str
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()

    def manifest(self, compute: Compute) -> type_json:
        """Return ``predictor.model``.

        The container's resources live here, the pod's nodeSelector does not: under ``model`` it is an unknown field.
        """
        return compact(
            {
                "modelFormat": compact(
                    {"name": _FORMAT_NAME.get(self.format, self.format), "version": self.format_version}
                ),
                "storageUri": self.storage_uri,
                "runtime": self.runtime,
                "args": list(self.args),
                "env": [variable.manifest() for variable in self.env],
                "resources": compute.resources(),
            }
        )


class Canary(Value):
    """A share of the traffic for another model. ``percent`` 0 warms it up unseen.

    ``replicas`` are those of Standard mode, where a canary does not scale; in Knative mode each revision scales by itself.
    """

    percent: int = Field(ge=0, le=100)
    model: ModelSource
    replicas: int = Field(default=1, ge=1)
    name: str = Field(default="canary", pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=20)


class Endpoint(Value):
    """One InferenceService."""

    name: str
    namespace: str
    mode: Mode
    model: ModelSource
    compute: Compute = Compute()
    canary: Canary | None = None
    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int = Field(default=1, ge=1)
    concurrency: int | None = Field(default=None, ge=1)
    """Target of concurrent requests per replica; Knative mode only."""
    own_addresses: bool = False
    """Knative mode: whether each revision can be called by itself, also without a share of the traffic."""
    external_scaler: bool = False
    """Standard mode: another object (a ScaledObject) sets the replicas, which may then be none."""
    service_account: str | None = None


def choose_runtime(model_format: ModelFormat, available: Collection[str]) -> str:
    """Return the best of the runtimes that the cluster has for a format.

    ``available`` are names of ClusterServingRuntimes and of the namespace's ServingRuntimes. Left to choose by itself KServe
    takes any runtime with ``autoSelect``, and which one changes between releases; so we always name it.

    Raises:
        CapabilityMissing: none of the format's runtimes is installed.
    """
    for name in RUNTIMES[model_format]:
        if name in available:
            return name
    wanted = ", ".join(RUNTIMES[model_format])
    raise CapabilityMissing(
        f"no serving runtime for {model_format} is installed",
        cause=f"looked for {wanted}",
        remedy="install one of them as a ClusterServingRuntime, or pass runtime: one of your own that serves the format",
        details={"looked_for": list(RUNTIMES[model_format]), "available": sorted(available)[:20]},
    )


def inference_service(endpoint: Endpoint, origin: Origin, capabilities: Capabilities) -> type_json:
    """Return an InferenceService (``serving.kserve.io/v1beta1``).

    The canary field depends on the mode, and the wrong one is taken without a word: ``predictor.canaryTrafficPercent``
    works in Knative mode only and is ignored in Standard mode (kserve#4074, #5335), where KServe v0.20 has ``spec.canary[]``
    (kserve#5672). In Knative mode the canary's model *is* the predictor and the previous revision keeps the rest of the
    traffic; in Standard mode the predictor stays the stable one and the canary stands beside it. ``nodeSelector`` lives
    under ``spec.predictor``. The mode is always written down: the default differs between KServe's code and its
    shipped configuration. KServe copies labels and annotations to the pods, so that those which change with every
    operation are left out: moving a share of traffic would otherwise make a new revision of the same model.

    Raises:
        CapabilityMissing: the kind is not served, or Standard mode cannot split traffic here.
        InvalidInput: replicas that the mode cannot give.
    """
    capabilities.require(API, "InferenceService", remedy="install KServe, or deploy to another cluster")
    _check(endpoint, capabilities)
    knative_canary = endpoint.canary if endpoint.mode == "Knative" else None
    predictor = _predictor(endpoint, knative_canary.model if knative_canary else endpoint.model)
    if knative_canary:
        predictor["canaryTrafficPercent"] = knative_canary.percent
    if endpoint.canary is None or knative_canary:
        predictor |= _version_label(origin)
    spec: type_json = {"predictor": predictor}
    if endpoint.canary and endpoint.mode == "Standard":
        spec["canary"] = [_standard_canary(endpoint, endpoint.canary, origin)]
    notes = {MODE_ANNOTATION: endpoint.mode}
    if endpoint.external_scaler:
        notes[AUTOSCALER_ANNOTATION] = "external"
    if endpoint.own_addresses and endpoint.mode == "Knative":
        notes[TAGS_ANNOTATION] = "true"
    return manifest(
        API,
        "InferenceService",
        endpoint.name,
        endpoint.namespace,
        origin.lasting(),
        {"spec": spec},
        component="predictor",
        extra_annotations=notes,
    )


def _check(endpoint: Endpoint, capabilities: Capabilities) -> None:
    if endpoint.min_replicas > endpoint.max_replicas:
        raise InvalidInput("min_replicas is above max_replicas", remedy="raise max_replicas or lower min_replicas")
    if endpoint.mode == "Knative":
        capabilities.require(
            "serving.knative.dev/v1", "Service", remedy="use Standard mode, or install Knative Serving"
        )
        if endpoint.external_scaler:
            raise InvalidInput("Knative scales by itself", remedy="leave external_scaler out")
        return
    if endpoint.concurrency:
        raise InvalidInput(
            "Standard mode cannot scale on concurrency",
            cause="its autoscaler is the HorizontalPodAutoscaler, which knows cpu and memory",
            remedy="use Knative mode, or a KEDA ScaledObject with external_scaler",
        )
    if endpoint.min_replicas == 0 and not endpoint.external_scaler:
        raise InvalidInput(
            "Standard mode cannot scale to zero by itself",
            cause="its autoscaler is the HorizontalPodAutoscaler, which keeps one replica",
            remedy="use Knative mode, or a KEDA ScaledObject with external_scaler",
        )
    if endpoint.canary and not capabilities.standard_canary:
        raise CapabilityMissing(
            "this cluster's InferenceService cannot split traffic in Standard mode",
            cause="spec.canary came with KServe v0.20; canaryTrafficPercent is ignored in Standard mode",
            remedy="use Knative mode, upgrade KServe, or split traffic with an HTTPRoute over two InferenceServices",
        )


def _predictor(endpoint: Endpoint, model: ModelSource) -> type_json:
    scale = {"scaleMetric": "concurrency", "scaleTarget": endpoint.concurrency} if endpoint.concurrency else {}
    replicas = {"minReplicas": endpoint.min_replicas, "maxReplicas": endpoint.max_replicas}
    return {
        **replicas,
        **scale,
        **compact({"serviceAccountName": endpoint.service_account}),
        **endpoint.compute.pod_fields(),
        "model": model.manifest(endpoint.compute),
    }


def _standard_canary(endpoint: Endpoint, canary: Canary, origin: Origin) -> type_json:
    """One entry of ``spec.canary``. It runs a fixed number of replicas: KServe's webhook refuses autoscaling fields in it.

    Replicas are given outright; left out, KServe derives them from the share and a small one gets none to answer with
    (kserve#5983 reports 503s). The model's container is named here and nowhere else: the CRD
    asks for ``canary[].predictor.model.name``, and not for the same field of the predictor.
    """
    predictor = {
        "name": canary.name,
        **_version_label(origin),
        "minReplicas": canary.replicas,
        **endpoint.compute.pod_fields(),
        "model": {"name": MODEL_CONTAINER, **canary.model.manifest(endpoint.compute)},
    }
    return {"trafficPercent": canary.percent, "predictor": predictor}


def _version_label(origin: Origin) -> type_json:
    """Return the predictor's own label of its version.

    KServe gives pods the service's labels and then the predictor's: beside a canary the service speaks of the new version, and
    the stable version's pods must go on saying what they run.
    """
    return {"labels": {VERSION_LABEL: label_value(origin.version)}} if origin.version else {}


def endpoint_name(model: str, environment: str | None = None) -> str:
    """Return the InferenceService's name for a model: stable over versions, so that versions share one endpoint.

    At most 40 characters: KServe appends ``-predictor-default`` and the namespace to it in host names and Service names,
    and each DNS label of those ends at 63.
    """
    return object_name(model, *([environment] if environment else []), length=40)
