"""What `kubectl get` shows: objects as the rows of a `meta.k8s.io/v1 Table`.

A column is `Name:path` or `Name:@function`, `+` in front for those of `-o wide` only. Custom resources bring their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from ai_platform_mcp.sandbox.kube.clock import parse_stamp
from ai_platform_mcp.sandbox.kube.objects import condition, dig, json_path, labels_of, meta, name_of
from ai_platform_mcp.sandbox.kube.resources import Resource, crd_version
from ai_platform_mcp.sandbox.kube.selectors import selector_text
from ai_platform_mcp.sandbox.kube.status import Json

_BUILT_IN = {
    "namespaces": "Status:.status.phase Age:@age",
    "nodes": "Status:@node Roles:@roles Age:@age Version:.status.nodeInfo.kubeletVersion "
    '+Internal-IP:.status.addresses[?(@.type=="InternalIP")].address +OS-Image:.status.nodeInfo.osImage '
    "+Kernel-Version:.status.nodeInfo.kernelVersion +Container-Runtime:.status.nodeInfo.containerRuntimeVersion",
    "pods": "Ready:@ready Status:@pod Restarts:@restarts Age:@age +IP:.status.podIP +Node:.spec.nodeName "
    "+Nominated_Node:.status.nominatedNodeName +Readiness_Gates:.spec.readinessGates",
    "services": "Type:.spec.type Cluster-IP:.spec.clusterIP External-IP:@external Port(s):@ports Age:@age "
    "+Selector:@selector",
    "configmaps": "Data:@data Age:@age",
    "secrets": "Type:.type Data:@data Age:@age",
    "events": "Last_Seen:@seen Type:.type Reason:.reason Object:@involved Message:.message",
    "persistentvolumeclaims": "Status:.status.phase Volume:.spec.volumeName Capacity:.status.capacity.storage Age:@age",
    "deployments.apps": "Ready:@replicas Up-to-date:@updated Available:@available Age:@age "
    "+Containers:.spec.template.spec.containers[*].name +Images:.spec.template.spec.containers[*].image +Selector:@selector",
    "replicasets.apps": "Desired:.spec.replicas Current:.status.replicas Ready:.status.readyReplicas Age:@age",
    "statefulsets.apps": "Ready:@replicas Age:@age",
    "daemonsets.apps": "Desired:.status.desiredNumberScheduled Current:.status.currentNumberScheduled "
    "Ready:.status.numberReady Up-to-date:.status.updatedNumberScheduled Available:.status.numberAvailable Age:@age",
    "jobs.batch": "Status:@job Completions:@completions Age:@age",
    "cronjobs.batch": "Schedule:.spec.schedule Suspend:.spec.suspend Last_Schedule:.status.lastScheduleTime Age:@age",
    "poddisruptionbudgets.policy": "Min_Available:.spec.minAvailable Max_Unavailable:.spec.maxUnavailable "
    "Allowed_Disruptions:.status.disruptionsAllowed Age:@age",
    "resourceclaims.resource.k8s.io": "State:@claim Age:@age",
    "leases.coordination.k8s.io": "Holder:.spec.holderIdentity Age:@age",
    "customresourcedefinitions.apiextensions.k8s.io": "Created_At:.metadata.creationTimestamp",
}
_PLAIN = "Age:@age"
_NUMBERS = {"Up-to-date", "Available", "Desired", "Current", "Data", "Allowed Disruptions"}


def age(moment: str | None, now: datetime) -> str:
    """How long ago, as kubectl shortens it (`duration.HumanDuration`)."""
    if not moment:
        return "<unknown>"
    seconds = max(0, int((now - parse_stamp(moment)).total_seconds()))
    for limit, unit, size in ((120, "s", 1), (7200, "m", 60), (172_800, "h", 3600), (63_072_000, "d", 86_400)):
        if seconds < limit:
            return f"{seconds // size}{unit}"
    return f"{seconds // 31_536_000}y"


def _pod(obj: Json) -> str:
    if meta(obj).get("deletionTimestamp"):
        return "Terminating"
    for entry in dig(obj, "status", "containerStatuses", default=[]) or []:
        reason = dig(entry, "state", "waiting", "reason") or dig(entry, "state", "terminated", "reason")
        if reason:
            return str(reason)
    return str(dig(obj, "status", "reason") or dig(obj, "status", "phase", default="Unknown"))


def _node(obj: Json) -> str:
    ready = "Ready" if condition(obj, "Ready") == "True" else "NotReady"
    return ready + (",SchedulingDisabled" if dig(obj, "spec", "unschedulable") else "")


def _roles(obj: Json) -> str:
    prefix = "node-role.kubernetes.io/"
    return ",".join(sorted(key[len(prefix) :] for key in labels_of(obj) if key.startswith(prefix))) or "<none>"


def _ready(obj: Json) -> str:
    statuses = dig(obj, "status", "containerStatuses", default=[]) or []
    return f"{sum(bool(e.get('ready')) for e in statuses)}/{len(dig(obj, 'spec', 'containers', default=[]) or [])}"


def _restarts(obj: Json) -> str:
    return str(sum(int(e.get("restartCount", 0)) for e in dig(obj, "status", "containerStatuses", default=[]) or []))


def _ports(obj: Json) -> str:
    ports = dig(obj, "spec", "ports", default=[]) or []
    return ",".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in ports) or "<none>"


def _external(obj: Json) -> str:
    found = dig(obj, "status", "loadBalancer", "ingress", default=[]) or []
    return ",".join(entry.get("ip") or entry.get("hostname", "") for entry in found) or "<none>"


def _job(obj: Json) -> str:
    for kind, text in (("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended")):
        if condition(obj, kind) == "True":
            return text
    return "Running"


def _claim(obj: Json) -> str:
    return "allocated,reserved" if dig(obj, "status", "allocation") else "pending"


_FUNCTIONS: dict[str, Callable[[Json], Any]] = {
    "pod": _pod,
    "node": _node,
    "roles": _roles,
    "ready": _ready,
    "restarts": _restarts,
    "ports": _ports,
    "external": _external,
    "job": _job,
    "claim": _claim,
    "data": lambda obj: len(obj.get("data") or {}) + len(obj.get("binaryData") or {}),
    "involved": lambda obj: (
        f"{dig(obj, 'involvedObject', 'kind', default='').lower()}/{dig(obj, 'involvedObject', 'name')}"
    ),
    "replicas": lambda obj: (
        f"{dig(obj, 'status', 'readyReplicas', default=0)}/{dig(obj, 'spec', 'replicas', default=0)}"
    ),
    "updated": lambda obj: dig(obj, "status", "updatedReplicas", default=0),
    "available": lambda obj: dig(obj, "status", "availableReplicas", default=0),
    "completions": lambda obj: (
        f"{dig(obj, 'status', 'succeeded', default=0)}/{dig(obj, 'spec', 'completions', default=1)}"
    ),
    "selector": lambda obj: _selector(dig(obj, "spec", "selector")),
}


def _selector(selector: Any) -> str:
    plain = isinstance(selector, dict) and "matchLabels" not in selector and "matchExpressions" not in selector
    return selector_text({"matchLabels": selector} if plain else selector) or "<none>"


@lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[Json, ...]:
    columns: list[Json] = []
    for word in text.split():
        name, path = word.lstrip("+").replace("_", " ").split(":", 1)
        kind = "integer" if name in _NUMBERS else "string"
        columns.append({"name": name, "path": path, "priority": int(word.startswith("+")), "type": kind})
    return tuple(columns)


def _columns(resource: Resource) -> Sequence[Json]:
    own = crd_version(resource).get("additionalPrinterColumns")
    if resource.custom is not None and own:
        return [{"priority": 0, **entry, "path": entry["jsonPath"]} for entry in own]
    return _parsed(_BUILT_IN.get(resource.bucket, _PLAIN))


def _cell(obj: Json, column: Json, now: datetime) -> Any:
    path = column["path"]
    if path == "@age":
        return age(meta(obj).get("creationTimestamp"), now)
    if path == "@seen":
        return age(obj.get("lastTimestamp") or obj.get("eventTime") or meta(obj).get("creationTimestamp"), now)
    if path.startswith("@"):
        return _FUNCTIONS[path[1:]](obj)
    found = list(json_path(obj, path))
    if not found:
        return (
            0 if column["type"] == "integer" and column["name"] in _NUMBERS else "<none>" if column["priority"] else ""
        )
    if column["type"] == "date":
        return age(str(found[0]), now)
    if len(found) > 1:
        return ",".join(map(str, found))
    value = found[0]
    return value if isinstance(value, (int, float, str)) else json.dumps(value)


def definitions(resource: Resource) -> list[Json]:
    """`columnDefinitions`: the name first, then the kind's own."""
    name = {"name": "Name", "type": "string", "format": "name", "description": "Name must be unique", "priority": 0}
    told = [
        {
            "name": c["name"],
            "type": "string" if c["type"] == "date" else c["type"],
            "format": "",
            "priority": c["priority"],
        }
        | {"description": c.get("description", c["name"])}
        for c in _columns(resource)
    ]
    return [name, *told]


def row(resource: Resource, obj: Json, now: datetime, include: str) -> Json:
    """One object as a row; `include` is None, Metadata or Object."""
    cells = [name_of(obj), *(_cell(obj, column, now) for column in _columns(resource))]
    if include == "None":
        return {"cells": cells}
    return {"cells": cells, "object": obj if include == "Object" else partial(obj)}


def partial(obj: Json) -> Json:
    """Only the metadata of an object."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj.get("metadata", {})}
