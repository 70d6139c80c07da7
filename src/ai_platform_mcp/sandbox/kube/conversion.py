"""The same object in another version: what the conversion webhooks of the systems do.

Where no rule is written here two versions differ only in `apiVersion`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ai_platform_mcp.sandbox.kube.objects import private
from ai_platform_mcp.sandbox.kube.status import Json

Rule: TypeAlias = Callable[[Json], None]


def converted(bucket: str, obj: Json, api_version: str) -> Json:
    """`obj` in `api_version`; the same object when it is in it already."""
    have = obj.get("apiVersion", "")
    if have == api_version:
        return obj
    rule = _RULES.get((bucket, have, api_version))
    result = private(obj) if rule else dict(obj)
    if rule:
        rule(result)
    result["apiVersion"] = api_version
    return result


def _move(holder: Any, old: str, new: str, change: Callable[[Any], Any] = lambda value: value) -> None:
    if isinstance(holder, dict) and old in holder:
        holder[new] = change(holder.pop(old))


# Kueue v1beta1 <-> v1beta2 (apis/kueue/v1beta1/*_conversion.go of the 0.19 line, by field).
_TO_BETA2 = {"Borrow": "MayStopSearch", "Preempt": "MayStopSearch"}
_TO_BETA1 = {"whenCanBorrow": "Borrow", "whenCanPreempt": "Preempt"}


def _queue_up(obj: Json) -> None:
    spec = obj.get("spec") or {}
    _move(spec, "cohort", "cohortName")
    checks = spec.pop("admissionChecks", None)
    if checks:
        spec["admissionChecksStrategy"] = {"admissionChecks": [{"name": name} for name in checks]}
    fungibility = spec.get("flavorFungibility") or {}
    for field, value in fungibility.items():
        fungibility[field] = _TO_BETA2.get(value, value)
    (obj.get("status") or {}).pop("pendingWorkloadsStatus", None)


def _queue_down(obj: Json) -> None:
    spec = obj.get("spec") or {}
    _move(spec, "cohortName", "cohort")
    fungibility = spec.get("flavorFungibility") or {}
    for field, old in _TO_BETA1.items():
        if fungibility.get(field) == "MayStopSearch":
            fungibility[field] = old


def _local_up(obj: Json) -> None:
    status = obj.get("status") or {}
    status.pop("flavors", None)
    _move(status, "flavorUsage", "flavorsUsage")


def _local_down(obj: Json) -> None:
    _move(obj.get("status"), "flavorsUsage", "flavorUsage")


_PRIORITY_GROUPS = {
    "kueue.x-k8s.io/workloadpriorityclass": ("kueue.x-k8s.io", "WorkloadPriorityClass"),
    "scheduling.k8s.io/priorityclass": ("scheduling.k8s.io", "PriorityClass"),
}


def _workload_up(obj: Json) -> None:
    spec = obj.get("spec") or {}
    name, source = spec.pop("priorityClassName", None), spec.pop("priorityClassSource", None)
    if name and source in _PRIORITY_GROUPS:
        group, kind = _PRIORITY_GROUPS[source]
        spec["priorityClassRef"] = {"group": group, "kind": kind, "name": name}


def _workload_down(obj: Json) -> None:
    spec = obj.get("spec") or {}
    if reference := spec.pop("priorityClassRef", None):
        spec["priorityClassName"] = reference.get("name", "")
        wanted = (reference.get("group"), reference.get("kind"))
        spec["priorityClassSource"] = next((key for key, value in _PRIORITY_GROUPS.items() if value == wanted), "")


# core/v1 Event <-> events.k8s.io/v1 Event (pkg/apis/events/v1/conversion.go).
_EVENT_FIELDS = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}


def _event_up(obj: Json) -> None:
    for core, grouped in _EVENT_FIELDS.items():
        _move(obj, core, grouped)


def _event_down(obj: Json) -> None:
    for core, grouped in _EVENT_FIELDS.items():
        _move(obj, grouped, core)
    obj.setdefault("involvedObject", {})


_BETA1, _BETA2 = "kueue.x-k8s.io/v1beta1", "kueue.x-k8s.io/v1beta2"
_RULES: dict[tuple[str, str, str], Rule] = {
    ("clusterqueues.kueue.x-k8s.io", _BETA1, _BETA2): _queue_up,
    ("clusterqueues.kueue.x-k8s.io", _BETA2, _BETA1): _queue_down,
    ("localqueues.kueue.x-k8s.io", _BETA1, _BETA2): _local_up,
    ("localqueues.kueue.x-k8s.io", _BETA2, _BETA1): _local_down,
    ("workloads.kueue.x-k8s.io", _BETA1, _BETA2): _workload_up,
    ("workloads.kueue.x-k8s.io", _BETA2, _BETA1): _workload_down,
    ("events", "v1", "events.k8s.io/v1"): _event_up,
    ("events", "events.k8s.io/v1", "v1"): _event_down,
}
