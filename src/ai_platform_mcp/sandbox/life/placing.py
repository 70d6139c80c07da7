"""The scheduler and the kubelet of small pods: on which nodes a pod may be, and how it looks once it is there."""

from __future__ import annotations

from collections.abc import Sequence

from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.life.world import Json, World, holds, labels_of, owner

HOSTNAME = "kubernetes.io/hostname"


def ready(node: Json) -> bool:
    """Whether the node's Ready condition is True."""
    return holds(node, "Ready")


class Placement:
    """Where the pods of a template may be, read once for all nodes: node selector, required affinity, tolerations."""

    def __init__(self, template: Json, tolerations: Sequence[Json] = ()):
        spec: Json = template.get("spec") or {}
        self._labels: dict[str, str] = spec.get("nodeSelector") or {}
        affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
            "requiredDuringSchedulingIgnoredDuringExecution"
        ) or {}
        terms: list[Json] = affinity.get("nodeSelectorTerms") or []
        self._terms = [[_Expression(row) for row in term.get("matchExpressions") or []] for term in terms]
        self._tolerations = [*tolerations, *(spec.get("tolerations") or [])]

    def fits(self, node: Json) -> bool:
        """Whether the node is wanted by selector and affinity, and its hard taints are tolerated."""
        labels = labels_of(node)
        if any(labels.get(key) != value for key, value in self._labels.items()):
            return False
        if self._terms and not any(all(row.holds(labels) for row in term) for term in self._terms):
            return False
        taints: list[Json] = (node.get("spec") or {}).get("taints") or []
        hard = [taint for taint in taints if taint["effect"] in ("NoSchedule", "NoExecute")]
        return all(any(_tolerates(row, taint) for row in self._tolerations) for taint in hard)


class _Expression:
    """One requirement on a label (NodeSelectorRequirement)."""

    def __init__(self, row: Json):
        self._key: str = row["key"]
        self._operator: str = row["operator"]
        self._values = frozenset[str](row.get("values") or ())

    def holds(self, labels: dict[str, str]) -> bool:
        value = labels.get(self._key)
        match self._operator:
            case "In":
                return value in self._values
            case "NotIn":
                return value not in self._values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "Gt" | "Lt":
                limit = int(next(iter(self._values)))
                told = value is not None and value.lstrip("-").isdigit()
                return told and (int(value or 0) > limit if self._operator == "Gt" else int(value or 0) < limit)
            case _:
                return False


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))


def pod_of(parent: Json, name: str, node: Json, template: Json) -> Json:
    """Return a pod as its owner makes it and the scheduler places it; nothing has run yet."""
    told = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **{key: value for key, value in told.items() if key in ("labels", "annotations")},
            "name": name,
            "namespace": parent["metadata"]["namespace"],
            "ownerReferences": [owner(parent)],
        },
        "spec": {**template["spec"], "nodeName": node["metadata"]["name"]},
    }


def at_once(world: World, pod: Json) -> Json:
    """Return the pod with the status it has when everything in it is there at once."""
    now = stamp(world.now())
    statuses = [
        {
            "name": row["name"],
            "image": row.get("image", ""),
            "imageID": "",
            "ready": True,
            "restartCount": 0,
            "started": True,
            "state": {"running": {"startedAt": now}},
        }
        for row in pod["spec"]["containers"]
    ]
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": now}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    status = {"phase": "Running", "startTime": now, "conditions": conditions, "containerStatuses": statuses}
    return {**pod, "status": status}
