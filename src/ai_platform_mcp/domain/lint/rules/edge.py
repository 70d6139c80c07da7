"""Nodes: labels that nobody sets (any more), and pods that tainted nodes turn away."""

from __future__ import annotations

from collections.abc import Iterable

from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Subject, pointer
from ai_platform_mcp.domain.objects import rows, section

DEPRECATED = {
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "node-role.kubernetes.io/master": "node-role.kubernetes.io/control-plane",
}
ROLES = ("node-role", "role", "node-type")
"""Keys without a domain that are taken for a role: nothing in Kubernetes or an edge project sets them."""
EDGE = ("node-role.kubernetes.io/edge", "edge.aiplatform.dev/", "apps.openyurt.io/nodepool", "node-role")


@rule(
    "edge.role-label",
    "warning",
    "node selector on a role that nothing sets",
    source="Kubernetes well-known labels; KubeEdge and OpenYurt set node-role.kubernetes.io/edge, apps.openyurt.io/nodepool",
    fix="suggested",
)
def role_label(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find selectors such as ``node-role: edge-gpu``."""
    for path, data in subject.objects:
        if not path.endswith("/nodeSelector"):
            continue
        for key in ROLES:
            if key in data:
                yield Hit(
                    path=path + pointer(key),
                    message=f"{key} is no label that Kubernetes or an edge project sets: unless somebody labels nodes by hand, "
                    "the pods stay pending.",
                    remedy='Write node-role.kubernetes.io/edge: "" (or apps.openyurt.io/nodepool), and nvidia.com/gpu.present: '
                    '"true" for nodes with a GPU.',
                )


@rule(
    "edge.deprecated-label",
    "warning",
    "node selector on a label that was replaced",
    source="Kubernetes well-known labels: beta and failure-domain labels are deprecated; master is gone since 1.24",
    fix="certain",
)
def deprecated_label(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find selectors on former names, which newer nodes no longer carry."""
    for path, data in subject.objects:
        if path.endswith("/nodeSelector") or (path.endswith("/nodeLabels") and subject.kind == "ResourceFlavor"):
            for old in sorted(DEPRECATED.keys() & data.keys()):
                new = DEPRECATED[old]
                yield Hit(
                    path=path + pointer(old),
                    message=f"{old} is replaced by {new}; nodes that lack the former are never chosen.",
                    remedy=f"Write {new}.",
                    edits=(Edit(op="rename", path=path + pointer(old), to=new),),
                    certain=new not in data,
                )


@rule(
    "edge.no-tolerations",
    "info",
    "DaemonSet for edge or GPU nodes that tolerates no taint",
    source="Kubernetes DaemonSet: only taints of node conditions are tolerated by themselves",
    fix="suggested",
    kinds=("apps/DaemonSet",),
)
def no_tolerations(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find daemons that a tainted pool would silently go without."""
    pod = section(subject.spec, "template", "spec")
    chosen = [str(key) for key in section(pod, "nodeSelector")]
    gpu = any("nvidia.com/gpu" in {**row.requests, **row.limits} for row in subject.containers)
    if not rows(pod, "tolerations") and (gpu or any(key.startswith(EDGE) for key in chosen)):
        yield Hit(
            path="/spec/template/spec",
            message="The pods tolerate no taint: on nodes that are tainted for GPUs or for the edge none is made, and the "
            "DaemonSet still reports that all wanted ones are ready.",
            remedy="Tolerate the pool's taints, such as {key: nvidia.com/gpu, operator: Exists}.",
        )
