"""KEDA and HorizontalPodAutoscalers: old groups, and two of them on one target."""

from __future__ import annotations

from collections.abc import Iterable

from ai_platform_mcp.domain.lint.model import Around, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Subject
from ai_platform_mcp.domain.objects import section


@rule(
    "keda.old-group",
    "error",
    "KEDA object of keda.k8s.io",
    source="KEDA 2: keda.sh/v1alpha1 replaces keda.k8s.io",
    fix="suggested",
    kinds=("keda.k8s.io/ScaledObject", "keda.k8s.io/ScaledJob", "keda.k8s.io/TriggerAuthentication"),
)
def old_group(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the group of KEDA 1."""
    yield Hit(
        path="/apiVersion",
        message="keda.k8s.io belongs to KEDA 1: nothing acts on it.",
        remedy="Write apiVersion: keda.sh/v1alpha1, and scaleTargetRef.name for scaleTargetRef.deploymentName.",
    )


@rule(
    "keda.two-autoscalers",
    "error",
    "ScaledObject and HorizontalPodAutoscaler on one target",
    source="KEDA makes an HPA of each ScaledObject; its webhook refuses a target that has one",
    fix="none",
    kinds=("keda.sh/ScaledObject",),
)
def two_autoscalers(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find a HorizontalPodAutoscaler of the same input on the same target."""
    target = section(subject.spec, "scaleTargetRef")
    wanted = (str(target.get("kind", "Deployment")), target.get("name"), subject.metadata.get("namespace"))
    for peer in around.peers:
        other = section(peer, "spec", "scaleTargetRef")
        found = (str(other.get("kind", "")), other.get("name"), section(peer, "metadata").get("namespace"))
        if peer.get("kind") == "HorizontalPodAutoscaler" and found == wanted:
            name = section(peer, "metadata").get("name")
            yield Hit(
                path="/spec/scaleTargetRef",
                message=f"HorizontalPodAutoscaler {name} scales the same {wanted[0]}: the two undo each other's replicas.",
                remedy="Keep the ScaledObject (it can use cpu and memory as triggers), and leave the other out.",
            )
