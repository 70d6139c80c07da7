"""KServe's LLMInferenceService: a language model behind a gateway, with replicas that share its weights.

Speaks ``serving.kserve.io/v1alpha2`` (the storage version since KServe v0.17) and ``v1alpha1`` where only that is served; the
fields used here are the same in both. Traffic between versions is split by ``router.route.group`` and ``weight``, which
came with KServe v0.20 (kserve#5725).
"""

from __future__ import annotations

from pydantic import Field

from ai_platform_mcp.core.errors import CapabilityMissing, InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.manifests.common import Capabilities, Compute, Origin, manifest, object_name
from ai_platform_mcp.manifests.routing import POOL_API, ROUTE_API

KIND = "LLMInferenceService"
APIS = ("serving.kserve.io/v1alpha2", "serving.kserve.io/v1alpha1")
"""Newest first."""
SCHEMES = ("hf", "oci", "pvc", "s3")
"""Where its storage initializer fetches weights from; an InferenceService knows more."""
MODEL_CONTAINER = "main"
WHOLE = 100
"""Weights of a model's releases sum to this, so that a weight is a percentage; KServe itself only compares them."""
CANARY = "canary"


class LanguageModel(Value):
    """One LLMInferenceService. ``tensor_parallel`` is the number of accelerators that share one replica's weights."""

    name: str
    namespace: str
    uri: str = Field(pattern=rf"^({'|'.join(SCHEMES)})://.+$")
    served_name: str
    replicas: int = Field(default=1, ge=1)
    tensor_parallel: int = Field(default=1, ge=1)
    compute: Compute = Compute()
    group: str = ""
    """Which releases share the traffic; empty where the cluster cannot split it."""
    weight: int = Field(default=WHOLE, ge=0, le=1_000_000)


def served_api(capabilities: Capabilities) -> str:
    """Return the newest version in which the kind is served, empty where none is."""
    return next((api for api in APIS if capabilities.serves(api, KIND)), "")


def obstacle(uri: str, capabilities: Capabilities) -> str:
    """Return what keeps a model from being served as an LLMInferenceService here, as a sentence; empty where nothing does."""
    if not served_api(capabilities):
        return "the cluster does not serve LLMInferenceService"
    if not capabilities.serves(ROUTE_API, "HTTPRoute"):
        return "LLMInferenceService needs the Gateway API for a way in, and the cluster does not serve HTTPRoute"
    if uri.partition("://")[0] not in SCHEMES:
        return f"LLMInferenceService fetches weights from {', '.join(f'{scheme}://' for scheme in SCHEMES)} only"
    return ""


def llm_inference_service(model: LanguageModel, origin: Origin, capabilities: Capabilities) -> type_json:
    """Return an LLMInferenceService in the newest version that is served.

    ``replicas`` and ``scaling`` exclude each other (a rule of the CRD); we set ``replicas``. Empty ``gateway`` and ``route``
    ask KServe for managed ones; left out there is no way in at all. ``scheduler`` asks for an InferencePool with an endpoint
    picker, which routes by load and cached prefixes; without that API it is left out and KServe routes to a Service. The
    container is ``main``: under any other name it runs beside the model server in place of configuring it. Labels of an
    operation are left out: KServe copies labels to the pods, and each change would replace them.

    Raises:
        CapabilityMissing: the kind or its gateway is not served, or releases cannot share traffic here.
        InvalidInput: fewer accelerators per replica than the tensor parallelism needs.
    """
    api = served_api(capabilities)
    problem = obstacle(model.uri, capabilities)
    if problem:
        raise CapabilityMissing(problem, remedy="install KServe v0.17 and Gateway API, or use an InferenceService")
    if not model.compute.claim_template and model.compute.accelerators < model.tensor_parallel:
        raise InvalidInput(
            f"{model.tensor_parallel} accelerators per replica are needed, {model.compute.accelerators} are asked for",
            remedy="raise compute.accelerators to tensor_parallel",
        )
    if model.group:
        require_groups(capabilities)
    router: type_json = {"gateway": {}, "route": route_share(model.group, model.weight) if model.group else {}}
    if capabilities.serves(POOL_API, "InferencePool"):
        router["scheduler"] = {}
    spec = {
        "model": {"uri": model.uri, "name": model.served_name},
        "replicas": model.replicas,
        "parallelism": {"tensor": model.tensor_parallel},
        "router": router,
        "template": {
            **model.compute.pod_fields(),
            "containers": [{"name": MODEL_CONTAINER, "resources": model.compute.resources()}],
        },
    }
    return manifest(api, KIND, model.name, model.namespace, origin.lasting(), {"spec": spec}, component="llm")


def require_groups(capabilities: Capabilities) -> None:
    """Raise CapabilityMissing unless two LLMInferenceServices can share the traffic of one model."""
    if not capabilities.llm_groups:
        raise CapabilityMissing(
            "this cluster's LLMInferenceService cannot split traffic between two releases",
            cause="router.route.group and weight came with KServe v0.20",
            remedy="upgrade KServe, or replace the release at once with canary_percent=0",
        )


def route_share(group: str, weight: int) -> type_json:
    """Return ``router.route``: one depends on the other, by a rule of KServe's webhook."""
    return {"group": group, "weight": weight}


def canary_name(stable: str) -> str:
    """Return the name of the LLMInferenceService that runs the canary beside the stable one."""
    return object_name(stable, CANARY, length=50)
