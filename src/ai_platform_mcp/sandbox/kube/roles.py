"""The roles that every cluster is born with (bootstrap policy), as far as people and agents meet them."""

from __future__ import annotations

from ai_platform_mcp.sandbox.kube.status import Json

_RBAC = "rbac.authorization.k8s.io/v1"
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
# What `edit` and `view` cover, by API group; the aggregated roles of the systems included.
_WORK: dict[str, list[str]] = {
    "": [
        "pods",
        "pods/log",
        "pods/eviction",
        "services",
        "configmaps",
        "persistentvolumeclaims",
        "serviceaccounts",
        "events",
    ],
    "apps": ["*"],
    "batch": ["*"],
    "autoscaling": ["*"],
    "networking.k8s.io": ["*"],
    "policy": ["*"],
    "resource.k8s.io": ["resourceclaims", "resourceclaimtemplates"],
    "kueue.x-k8s.io": ["workloads", "localqueues"],
    "trainer.kubeflow.org": ["*"],
    "serving.kserve.io": ["*"],
    "ray.io": ["*"],
    "argoproj.io": ["*"],
    "serving.knative.dev": ["*"],
    "edge.aiplatform.dev": ["*"],
    "serving.aiplatform.dev": ["*"],
}


def _rules(verbs: list[str], more: list[str]) -> list[Json]:
    return [
        {"apiGroups": [group], "resources": [*names, *(more if group == "" else [])], "verbs": verbs}
        for group, names in _WORK.items()
    ]


def _role(name: str, rules: list[Json]) -> Json:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    metadata: Json = {"name": name, "labels": labels}
    return {"apiVersion": _RBAC, "kind": "ClusterRole", "metadata": metadata, "rules": rules}


def _binding(name: str, role: str, groups: list[str]) -> Json:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": _RBAC,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "Group", "apiGroup": group, "name": entry} for entry in groups],
    }


_EVERYTHING: list[Json] = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]
_REVIEWS = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
_BASIC: list[Json] = [
    {"apiGroups": ["authorization.k8s.io"], "resources": _REVIEWS, "verbs": ["create"]},
    {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
]
_PATHS = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version"]
_DISCOVERY: list[Json] = [{"nonResourceURLs": [*_PATHS, "/version/"], "verbs": ["get"]}]
_OWN_ROLES: Json = {
    "apiGroups": ["rbac.authorization.k8s.io"],
    "resources": ["roles", "rolebindings"],
    "verbs": _READ + _WRITE,
}

BOOTSTRAP_ROLES: list[Json] = [
    _role("cluster-admin", _EVERYTHING),
    _role("admin", [*_rules(_READ + _WRITE, ["secrets"]), _OWN_ROLES]),
    _role("edit", _rules(_READ + _WRITE, ["secrets"])),
    _role("view", _rules(_READ, [])),
    _role("system:basic-user", _BASIC),
    _role("system:discovery", _DISCOVERY),
    _binding("cluster-admin", "cluster-admin", ["system:masters"]),
    _binding("system:basic-user", "system:basic-user", ["system:authenticated"]),
    _binding("system:discovery", "system:discovery", ["system:authenticated"]),
]
