"""PodDisruptionBudgets: how many pods of a set may go away now."""

from __future__ import annotations

import math

from ai_platform_mcp.sandbox.kube.objects import condition, dig, labels_of, meta
from ai_platform_mcp.sandbox.kube.selectors import matches_selector
from ai_platform_mcp.sandbox.kube.status import ApiError, Json
from ai_platform_mcp.sandbox.kube.storage import Storage

PDBS = "poddisruptionbudgets.policy"
_OWNERS = {"ReplicaSet": "replicasets.apps", "StatefulSet": "statefulsets.apps"}


def budget_status(storage: Storage, budget: Json) -> Json:
    """The status that the disruption controller would write today."""
    namespace = meta(budget)["namespace"]
    bucket = storage.bucket("pods")
    selector = dig(budget, "spec", "selector")
    pods = [
        pod
        for pod in (bucket.objects[key] for key in bucket.span(namespace))
        if matches_selector(selector, labels_of(pod)) and dig(pod, "status", "phase") not in ("Succeeded", "Failed")
    ]
    healthy = sum(condition(pod, "Ready") == "True" and not meta(pod).get("deletionTimestamp") for pod in pods)
    expected = _expected(storage, pods)
    spec = budget.get("spec") or {}
    if "maxUnavailable" in spec:
        desired = max(0, expected - _share(spec["maxUnavailable"], expected))
    else:
        desired = _share(spec.get("minAvailable", 1), expected)
    allowed = max(0, healthy - desired)
    return {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": allowed,
        "expectedPods": expected,
        "observedGeneration": meta(budget).get("generation", 1),
    }


def _expected(storage: Storage, pods: list[Json]) -> int:
    """Pods that should be: the sum of what their owners want, or as many as there are where nobody says."""
    wanted: dict[str, int] = {}
    loose = 0
    for pod in pods:
        owner = next((entry for entry in meta(pod).get("ownerReferences") or [] if entry.get("controller")), None)
        home = storage.lookup(owner["uid"]) if owner and owner.get("kind") in _OWNERS else None
        if home is None:
            loose += 1
        else:
            wanted[meta(home)["uid"]] = int(dig(home, "spec", "replicas", default=1))
    return loose + sum(wanted.values())


def _share(value: int | str, total: int) -> int:
    """A number, or a percentage rounded up (as the real controller does for both fields)."""
    if isinstance(value, str) and value.endswith("%"):
        return math.ceil(int(value[:-1]) * total / 100)
    return int(value)


def check_eviction(storage: Storage, pod: Json) -> None:
    """Raises TooManyRequests while a budget forbids that this pod goes."""
    if dig(pod, "status", "phase") in ("Pending", "Succeeded", "Failed") or meta(pod).get("deletionTimestamp"):
        return
    bucket = storage.bucket(PDBS)
    budgets = [
        budget
        for budget in (bucket.objects[key] for key in bucket.span(meta(pod)["namespace"]))
        if matches_selector(dig(budget, "spec", "selector"), labels_of(pod))
    ]
    if len(budgets) > 1:
        message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise ApiError(500, "InternalError", message)
    for budget in budgets:
        status = budget_status(storage, budget)
        always = dig(budget, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow"
        if condition(pod, "Ready") != "True" and (always or status["currentHealthy"] >= status["desiredHealthy"] > 0):
            continue
        if status["disruptionsAllowed"] <= 0:
            raise _refused(meta(budget)["name"], status)


def _refused(name: str, status: Json) -> ApiError:
    needs, has = status["desiredHealthy"], status["currentHealthy"]
    text = f"The disruption budget {name} needs {needs} healthy pods and has {has} currently"
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    details = {"causes": [{"reason": "DisruptionBudget", "message": text}]}
    return ApiError(429, "TooManyRequests", message, details=details)
