"""Values that the server fills in where a field depends on others or a whole block is missing (`SetDefaults_*`).

Plain constants are in the schemas; here is what those cannot say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ai_platform_mcp.sandbox.kube.objects import dig, labels_of, meta
from ai_platform_mcp.sandbox.kube.status import Json


def fill(into: Json, wanted: Json) -> None:
    """Set what is absent, going into blocks that are present."""
    for key, value in wanted.items():
        if key not in into or into[key] is None:
            into[key] = {**value} if isinstance(value, dict) else value
        elif isinstance(value, dict) and isinstance(into[key], dict):
            fill(into[key], value)


def _image_policy(image: str) -> str:
    """Always for `latest` and untagged images, else IfNotPresent; a digest counts as a tag."""
    last = image.rpartition("/")[2]
    tag = last.partition("@")[2] or last.partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def pod_spec(spec: Json) -> None:
    """What every pod and pod template gets."""
    fill(spec, {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"})
    fill(spec, {"terminationGracePeriodSeconds": 30, "securityContext": {}})
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        if not isinstance(container, dict):
            continue
        fill(container, {"resources": {}, "imagePullPolicy": _image_policy(str(container.get("image", "")))})
        limits = dig(container, "resources", "limits", default={}) or {}
        if isinstance(limits, dict) and limits:
            fill(container, {"resources": {"requests": dict(limits)}})
    if "serviceAccountName" in spec:
        fill(spec, {"serviceAccount": spec["serviceAccountName"]})


_ROLLING: Json = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}


def _deployment(obj: Json) -> None:
    spec = obj["spec"]
    if dig(spec, "strategy", "type") != "Recreate":
        fill(spec, {"strategy": _ROLLING})


def _daemon_set(obj: Json) -> None:
    if dig(obj, "spec", "updateStrategy", "type") != "OnDelete":
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
        fill(obj["spec"], {"updateStrategy": rolling})


def _stateful_set(obj: Json) -> None:
    if dig(obj, "spec", "updateStrategy", "type") != "OnDelete":
        fill(obj["spec"], {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}})
    retention = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    fill(obj["spec"], {"persistentVolumeClaimRetentionPolicy": retention})


def _job(obj: Json) -> None:
    spec = obj["spec"]
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    fill(spec, {"parallelism": 1})
    uid = meta(obj).get("uid")
    if uid and not spec.get("manualSelector"):
        template_labels = spec.setdefault("template", {}).setdefault("metadata", {}).setdefault("labels", {})
        named = {"batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": meta(obj).get("name", "")}
        fill(template_labels, named | {"controller-uid": uid, "job-name": meta(obj).get("name", "")})
        fill(spec, {"selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}})
    if not labels_of(obj):
        meta(obj)["labels"] = dict(dig(spec, "template", "metadata", "labels", default={}))


def _service(obj: Json) -> None:
    spec = obj["spec"]
    for port in spec.get("ports") or []:
        if isinstance(port, dict) and "port" in port:
            fill(port, {"protocol": "TCP", "targetPort": port["port"]})
    if spec.get("type") != "ExternalName":
        fill(spec, {"ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})
    if spec.get("type") in ("NodePort", "LoadBalancer"):
        fill(spec, {"externalTrafficPolicy": "Cluster"})


def _autoscaler(obj: Json) -> None:
    fill(obj["spec"], {"minReplicas": 1})


def _binding(obj: Json) -> None:
    fill(obj.get("roleRef") or {}, {"apiGroup": "rbac.authorization.k8s.io"})
    for subject in obj.get("subjects") or []:
        group = "" if subject.get("kind") == "ServiceAccount" else "rbac.authorization.k8s.io"
        if group:
            fill(subject, {"apiGroup": group})


def _policy(obj: Json) -> None:
    fill(obj["spec"], {"failurePolicy": "Fail"})
    fill(obj["spec"].setdefault("matchConstraints", {}), {"matchPolicy": "Equivalent"})


def _ingress_free(obj: Json) -> None:
    fill(obj["spec"], {"policyTypes": ["Ingress", *(["Egress"] if obj["spec"].get("egress") else [])]})


def _crd(obj: Json) -> None:
    names = obj["spec"].get("names") or {}
    if "kind" in names:
        fill(names, {"singular": names["kind"].lower(), "listKind": f"{names['kind']}List"})
    fill(obj["spec"], {"conversion": {"strategy": "None"}})


_KINDS: dict[str, Callable[[Json], None]] = {
    "deployments.apps": _deployment,
    "daemonsets.apps": _daemon_set,
    "statefulsets.apps": _stateful_set,
    "jobs.batch": _job,
    "services": _service,
    "horizontalpodautoscalers.autoscaling": _autoscaler,
    "rolebindings.rbac.authorization.k8s.io": _binding,
    "clusterrolebindings.rbac.authorization.k8s.io": _binding,
    "validatingadmissionpolicies.admissionregistration.k8s.io": _policy,
    "networkpolicies.networking.k8s.io": _ingress_free,
    "customresourcedefinitions.apiextensions.k8s.io": _crd,
}
_POD_SPECS: dict[str, tuple[str, ...]] = {
    "pods": ("spec",),
    "cronjobs.batch": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(
        ("deployments.apps", "daemonsets.apps", "statefulsets.apps", "replicasets.apps", "jobs.batch"),
        ("spec", "template", "spec"),
    ),
}


def set_defaults(bucket: str, obj: Json) -> None:
    """Fill in, in place, what depends on other fields; leaves malformed parts for validation to name."""
    if bucket in _KINDS and (isinstance(obj.get("spec"), dict) or "roleRef" in obj):
        _KINDS[bucket](obj)
    spec: Any = dig(obj, *_POD_SPECS[bucket]) if bucket in _POD_SPECS else None
    if isinstance(spec, dict):
        pod_spec(spec)
