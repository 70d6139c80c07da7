"""Services: how traffic stays near, and which of several ways wins."""

from __future__ import annotations

from collections.abc import Iterable

from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Subject, pointer

TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"
HINTS = "service.kubernetes.io/topology-aware-hints"


@rule(
    "service.prefer-close",
    "warning",
    "trafficDistribution: PreferClose",
    source="KEP-3015: PreferSameZone and PreferSameNode, stable in 1.35; the API server warns of PreferClose",
    fix="certain",
    kinds=("/Service",),
)
def prefer_close(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the deprecated alias, where the target has the new name."""
    if subject.spec.get("trafficDistribution") == "PreferClose" and around.at_least(34):
        yield Hit(
            path="/spec/trafficDistribution",
            message="PreferClose is a deprecated alias; it never forced traffic into a zone, it prefers it.",
            remedy="Write PreferSameZone, which means the same (PreferSameNode is nearer still).",
            edits=(Edit(op="set", path="/spec/trafficDistribution", value="PreferSameZone"),),
        )


@rule(
    "service.topology-keys",
    "error",
    "Service with topologyKeys",
    source="Kubernetes 1.22 removed topologyKeys: unknown field spec.topologyKeys",
    fix="suggested",
    kinds=("/Service",),
)
def topology_keys(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the field that is gone."""
    if "topologyKeys" in subject.spec:
        keys = subject.spec.get("topologyKeys")
        node = isinstance(keys, list) and keys[:1] == ["kubernetes.io/hostname"]
        yield Hit(
            path="/spec/topologyKeys",
            message="The field is unknown: strict validation refuses the Service, any other write drops it.",
            remedy="Write trafficDistribution: "
            + ("PreferSameNode (or internalTrafficPolicy: Local)." if node else "PreferSameZone."),
        )


@rule(
    "service.distribution-overruled",
    "warning",
    "trafficDistribution beside a setting that overrules it",
    source="Kubernetes: internalTrafficPolicy Local and the topology-mode annotation come before trafficDistribution",
    fix="suggested",
    kinds=("/Service",),
)
def distribution_overruled(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find two ways of keeping traffic near, of which one has no effect."""
    if not subject.spec.get("trafficDistribution"):
        return
    if subject.spec.get("internalTrafficPolicy") == "Local":
        yield Hit(
            path="/spec/internalTrafficPolicy",
            message="With Local only endpoints of the same node are used and none elsewhere: trafficDistribution never applies, "
            "and a node without an endpoint gets no answer.",
            remedy="Keep one: trafficDistribution: PreferSameNode falls back to other nodes, Local does not.",
        )
    for key in (TOPOLOGY_MODE, HINTS):
        if str(subject.annotations.get(key, "")).lower() == "auto":
            yield Hit(
                path=pointer("metadata", "annotations", key),
                message="The annotation comes first: trafficDistribution has no effect beside it.",
                remedy=f"Leave {key} out.",
            )
