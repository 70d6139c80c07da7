"""What is served: one line per kind, and the registry that also holds what CustomResourceDefinitions add."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ai_platform_mcp.sandbox.kube.objects import dig
from ai_platform_mcp.sandbox.kube.status import Json, bad_request

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
REVIEW_VERBS = ("create",)


@dataclass(frozen=True)
class Resource:
    """One kind in one served version."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    singular: str = ""
    storage: str = ""
    """`group/version` (or `v1`) in which objects are kept."""
    store_as: str = ""
    """Bucket shared with another group's view of the same objects (Event)."""
    custom: Json | None = field(default=None, compare=False)
    """The CustomResourceDefinition behind it; None for built-in kinds."""
    deprecated: str | None = None
    """The Warning that every request in this version gets."""
    verbs: tuple[str, ...] = ALL_VERBS

    @property
    def api_version(self) -> str:
        """`group/version`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`plural.group`, as messages name a resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def bucket(self) -> str:
        """Where its objects are kept, whichever version they are asked for in."""
        return self.store_as or self.qualified

    @property
    def has_status(self) -> bool:
        """Whether status is written only through its subresource."""
        return "status" in self.subresources


# group/version plural Kind shortNames scope(N|C) subresources categories; "-" is none.
_BUILT_IN = """
v1 namespaces Namespace ns C status -
v1 nodes Node no C status -
v1 pods Pod po N status,eviction,binding,log all
v1 services Service svc N status all
v1 configmaps ConfigMap cm N - -
v1 secrets Secret - N - -
v1 serviceaccounts ServiceAccount sa N token -
v1 events Event ev N - -
v1 persistentvolumeclaims PersistentVolumeClaim pvc N status -
v1 persistentvolumes PersistentVolume pv C status -
v1 resourcequotas ResourceQuota quota N status -
v1 limitranges LimitRange limits N - -
v1 endpoints Endpoints ep N - -
apps/v1 deployments Deployment deploy N status,scale all
apps/v1 daemonsets DaemonSet ds N status all
apps/v1 statefulsets StatefulSet sts N status,scale all
apps/v1 replicasets ReplicaSet rs N status,scale all
apps/v1 controllerrevisions ControllerRevision - N - -
batch/v1 jobs Job - N status all
batch/v1 cronjobs CronJob cj N status all
policy/v1 poddisruptionbudgets PodDisruptionBudget pdb N status -
events.k8s.io/v1 events Event ev N - -
coordination.k8s.io/v1 leases Lease - N - -
discovery.k8s.io/v1 endpointslices EndpointSlice - N - -
rbac.authorization.k8s.io/v1 roles Role - N - -
rbac.authorization.k8s.io/v1 rolebindings RoleBinding - N - -
rbac.authorization.k8s.io/v1 clusterroles ClusterRole - C - -
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding - C - -
storage.k8s.io/v1 storageclasses StorageClass sc C - -
scheduling.k8s.io/v1 priorityclasses PriorityClass pc C - -
networking.k8s.io/v1 ingresses Ingress ing N status -
networking.k8s.io/v1 networkpolicies NetworkPolicy netpol N - -
autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler hpa N status all
resource.k8s.io/v1 deviceclasses DeviceClass - C - -
resource.k8s.io/v1 resourceclaims ResourceClaim - N status -
resource.k8s.io/v1 resourceclaimtemplates ResourceClaimTemplate - N - -
resource.k8s.io/v1 resourceslices ResourceSlice - C - -
apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition crd,crds C status api-extensions
admissionregistration.k8s.io/v1 validatingadmissionpolicies ValidatingAdmissionPolicy - C status api-extensions
admissionregistration.k8s.io/v1 validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding - C - api-extensions
"""

# Kinds that answer a question and keep nothing.
_REVIEWS = """
authentication.k8s.io/v1 tokenreviews TokenReview C
authentication.k8s.io/v1 selfsubjectreviews SelfSubjectReview C
authorization.k8s.io/v1 selfsubjectaccessreviews SelfSubjectAccessReview C
authorization.k8s.io/v1 selfsubjectrulesreviews SelfSubjectRulesReview C
authorization.k8s.io/v1 subjectaccessreviews SubjectAccessReview C
authorization.k8s.io/v1 localsubjectaccessreviews LocalSubjectAccessReview N
"""


def _split(text: str) -> tuple[str, ...]:
    return () if text == "-" else tuple(text.split(","))


def split_api_version(api_version: str) -> tuple[str, str]:
    """`apps/v1` is (`apps`, `v1`); `v1` is (``, `v1`)."""
    group, _, version = api_version.rpartition("/")
    return group, version


def built_in() -> Iterator[Resource]:
    """Every kind that is served without a CustomResourceDefinition."""
    for line in _BUILT_IN.strip().splitlines():
        api_version, plural, kind, short, scope, subresources, categories = line.split()
        group, version = split_api_version(api_version)
        resource = Resource(group, version, plural, kind, scope == "N", _split(short))
        resource = replace(resource, subresources=_split(subresources), categories=_split(categories))
        store_as, storage = ("events", "v1") if kind == "Event" else ("", api_version)
        yield replace(resource, singular=kind.lower(), storage=storage, store_as=store_as)
    for line in _REVIEWS.strip().splitlines():
        api_version, plural, kind, scope = line.split()
        group, version = split_api_version(api_version)
        yield Resource(group, version, plural, kind, scope == "N", singular=kind.lower(), verbs=REVIEW_VERBS)


def custom(crd: Json) -> Iterator[Resource]:
    """What one CustomResourceDefinition serves: a resource per served version."""
    spec = crd["spec"]
    names = spec["names"]
    stored = next(entry["name"] for entry in spec["versions"] if entry.get("storage"))
    for entry in spec["versions"]:
        if not entry.get("served"):
            continue
        deprecated = None
        if entry.get("deprecated"):
            default = f"{spec['group']}/{entry['name']} {names['kind']} is deprecated"
            deprecated = entry.get("deprecationWarning") or default
        yield Resource(
            group=spec["group"],
            version=entry["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            short_names=tuple(names.get("shortNames") or ()),
            subresources=tuple(entry.get("subresources") or {}),
            categories=tuple(names.get("categories") or ()),
            singular=names.get("singular") or names["kind"].lower(),
            storage=f"{spec['group']}/{stored}",
            custom=crd,
            deprecated=deprecated,
        )


def crd_version(resource: Resource) -> Json:
    """The entry of `spec.versions` that this resource is served from; empty for built-in kinds."""
    versions = dig(resource.custom, "spec", "versions", default=[])
    return next((entry for entry in versions if entry["name"] == resource.version), {})


class Registry:
    """The kinds served now; `generation` moves whenever that changes."""

    def __init__(self) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        self.generation = 0
        self.add(built_in())

    def add(self, resources: Iterable[Resource]) -> None:
        """Serve these too."""
        for resource in resources:
            self._by_path[(resource.group, resource.version, resource.plural)] = resource
            self._by_kind[(resource.api_version, resource.kind)] = resource
        self.generation += 1

    def remove_custom(self, group: str, plural: str) -> None:
        """Serve this custom resource no longer, in any version."""
        for key in [key for key in self._by_path if key[0] == group and key[2] == plural]:
            gone = self._by_path.pop(key)
            self._by_kind.pop((gone.api_version, gone.kind), None)
        self.generation += 1

    def at(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource behind a URL path."""
        return self._by_path.get((group, version, plural))

    def kind(self, api_version: str, kind: str) -> Resource:
        """The resource of an object; raises BadRequest when nothing serves it."""
        found = self._by_kind.get((api_version, kind))
        if found is None:
            raise bad_request(f'no matches for kind "{kind}" in version "{api_version}"')
        return found

    def stored(self, bucket: str) -> Resource | None:
        """The resource in whose version a bucket's objects are kept."""
        fits = (entry for entry in self if entry.bucket == bucket and entry.api_version == entry.storage)
        return next(fits, None)

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._by_path.values()))

    def groups(self) -> dict[str, list[str]]:
        """Group name to its served versions, most stable first (v1 before v1beta2 before v1beta1)."""
        found: dict[str, set[str]] = {}
        for resource in self:
            found.setdefault(resource.group, set()).add(resource.version)
        return {group: sorted(versions, key=_priority, reverse=True) for group, versions in found.items()}


def _priority(version: str) -> tuple[int, int, int]:
    """Kubernetes' version priority: GA over beta over alpha, then the larger numbers."""
    for rank, word in enumerate(("alpha", "beta")):
        if word in version:
            major, _, minor = version[1:].partition(word)
            return (rank, int(major or 0), int(minor or 0))
    return (2, int(version[1:] or 0), 0)
