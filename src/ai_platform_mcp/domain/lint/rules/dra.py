"""Dynamic resource allocation: versions, the shape of requests, and claims that nobody uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Pod, Subject
from ai_platform_mcp.domain.objects import rows, section

GROUP = "resource.k8s.io"
CLAIMS = (f"{GROUP}/ResourceClaim", f"{GROUP}/ResourceClaimTemplate")
FLAT = ("deviceClassName", "selectors", "allocationMode", "count", "adminAccess", "tolerations", "capacity")
GPU = ("nvidia.com/gpu", "amd.com/gpu", "google.com/tpu", "gpu.intel.com/i915")


def _requests(subject: Subject) -> Iterator[tuple[str, type_json]]:
    path = "/spec/spec/devices/requests" if subject.kind == "ResourceClaimTemplate" else "/spec/devices/requests"
    inner = section(subject.spec, "spec") if subject.kind == "ResourceClaimTemplate" else subject.spec
    for place, request in enumerate(rows(inner, "devices", "requests")):
        yield f"{path}/{place}", request


def _nested(subject: Subject) -> tuple[Edit, ...]:
    """Return the edits that put each flat request under ``exactly``."""
    return tuple(
        Edit(op="move", path=f"{path}/{key}", to=f"{path}/exactly/{key}")
        for path, request in _requests(subject)
        if "deviceClassName" in request
        for key in FLAT
        if key in request
    )


@rule(
    "dra.old-version",
    "error",
    "resource.k8s.io object in an alpha or beta version",
    source="Kubernetes 1.34: resource.k8s.io/v1; v1beta1, v1beta2 and v1alpha3 are not served by default",
    fix="certain",
    kinds=(*CLAIMS, f"{GROUP}/DeviceClass"),
)
def old_version(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the versions before v1, where the target has v1."""
    if subject.version == "v1" or not around.at_least(34) or around.lacks(f"{GROUP}/v1", subject.kind):
        return
    alpha = subject.version not in ("v1beta1", "v1beta2") and subject.kind == "DeviceClass"
    yield Hit(
        path="/apiVersion",
        message=f"{subject.api_version} is not served by default: «no matches for kind {subject.kind}».",
        remedy="Write apiVersion: resource.k8s.io/v1"
        + ("; each request then stands under exactly or firstAvailable." if subject.kind != "DeviceClass" else "."),
        edits=(Edit(op="set", path="/apiVersion", value=f"{GROUP}/v1"), *_nested(subject)),
        certain=not alpha,
    )


@rule(
    "dra.flat-request",
    "error",
    "device request without exactly or firstAvailable",
    source="resource.k8s.io/v1 and v1beta2: unknown field requests[].deviceClassName",
    fix="certain",
    kinds=CLAIMS,
)
def flat_request(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find requests in the shape of v1beta1 in later versions."""
    if subject.version not in ("v1", "v1beta2"):
        return
    for path, request in _requests(subject):
        if "deviceClassName" in request:
            yield Hit(
                path=f"{path}/deviceClassName",
                message="The request is flat, as in v1beta1: strict validation refuses it.",
                remedy="Put deviceClassName, selectors, allocationMode and count under exactly "
                "(or list alternatives under firstAvailable).",
                edits=tuple(edit for edit in _nested(subject) if edit.path.startswith(f"{path}/")),
            )


@rule(
    "dra.pod-source",
    "error",
    "resourceClaims[].source in a pod",
    source="Kubernetes 1.31 (KEP-4381): unknown field spec.resourceClaims[].source",
    fix="certain",
)
def pod_source(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the level that the alpha API had."""
    for pod in subject.pods:
        for place, claim in enumerate(rows(pod.spec, "resourceClaims")):
            if "source" not in claim:
                continue
            path = f"{pod.path}/resourceClaims/{place}"
            names = [
                key for key in ("resourceClaimTemplateName", "resourceClaimName") if key in section(claim, "source")
            ]
            yield Hit(
                path=f"{path}/source",
                message="The level source went away with the alpha API: strict validation refuses the pod.",
                remedy="Write resourceClaimTemplateName (or resourceClaimName) beside name.",
                edits=tuple(Edit(op="move", path=f"{path}/source/{key}", to=f"{path}/{key}") for key in names),
                certain=len(names) == 1 and len(section(claim, "source")) == 1,
            )


def _claimed(pod: Pod) -> Iterator[tuple[str, str]]:
    for container in pod.containers():
        for place, claim in enumerate(rows(container.data, "resources", "claims")):
            yield f"{container.path}/resources/claims/{place}/name", str(claim.get("name"))


@rule(
    "dra.undeclared-claim",
    "error",
    "container that claims what its pod does not declare",
    source="Kubernetes Pod API: claims[].name must be one of the pod's resourceClaims",
    fix="none",
)
def undeclared_claim(subject: Subject, around: Around) -> Iterable[Hit]:
    """Compare the claims of containers with those of their pod."""
    for pod in subject.pods:
        declared = {str(claim.get("name")) for claim in rows(pod.spec, "resourceClaims")}
        for path, name in _claimed(pod):
            if name not in declared:
                yield Hit(
                    path=path,
                    message=f"The pod declares no resource claim {name!r}: the API server refuses it.",
                    remedy="Declare it in the pod's resourceClaims, with the ResourceClaimTemplate it comes from.",
                )


@rule(
    "dra.unused-claim",
    "warning",
    "resource claim that no container takes",
    source="Kubernetes Pod API: a container sees the devices that its resources.claims name",
    fix="none",
)
def unused_claim(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find devices that would be allocated for nobody."""
    for pod in subject.pods:
        taken = {name for _, name in _claimed(pod)}
        for place, claim in enumerate(rows(pod.spec, "resourceClaims")):
            if str(claim.get("name")) not in taken:
                yield Hit(
                    path=f"{pod.path}/resourceClaims/{place}",
                    message=f"The device of claim {claim.get('name')!r} is allocated, and no container sees it.",
                    remedy="Name the claim in resources.claims of the container that uses it.",
                )


@rule(
    "dra.counted-twice",
    "warning",
    "pod that takes accelerators by claim and from the device plugin",
    source="DRA and device plugins allocate apart from each other (KEP-4381)",
    fix="none",
)
def counted_twice(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find pods that ask both ways."""
    for pod in subject.pods:
        for container in pod.containers():
            plugin = sorted({*container.requests, *container.limits} & set(GPU))
            if plugin and rows(container.data, "resources", "claims"):
                yield Hit(
                    path=f"{container.path}/resources",
                    message=f"The container claims a device and requests {plugin[0]} as well: it gets, and pays for, both.",
                    remedy="Keep one of the two ways.",
                )
