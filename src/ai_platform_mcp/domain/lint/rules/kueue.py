"""Kueue's own objects: versions, renamed fields, and quotas that cannot work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Subject
from ai_platform_mcp.domain.objects import rows, section

GROUP = "kueue.x-k8s.io"
OLD = ("v1alpha1", "v1beta1")
KINDS = (
    "AdmissionCheck", "ClusterQueue", "Cohort", "LocalQueue", "MultiKueueCluster", "MultiKueueConfig",
    "ProvisioningRequestConfig", "ResourceFlavor", "Topology", "Workload", "WorkloadPriorityClass",
)  # fmt: skip
ALL = tuple(f"{GROUP}/{kind}" for kind in KINDS)
QUEUE = f"{GROUP}/ClusterQueue"
LOST = {
    "Workload": ("priorityClassName", "priorityClassSource"),
    "AdmissionCheck": ("retryDelayMinutes",),
    "MultiKueueCluster": ("clusterProfileRef",),
}
"""Fields that v1beta2 has no plain successor for: what they meant has to be decided by a person."""


def _renames(subject: Subject) -> tuple[Edit, ...]:
    """Return the edits that carry the fields of v1beta1 over to v1beta2."""
    spec = subject.spec
    if subject.kind == "ClusterQueue":
        return (*_cohort(spec), *_checks(spec), *_fungibility(spec))
    if subject.kind == "MultiKueueCluster" and "kubeConfig" in spec:
        return (Edit(op="move", path="/spec/kubeConfig", to="/spec/clusterSource/kubeConfig"),)
    if subject.kind == "Cohort" and "parent" in spec:
        return (Edit(op="rename", path="/spec/parent", to="parentName"),)
    return ()


def _cohort(spec: dict[str, object]) -> tuple[Edit, ...]:
    if "cohort" in spec and "cohortName" not in spec:
        return (Edit(op="rename", path="/spec/cohort", to="cohortName"),)
    return ()


def _checks(spec: dict[str, object]) -> tuple[Edit, ...]:
    names = spec.get("admissionChecks")
    if not isinstance(names, list) or "admissionChecksStrategy" in spec:
        return ()
    listed = [{"name": str(name)} for name in names]  # pyright: ignore[reportUnknownArgumentType]  # any JSON
    return (
        Edit(op="remove", path="/spec/admissionChecks"),
        Edit(op="set", path="/spec/admissionChecksStrategy", value={"admissionChecks": listed}),
    )


def _fungibility(spec: dict[str, object]) -> tuple[Edit, ...]:
    chosen = section(spec, "flavorFungibility")
    return tuple(
        Edit(op="set", path=f"/spec/flavorFungibility/{key}", value="MayStopSearch")
        for key, old in (("whenCanBorrow", "Borrow"), ("whenCanPreempt", "Preempt"))
        if chosen.get(key) == old
    )


@rule(
    "kueue.old-version",
    "warning",
    "Kueue object in v1beta1 or older",
    source="Kueue 0.16: v1beta2 is the storage version, v1beta1 is deprecated",
    fix="certain",
    kinds=ALL,
)
def old_version(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find objects in a version that newer ones replace, where the target serves the newer one."""
    if subject.version not in OLD or around.lacks(f"{GROUP}/v1beta2", subject.kind):
        return
    lost = [key for key in LOST.get(subject.kind, ()) if key in subject.spec]
    yield Hit(
        path="/apiVersion",
        message=f"{subject.version} is deprecated. Without Kueue's webhook a write in it loses the fields that were renamed, "
        "such as the cohort.",
        remedy="Write apiVersion: kueue.x-k8s.io/v1beta2 and rename what it renamed"
        + (f"; {', '.join(lost)} has no plain successor." if lost else "."),
        edits=(Edit(op="set", path="/apiVersion", value=f"{GROUP}/v1beta2"), *_renames(subject)),
        certain=not lost,
    )


