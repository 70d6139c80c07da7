"""Gateway API and the inference extension: versions, what is gone, and routes that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterable

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Subject
from ai_platform_mcp.domain.objects import rows, section

GATEWAY = "gateway.networking.k8s.io"
ALIKE = ("HTTPRoute", "Gateway", "GatewayClass")
"""Kinds whose v1beta1 had the shape of v1."""
KINDS = (*ALIKE, "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute", "ReferenceGrant")
X_GROUP = "inference.networking.x-k8s.io"
POOL_API = "inference.networking.k8s.io/v1"
PICKER_PORT = 9002
"""What extensionRef.portNumber was when it was left out."""


@rule(
    "gateway.old-version",
    "warning",
    "Gateway API object before v1",
    source="Gateway API 1.6: all of them are v1; alpha versions are not served",
    fix="certain",
    kinds=tuple(f"{GATEWAY}/{kind}" for kind in KINDS),
)
def old_version(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find versions that v1 replaces, where the target serves v1."""
    if subject.version == "v1" or around.lacks(f"{GATEWAY}/v1", subject.kind):
        return
    beta = subject.version == "v1beta1"
    yield Hit(
        path="/apiVersion",
        message=f"{subject.version} of {subject.kind} is {'superseded' if beta else 'not served by current releases'}.",
        remedy=f"Write apiVersion: {GATEWAY}/v1.",
        edits=(Edit(op="set", path="/apiVersion", value=f"{GATEWAY}/v1"),),
        certain=beta and (subject.kind in ALIKE or subject.kind == "ReferenceGrant"),
        severity="warning" if beta else "error",
    )


@rule(
    "gateway.no-weight",
    "error",
    "route rule whose backends all have weight 0",
    source="Gateway API HTTPRoute: with weights that sum to 0 requests get status 500",
    fix="none",
    kinds=(f"{GATEWAY}/HTTPRoute", f"{GATEWAY}/GRPCRoute"),
)
def no_weight(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find rules that answer every request with an error."""
    for place, row in enumerate(rows(subject.spec, "rules")):
        weights = [backend.get("weight", 1) for backend in rows(row, "backendRefs")]
        if weights and all(weight == 0 for weight in weights):
            yield Hit(
                path=f"/spec/rules/{place}/backendRefs",
                message="All weights are 0: every request that matches gets status 500.",
                remedy="Give at least one backend a weight.",
            )


@rule(
    "gaie.inference-model",
    "error",
    "InferenceModel, which is gone",
    source="Gateway API Inference Extension 1.0 removed InferenceModel; InferenceObjective lives in llm-d (GIE#2430)",
    fix="suggested",
    kinds=(f"{X_GROUP}/InferenceModel",),
)
def inference_model(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the kind that 1.0 removed."""
    yield Hit(
        path="/kind",
        message="InferenceModel is served by no release since 1.0: criticality and traffic split have no effect.",
        remedy="Write an InferenceObjective (llm-d router) with spec.priority for the criticality, and split traffic with "
        "HTTPRoute weights or an InferenceModelRewrite.",
    )


@rule(
    "gaie.objective-moved",
    "info",
    "InferenceObjective or InferenceModelRewrite",
    source="Gateway API Inference Extension 1.6: both moved to the llm-d router with the endpoint picker",
    fix="none",
    kinds=(f"{X_GROUP}/InferenceObjective", f"{X_GROUP}/InferenceModelRewrite"),
)
def objective_moved(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find kinds that another project ships now."""
    if around.kinds is None:
        yield Hit(
            path="/kind",
            message="The inference extension no longer ships this kind; it comes with the llm-d router and its endpoint picker.",
            remedy="Install its CRD from the llm-d router, and that endpoint picker.",
        )


@rule(
    "gaie.old-pool",
    "error",
    "InferencePool of inference.networking.x-k8s.io",
    source="Gateway API Inference Extension 1.0: inference.networking.k8s.io/v1; 1.6 ships v1 only",
    fix="certain",
    kinds=(f"{X_GROUP}/InferencePool",),
)
def old_pool(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the pool of the alpha group, and carry its fields over."""
    if around.lacks(POOL_API, "InferencePool"):
        return
    edits = _pool_edits(subject.spec)
    yield Hit(
        path="/apiVersion",
        message=f"{subject.api_version} is not shipped any more; selector, port and endpoint picker have other shapes in v1.",
        remedy=f"Write apiVersion: {POOL_API} with selector.matchLabels, targetPorts: [{{number}}] and endpointPickerRef.",
        edits=(Edit(op="set", path="/apiVersion", value=POOL_API), *edits),
        certain=bool(edits),
    )


def _pool_edits(spec: type_json) -> tuple[Edit, ...]:
    """Return the edits of the spec; none where it does not have the alpha's shape."""
    selector, picker, port = section(spec, "selector"), section(spec, "extensionRef"), spec.get("targetPortNumber")
    plain = bool(selector) and all(isinstance(value, str) for value in selector.values())
    if not plain or not isinstance(port, int) or not isinstance(picker.get("name"), str):
        return ()
    reference = {key: value for key, value in picker.items() if key != "portNumber"}
    reference["port"] = {"number": picker.get("portNumber", PICKER_PORT)}
    return (
        Edit(op="remove", path="/spec/selector"),
        Edit(op="remove", path="/spec/targetPortNumber"),
        Edit(op="set", path="/spec/selector/matchLabels", value=dict(selector)),
        Edit(op="set", path="/spec/targetPorts", value=[{"number": port}]),
        Edit(op="set", path="/spec/endpointPickerRef", value=reference),
        Edit(op="remove", path="/spec/extensionRef"),
    )
