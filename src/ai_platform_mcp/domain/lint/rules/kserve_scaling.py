"""Scaling of InferenceServices: to zero, and by one autoscaler only."""

from __future__ import annotations

from collections.abc import Iterable

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.lint.model import Around, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.rules.kserve import ISVC, KNATIVE, mode_of
from ai_platform_mcp.domain.lint.subject import Subject
from ai_platform_mcp.domain.objects import section

CLASS = "serving.kserve.io/autoscalerClass"


@rule(
    "kserve.standard-to-zero",
    "warning",
    "minReplicas 0 in Standard mode without KEDA",
    source="KServe: scaling to zero needs Knative mode or autoscalerClass keda",
    fix="suggested",
    kinds=(ISVC,),
)
def standard_to_zero(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find services that are meant to scale to zero and cannot."""
    standard = mode_of(subject) == "Standard" or around.lacks(*KNATIVE)
    scaler = subject.annotations.get(CLASS)
    if standard and section(subject.spec, "predictor").get("minReplicas") == 0 and scaler not in ("keda", "external"):
        yield Hit(
            path="/spec/predictor/minReplicas",
            message="A HorizontalPodAutoscaler does not scale to zero: the accelerators stay taken.",
            remedy=f"Set {CLASS}: keda with a scaling metric, use Knative mode, or write minReplicas: 1.",
        )


@rule(
    "kserve.two-autoscalers",
    "error",
    "second autoscaler on the Deployment that KServe manages",
    source="KServe makes an HPA (or KEDA ScaledObject) itself unless autoscalerClass is external or none",
    fix="suggested",
    kinds=("autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject"),
)
def two_autoscalers(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find autoscalers whose target an InferenceService of the same input scales already."""
    target = str(section(subject.spec, "scaleTargetRef").get("name", ""))
    namespace = subject.metadata.get("namespace")
    for peer in around.peers:
        if peer.get("kind") != "InferenceService" or section(peer, "metadata").get("namespace") != namespace:
            continue
        name = str(section(peer, "metadata").get("name", ""))
        if target in (f"{name}-predictor", f"{name}-predictor-default") and not _external(peer):
            yield Hit(
                path="/spec/scaleTargetRef",
                message=f"KServe scales {target} for InferenceService {name} already: the two undo each other's replicas.",
                remedy=f"Set {CLASS}: external on the InferenceService, or describe the scaling there and leave this out.",
            )


def _external(peer: type_json) -> bool:
    return section(peer, "metadata", "annotations").get(CLASS) in ("external", "none")