@rule(
    "kueue.cohort-renamed",
    "error",
    "ClusterQueue with spec.cohort in v1beta2, where it is spec.cohortName",
    source="Kueue v1beta2 CRD: unknown field spec.cohort",
    fix="certain",
    kinds=(QUEUE,),
)
def cohort_renamed(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the old name of the cohort in the new version."""
    if subject.version == "v1beta2" and "cohort" in subject.spec:
        yield Hit(
            path="/spec/cohort",
            message="v1beta2 does not know spec.cohort: strict validation refuses it, any other write drops it and the queue "
            "borrows from nobody.",
            remedy="Rename it to spec.cohortName.",
            edits=_cohort(subject.spec),
        )


@rule(
    "kueue.admission-checks-moved",
    "error",
    "ClusterQueue with spec.admissionChecks in v1beta2",
    source="Kueue v1beta2 CRD: only spec.admissionChecksStrategy",
    fix="certain",
    kinds=(QUEUE,),
)
def admission_checks_moved(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the old list of admission checks in the new version."""
    if subject.version == "v1beta2" and "admissionChecks" in subject.spec:
        yield Hit(
            path="/spec/admissionChecks",
            message="v1beta2 does not know spec.admissionChecks: without it workloads are admitted unchecked.",
            remedy="Write spec.admissionChecksStrategy.admissionChecks: [{name: …}].",
            edits=_checks(subject.spec),
        )


@rule(
    "kueue.fungibility-values",
    "error",
    "flavorFungibility with the values Borrow or Preempt in v1beta2",
    source="Kueue v1beta2 CRD: MayStopSearch, TryNextFlavor",
    fix="certain",
    kinds=(QUEUE,),
)
def fungibility_values(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the old names of the values in the new version."""
    if subject.version != "v1beta2":
        return
    for edit in _fungibility(subject.spec):
        yield Hit(
            path=edit.path,
            message="The value is none of v1beta2's and the object is refused.",
            remedy="Write MayStopSearch, which means the same.",
            edits=(edit,),
        )


@rule(
    "kueue.resource-twice",
    "error",
    "ClusterQueue that covers a resource or names a flavor in two resource groups",
    source="Kueue ClusterQueue: a resource and a flavor belong to one resource group",
    fix="none",
    kinds=(QUEUE,),
)
def resource_twice(subject: Subject, around: Around) -> Iterable[Hit]:
    """Count resources and flavors over all groups."""
    groups = rows(subject.spec, "resourceGroups")
    covered = Counter(str(name) for group in groups for name in group.get("coveredResources") or [])
    flavors = Counter(str(flavor.get("name")) for group in groups for flavor in rows(group, "flavors"))
    for what, counted in (("resource", covered), ("flavor", flavors)):
        for name in sorted(name for name, count in counted.items() if count > 1):
            yield Hit(
                path="/spec/resourceGroups",
                message=f"The {what} {name} stands in more than one place, and Kueue refuses the queue.",
                remedy=f"Give {name} one resource group; put flavors that share resources into the same one.",
            )


@rule(
    "kueue.flavor-coverage",
    "error",
    "flavor whose resources are not the coveredResources of its group, in their order",
    source="Kueue ClusterQueue CRD (CEL) and webhook",
    fix="suggested",
    kinds=(QUEUE,),
)
def flavor_coverage(subject: Subject, around: Around) -> Iterable[Hit]:
    """Compare each flavor's resources with what its group covers."""
    for place, group in enumerate(rows(subject.spec, "resourceGroups")):
        covered = [str(name) for name in group.get("coveredResources") or []]
        for index, flavor in enumerate(rows(group, "flavors")):
            named = [str(row.get("name")) for row in rows(flavor, "resources")]
            if named != covered:
                missing = [name for name in covered if name not in named]
                why = f"misses {', '.join(missing)}" if missing else f"lists {', '.join(named)}"
                yield Hit(
                    path=f"/spec/resourceGroups/{place}/flavors/{index}/resources",
                    message=f"Flavor {flavor.get('name')} {why}, its group covers {', '.join(covered)}: Kueue refuses the queue.",
                    remedy="Give every flavor of the group a quota for each covered resource, in the same order.",
                )


@rule(
    "kueue.borrowing-without-cohort",
    "error",
    "borrowingLimit in a ClusterQueue without a cohort",
    source="Kueue ClusterQueue CRD (CEL): borrowingLimit must be nil when cohort is empty",
    fix="suggested",
    kinds=(QUEUE,),
)
def borrowing_without_cohort(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find limits of what could be borrowed from nobody."""
    if subject.spec.get("cohort") or subject.spec.get("cohortName"):
        return
    for path in _quotas_with(subject, "borrowingLimit"):
        yield Hit(
            path=path,
            message="There is no cohort to borrow from, and the API server refuses the queue.",
            remedy="Name the cohort in spec.cohortName, or leave borrowingLimit out.",
        )


def _quotas_with(subject: Subject, key: str) -> Iterator[str]:
    for a, group in enumerate(rows(subject.spec, "resourceGroups")):
        for b, flavor in enumerate(rows(group, "flavors")):
            for c, quota in enumerate(rows(flavor, "resources")):
                if quota.get(key) is not None:
                    yield f"/spec/resourceGroups/{a}/flavors/{b}/resources/{c}/{key}"


@rule(
    "kueue.no-namespace-selector",
    "warning",
    "ClusterQueue without namespaceSelector, which admits no namespace",
    source="Kueue ClusterQueue CRD: null selects nothing, {} everything",
    fix="suggested",
    kinds=(QUEUE,),
)
def no_namespace_selector(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find queues that nothing can be submitted to."""
    if subject.spec.get("namespaceSelector") is None:
        yield Hit(
            path="/spec",
            message="A queue without namespaceSelector selects no namespace: every workload stays pending.",
            remedy="Write namespaceSelector: {} for all namespaces, or matchLabels for those of some teams.",
        )
