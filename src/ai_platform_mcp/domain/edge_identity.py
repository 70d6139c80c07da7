"""Which labels make a node an edge node, and of which site: plain Kubernetes, k3s, KubeEdge and OpenYurt. Pure.

What a label says explicitly (``is-edge-worker``, a pool's type) outweighs what another one suggests, and ours outweigh both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

SITE_LABEL = "edge.aiplatform.dev/site"
EDGE_ROLE = "node-role.kubernetes.io/edge"
AGENT_ROLE = "node-role.kubernetes.io/agent"
POOL_LABEL = "apps.openyurt.io/nodepool"
POOL_TYPE_LABEL = "nodepool.openyurt.io/type"
GROUP_LABEL = "apps.kubeedge.io/belonging-to"
WORKER_LABELS = ("openyurt.io/is-edge-worker", "node.openyurt.io/is-edge-worker", "alibabacloud.com/is-edge-worker")
_INSTANCE_TYPE = "node.kubernetes.io/instance-type"
_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")

Platform = Literal["", "kubernetes", "k3s", "kubeedge", "openyurt"]


class EdgeIdentity(NamedTuple):
    """Whether a node is an edge node, its site (empty where no label names one), and the platform its labels are of.

    ``platform`` is empty where no label tells it from a cloud node.
    """

    edge: bool
    site: str = ""
    platform: Platform = ""


def edge_identity(labels: Mapping[str, str]) -> EdgeIdentity:
    """Return what a node's labels say of edge, site and platform.

    A control plane is never an edge node, unless its role says edge as well: k3s sites of one machine are both.
    """
    site = labels.get(SITE_LABEL) or labels.get(POOL_LABEL) or labels.get(GROUP_LABEL, "")
    worker = next((labels[key].lower() for key in WORKER_LABELS if key in labels), "")
    pool = labels.get(POOL_TYPE_LABEL, "").lower()
    if worker or pool or POOL_LABEL in labels:
        said = worker if worker in ("true", "false") else {"edge": "true", "cloud": "false"}.get(pool, "")
        # A pool that tells no type is an edge pool: that is OpenYurt's own default.
        return EdgeIdentity(EDGE_ROLE in labels or said != "false", site, "openyurt")
    platform: Platform = "k3s" if labels.get(_INSTANCE_TYPE) == "k3s" else ""
    if EDGE_ROLE in labels:
        grouped = AGENT_ROLE in labels or GROUP_LABEL in labels
        return EdgeIdentity(True, site, platform or ("kubeedge" if grouped else "kubernetes"))
    if not site or any(key in labels for key in _CONTROL_PLANE):
        return EdgeIdentity(False, site, platform)
    # k3s names no role for agents, and AKS calls its cloud nodes agents: only a site beside it makes one an edge node.
    return EdgeIdentity(platform == "k3s" or AGENT_ROLE in labels, site, platform or "kubernetes")


TABLE: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "any",
        "–",
        f"`{SITE_LABEL}`",
        "our own label; it outweighs a pool's name",
        "this platform",
    ),
    (
        "Kubernetes",
        f"`{EDGE_ROLE}`",
        f"`{SITE_LABEL}`",
        f"`{AGENT_ROLE}` counts only beside a site: AKS gives it to cloud nodes",
        "Kubernetes well-known labels (a role is any suffix)",
    ),
    (
        "k3s",
        f"`{_INSTANCE_TYPE}=k3s` with a site, or `{EDGE_ROLE}`",
        f"`{SITE_LABEL}`, set with `--node-label`",
        "agents have no role label; a control plane is edge only where its role says so",
        "k3s: labels of a registered node, `--node-label`",
    ),
    (
        "KubeEdge",
        f"`{EDGE_ROLE}` (and `{AGENT_ROLE}`)",
        f"`{SITE_LABEL}`, else `{GROUP_LABEL}`",
        "edgecore registers the node with both roles; the controller of NodeGroups writes the group",
        "KubeEdge: `kubectl get nodes` shows the roles agent,edge; NodeGroup of apps.kubeedge.io/v1alpha1",
    ),
    (
        "OpenYurt",
        f"`openyurt.io/is-edge-worker=true`, else `{POOL_TYPE_LABEL}=edge`, else `{POOL_LABEL}`",
        f"`{SITE_LABEL}`, else `{POOL_LABEL}`",
        "`is-edge-worker=false` or a pool of type `cloud` is a cloud node, whatever its pool; ACK Edge writes "
        "`alibabacloud.com/is-edge-worker`",
        "OpenYurt 1.7 NodePool; ACK Edge FAQ",
    ),
)
"""Platform, what makes it edge, what names the site, what to mind, source: for the documentation."""


def markdown() -> str:
    """Return the table that the documentation shows."""
    head = "| platform | edge, where the node has | site | mind | source |\n|---|---|---|---|---|"
    return "\n".join((head, *(f"| {' | '.join(row)} |" for row in TABLE)))
