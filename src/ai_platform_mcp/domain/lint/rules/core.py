"""Built-in APIs that are gone, and disruption budgets that block every drain."""

from __future__ import annotations

from collections.abc import Iterable

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Subject
from ai_platform_mcp.domain.objects import rows, section

REMOVED: dict[tuple[str, str], tuple[int, str, bool]] = {
    ("batch/v1beta1", "CronJob"): (25, "batch/v1", True),
    ("autoscaling/v2beta1", "HorizontalPodAutoscaler"): (25, "autoscaling/v2", False),
    ("autoscaling/v2beta2", "HorizontalPodAutoscaler"): (26, "autoscaling/v2", True),
    ("policy/v1beta1", "PodDisruptionBudget"): (25, "policy/v1", True),
    ("extensions/v1beta1", "Deployment"): (16, "apps/v1", False),
    ("extensions/v1beta1", "DaemonSet"): (16, "apps/v1", False),
    ("apps/v1beta1", "Deployment"): (16, "apps/v1", False),
    ("apps/v1beta2", "Deployment"): (16, "apps/v1", False),
    ("apps/v1beta2", "DaemonSet"): (16, "apps/v1", False),
    ("extensions/v1beta1", "Ingress"): (22, "networking.k8s.io/v1", False),
    ("networking.k8s.io/v1beta1", "Ingress"): (22, "networking.k8s.io/v1", False),
}
"""Gone since which minor version, what replaces it, and whether its fields stayed the same."""


@rule(
    "core.removed-api",
    "error",
    "built-in kind in a version that Kubernetes removed",
    source="Kubernetes deprecated API migration guide",
    fix="certain",
    kinds=tuple({f"{api.rpartition('/')[0]}/{kind}" for api, kind in REMOVED}),
)
def removed_api(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find versions that no supported cluster serves."""
    gone = REMOVED.get((subject.api_version, subject.kind))
    if gone is None or not around.at_least(gone[0]):
        return
    minor, now, alike = gone
    # An empty selector matched nothing in policy/v1beta1 and matches every pod in v1.
    changed = subject.kind == "PodDisruptionBudget" and not section(subject.spec, "selector")
    yield Hit(
        path="/apiVersion",
        message=f"{subject.api_version} is gone since Kubernetes 1.{minor}"
        + ("; an empty selector means every pod in v1." if changed else "."),
        remedy=f"Write apiVersion: {now}"
        + ("." if alike else " and adapt the fields that changed (selector, metrics, backend)."),
        edits=(Edit(op="set", path="/apiVersion", value=now),),
        certain=alike and not changed,
    )


@rule(
    "core.budget-blocks-drain",
    "warning",
    "PodDisruptionBudget that allows no disruption",
    source="Kubernetes: a budget without allowed disruptions refuses every eviction; a drain of the node waits forever",
    fix="suggested",
    kinds=("policy/PodDisruptionBudget",),
)
def budget_blocks_drain(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find budgets of nothing, by themselves or against the replicas of the workload they select."""
    key, why = _blocking(subject, around)
    if key:
        yield Hit(
            path=f"/spec/{key}",
            message=f"{why}: no pod may ever be evicted, and nodes cannot be drained or upgraded.",
            remedy="Write maxUnavailable: 1, or run more replicas than minAvailable.",
        )


def _blocking(subject: Subject, around: Around) -> tuple[str, str]:
    most, least = subject.spec.get("maxUnavailable"), subject.spec.get("minAvailable")
    if str(most) in ("0", "0%"):
        return "maxUnavailable", f"maxUnavailable is {most}"
    if str(least) == "100%":
        return "minAvailable", "minAvailable is 100%"
    if isinstance(least, int) and least > 0:
        for peer in around.peers:
            replicas = section(peer, "spec").get("replicas", 1)
            if _selects(subject, peer) and isinstance(replicas, int) and least >= replicas:
                name = section(peer, "metadata").get("name")
                return "minAvailable", f"minAvailable is {least} and {peer.get('kind')} {name} has {replicas} replicas"
    return "", ""


def _selects(subject: Subject, peer: type_json) -> bool:
    if peer.get("kind") not in ("Deployment", "StatefulSet"):
        return False
    if section(peer, "metadata").get("namespace") != subject.metadata.get("namespace"):
        return False
    wanted = section(subject.spec, "selector", "matchLabels")
    labels = section(peer, "spec", "template", "metadata", "labels")
    return bool(wanted) and not rows(subject.spec, "selector", "matchExpressions") and wanted.items() <= labels.items()
