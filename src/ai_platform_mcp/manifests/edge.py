"""Edge fleets: the EdgeRollout, the DaemonSet and Service of a release, and the small changes to nodes and pods.

Speaks ``edge.aiplatform.dev/v1alpha1`` (ours, ``controllers/crds``), ``apps/v1``, ``v1``, ``policy/v1``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.manifests.common import (
    MODEL_LABEL,
    NAME_LENGTH,
    Capabilities,
    Compute,
    EnvVar,
    Origin,
    Toleration,
    compact,
    label_value,
    manifest,
    object_name,
    pod_template,
)

API = "edge.aiplatform.dev/v1alpha1"
SITE_LABEL = "edge.aiplatform.dev/site"
REGION_LABEL = "topology.kubernetes.io/region"
RELEASE_LABEL = "edge.aiplatform.dev/release"
RESERVED_LABEL_DOMAINS = ("kubernetes.io", "k8s.io")

_DIGEST = r"^sha256:[0-9a-f]{64}$"
_URI = r"^[a-z][a-z0-9+.-]*://.+$"


class Release(Value):
    """What a site runs: model bytes by digest, and a serving image, pinned by digest too."""

    model: str
    version: str
    digest: str = Field(pattern=_DIGEST)
    image: str | None = None
    storage_uri: str | None = Field(default=None, pattern=_URI)
    runtime: str | None = None

    @property
    def fetchable(self) -> bool:
        """Whether a node can fetch it ahead of its change: a container runtime fetches images, and nothing else.

        A serving image is one, and model bytes that are an OCI artifact are another.
        """
        return bool(self.image) or self.is_artifact

    @property
    def is_artifact(self) -> bool:
        """Whether it is only model bytes, as an OCI artifact."""
        return not self.image and (self.storage_uri or "").startswith("oci://")


class Wave(Value):
    """One step of exposure: either named sites, or a share of all targets that is reached by its end."""

    name: str = Field(min_length=1, max_length=63)
    sites: tuple[str, ...] = ()
    percent: int | None = Field(default=None, ge=1, le=100)
    canary: bool = False

    def manifest(self) -> type_json:
        """Return the wave as the CRD has it."""
        return {
            "name": self.name,
            "canary": self.canary,
            **compact({"sites": list(self.sites), "percent": self.percent}),
        }


class GoldenInputs(Value):
    """Inputs with known answers that a site must agree on before it commits a release."""

    uri: str = Field(pattern=_URI)
    digest: str = Field(pattern=_DIGEST)
    min_agreement_percent: int = Field(default=99, ge=0, le=100)


class Rollout(Value):
    """One EdgeRollout."""

    name: str
    namespace: str
    release: Release
    waves: tuple[Wave, ...] = Field(min_length=1)
    selector: dict[str, str] | None = None
    """Labels of the nodes; None for every edge node, empty for every node that has a site."""
    sites: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    soak_seconds: int = Field(default=600, ge=0)
    probation_seconds: int = Field(default=60, ge=0)
    offline_grace_seconds: int = Field(default=300, ge=0)
    on_failure: Literal["RollBack", "Pause"] | None = None
    """None: back to ``rollback_to`` where there is one, else a pause."""
    stage: bool = False
    """Whether a node's image is fetched before the node changes."""
    quorum_percent: int = Field(default=90, ge=1, le=100)
    max_failures: int = Field(default=1, ge=0)
    progress_deadline_seconds: int = Field(default=3600, ge=1)
    paused: bool = False
    generation: int | None = Field(default=None, ge=1)
    """Release counter of the target: it only rises, a rollback is a new generation of an old release."""
    rollback_to: Release | None = None
    golden_inputs: GoldenInputs | None = None
    analysis: type_json | None = None
    """The form of ``domain.analysis.asked``; None: waves pass without one."""
    min_memory_mib: int | None = Field(default=None, ge=1)
    """Allocatable memory that a node needs to run the release, None where that is not known."""


def edge_rollout(rollout: Rollout, origin: Origin, capabilities: Capabilities) -> type_json:
    """Return an EdgeRollout.

    Fields with defaults are written out: an object that leaves them to the CRD would change its meaning with the CRD.

    Raises:
        CapabilityMissing: our CRD is not installed.
        InvalidInput: what the CRD's rules would refuse: no image and no storage URI, a wave with both or neither of sites
            and percent, two waves of one name, percentages that fall.
    """
    capabilities.require(API, "EdgeRollout", remedy="kubectl apply --server-side -f edgerollouts.yaml")
    _check_waves(rollout)
    golden = rollout.golden_inputs
    spec = compact(
        {
            **_release(rollout.release),
            "runtime": rollout.release.runtime,
            "model": rollout.release.model,
            "selector": None if rollout.selector is None else {"matchLabels": dict(sorted(rollout.selector.items()))},
            "sites": sorted(set(rollout.sites)),
            "regions": sorted(set(rollout.regions)),
            "waves": [wave.manifest() for wave in rollout.waves],
            "generationOf": rollout.generation,
            "rollbackTo": _release(rollout.rollback_to) if rollout.rollback_to else None,
            "goldenInputs": {
                "uri": golden.uri,
                "digest": golden.digest,
                "minAgreementPercent": golden.min_agreement_percent,
            }
            if golden
            else None,
            "analysis": rollout.analysis,
            "requires": {"memory": f"{rollout.min_memory_mib}Mi"} if rollout.min_memory_mib else None,
        }
    )
    spec |= {
        "soakSeconds": rollout.soak_seconds,
        "probationSeconds": rollout.probation_seconds,
        "offlineGraceSeconds": rollout.offline_grace_seconds,
        "onFailure": rollout.on_failure or ("RollBack" if rollout.rollback_to else "Pause"),
        "stage": rollout.stage,
        "quorumPercent": rollout.quorum_percent,
        "maxFailures": rollout.max_failures,
        "progressDeadlineSeconds": rollout.progress_deadline_seconds,
        "paused": rollout.paused,
    }
    return manifest(API, "EdgeRollout", rollout.name, rollout.namespace, origin, {"spec": spec}, component="edge")


def _release(release: Release) -> type_json:
    if not release.image and not release.storage_uri:
        raise InvalidInput(
            f"release {release.model} {release.version} has neither image nor storage_uri",
            remedy="give at least one of them",
        )
    return compact(
        {
            "version": release.version,
            "digest": release.digest,
            "image": release.image,
            "storageUri": release.storage_uri,
        }
    )


def _check_waves(rollout: Rollout) -> None:
    names = [wave.name for wave in rollout.waves]
    if len(set(names)) != len(names):
        raise InvalidInput("two waves have the same name", remedy="name each wave once")
    for wave in rollout.waves:
        if bool(wave.sites) == (wave.percent is not None):
            raise InvalidInput(f"wave {wave.name} needs either sites or percent", remedy="give exactly one of them")
    shares = [wave.percent for wave in rollout.waves if wave.percent is not None]
    if shares != sorted(shares):
        raise InvalidInput("a wave's percent is below the one before", remedy="list waves in rising order")


class SiteService(Value):
    """How a release runs on the nodes of its sites."""

    release: Release
    namespace: str
    port: int = Field(default=8080, ge=1, le=65535)
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    compute: Compute = Compute()
    ready_path: str = "/v2/health/ready"
    priority_class: str | None = None


def release_name(release: Release) -> str:
    """Return the name of a release: the same for the same model and digest, on every site."""
    return object_name(release.model, seed=release.digest, length=52)


def release_node_label(model: str) -> str:
    """Return the node label that says which release of a model the node runs; its value is the registered version.

    The name of a label has 63 characters at most.
    """
    prefix = f"{RELEASE_LABEL}."
    return prefix + label_value(model, NAME_LENGTH - len(prefix.rpartition("/")[2]))


def release_daemon_set(service: SiteService, origin: Origin) -> type_json:
    """Return the DaemonSet of one release (``apps/v1``).

    One DaemonSet per release, not one that is updated: a DaemonSet's rolling update picks nodes by itself, while a rollout must
    choose which node changes when. A node runs what its label says, and moving it is one label patch, also back. The
    selector is immutable, so that it holds the release.
    """
    image = _pinned(service.release)
    container = compact(
        {
            "name": "model",
            "image": image,
            "imagePullPolicy": "IfNotPresent",  # sites are offline at times; the digest says what it is
            "args": list(service.args),
            "env": [variable.manifest() for variable in service.env],
            "ports": [{"name": "http", "containerPort": service.port, "protocol": "TCP"}],
            "resources": service.compute.resources(),
            "readinessProbe": {"httpGet": {"path": service.ready_path, "port": "http"}, "periodSeconds": 5},
        }
    )
    return daemon_set_of(service, {"containers": [container]}, origin)


def daemon_set_of(service: SiteService, pod: type_json, origin: Origin) -> type_json:
    """Return the DaemonSet of a release around the containers and volumes of ``pod``: who it is, and on which nodes it runs."""
    release, name = service.release, release_name(service.release)
    selector = {**service.compute.node_selector, release_node_label(release.model): label_value(release.version)}
    place = service.compute.pod_fields()
    tolerations = [*place.get("tolerations", []), *pod.get("tolerations", [])]
    spec: type_json = {**place, **compact({"tolerations": tolerations}), "nodeSelector": selector}
    spec |= {key: value for key, value in pod.items() if key != "tolerations"}
    if service.priority_class:
        spec["priorityClassName"] = service.priority_class
    chosen = {RELEASE_LABEL: name}
    body = {
        "spec": {
            "selector": {"matchLabels": chosen},
            "updateStrategy": {"type": "OnDelete"},
            "template": pod_template(spec, origin, component="edge", extra_labels=_pod_labels(release, chosen)),
        }
    }
    return manifest("apps/v1", "DaemonSet", name, service.namespace, origin, body, component="edge")


def _pod_labels(release: Release, chosen: dict[str, str]) -> dict[str, str]:
    return {**chosen, MODEL_LABEL: label_value(release.model), "app.kubernetes.io/component": "edge"}


def _pinned(release: Release) -> str:
    if not release.image or "@sha256:" not in release.image:
        raise InvalidInput(
            f"release {release.model} {release.version} has no image pinned by digest",
            cause="a tag can mean different bytes on different sites",
            remedy="give the image as name@sha256:…",
        )
    return release.image


def prepull_name(release: Release, part: str = "") -> str:
    """Return the name of the DaemonSet that fetches a release for a part of the fleet: all of it, or one wave."""
    return object_name(*filter(None, (release.model, "prepull", part)), seed=release.digest, length=52)


def prepull_daemon_set(
    release: Release,
    namespace: str,
    pause_image: str,
    node_selector: dict[str, str],
    origin: Origin,
    minor: int,
    *,
    part: str = "",
    nodes: tuple[str, ...] = (),
    tolerations: tuple[Toleration, ...] = (),
) -> type_json:
    """Return a DaemonSet that brings the release's image to nodes before the release is activated there.

    It is the serving image, or of a release without one its model bytes, where they are an OCI artifact. The download then
    happens outside the wave, and a wave's time measures health, not a site's line. From Kubernetes 1.35 the image is mounted as
    a volume, which pulls it and runs nothing (KEP-4639; beta since 1.33, but off by default there). Older nodes run it once as
    an init container with ``--help``; an image that does not leave on that keeps its pod from becoming ready, which shows in the
    DaemonSet's status and changes nothing else.

    With ``nodes`` it runs on these alone, by their hostname labels; ``part`` tells such DaemonSets of one release apart.
    """
    name = prepull_name(release, part)
    chosen = {f"{RELEASE_LABEL}-prepull": name}
    container: type_json = {
        "name": "hold",
        "image": pause_image,
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}},
    }
    spec: type_json = {"containers": [container], **compact({"nodeSelector": node_selector})}
    spec |= compact({"affinity": _on(nodes), "tolerations": [row.manifest() for row in tolerations]})
    if (
        minor >= 35 or release.is_artifact
    ):  # an artifact cannot be run; where it cannot be mounted, no release is built of it
        reference = str(release.storage_uri).removeprefix("oci://") if release.is_artifact else _pinned(release)
        container["volumeMounts"] = [{"name": "release", "mountPath": "/release", "readOnly": True}]
        spec["volumes"] = [{"name": "release", "image": {"reference": reference, "pullPolicy": "IfNotPresent"}}]
    else:
        spec["initContainers"] = [
            {"name": "pull", "image": _pinned(release), "imagePullPolicy": "IfNotPresent", "args": ["--help"]}
        ]
    body = {
        "spec": {
            "selector": {"matchLabels": chosen},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}},
            "template": pod_template(spec, origin, component="prepull", extra_labels=chosen),
        }
    }
    return manifest("apps/v1", "DaemonSet", name, namespace, origin, body, component="prepull")


def _on(nodes: tuple[str, ...]) -> type_json:
    if not nodes:
        return {}
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": sorted(nodes)}]}
    wanted = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"nodeAffinity": wanted}


def site_service(model: str, namespace: str, port: int, origin: Origin) -> type_json:
    """Return the Service through which a node's clients reach the model on their own node.

    ``internalTrafficPolicy: Local`` (KEP-2086) never leaves the node, also when the node has no ready pod: then the call
    fails at once, which is what lets a client or gateway fall back to the cloud. The selector names the model and not the
    release, so that the address outlives releases.
    """
    selector = {MODEL_LABEL: label_value(model), "app.kubernetes.io/component": "edge"}
    spec = {
        "selector": selector,
        "internalTrafficPolicy": "Local",
        "ports": [{"name": "http", "port": port, "targetPort": "http", "protocol": "TCP"}],
    }
    name = object_name(model, "edge", length=63)
    return manifest("v1", "Service", name, namespace, origin, {"spec": spec}, component="edge")


def eviction(pod: str, namespace: str, uid: str, grace_seconds: int | None = None) -> type_json:
    """Return an Eviction (``policy/v1``) to POST to the pod's ``eviction`` subresource.

    Eviction asks PodDisruptionBudgets, deletion does not. The uid makes sure that it is this pod: one of the same name may have
    taken its place. ``policy/v1beta1`` is gone since Kubernetes 1.25.
    """
    options = compact({"gracePeriodSeconds": grace_seconds, "preconditions": {"uid": uid}})
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": namespace},
        "deleteOptions": options,
    }


def cordon_patch(*, unschedulable: bool) -> type_json:
    """Return the merge patch that cordons or uncordons a node. Uncordoning removes the field rather than setting it false."""
    return {"spec": {"unschedulable": True if unschedulable else None}}


def label_patch(set_labels: dict[str, str], unset: tuple[str, ...] = ()) -> type_json:
    """Return the merge patch that sets and removes node labels.

    Raises:
        InvalidInput: a label of a reserved domain (``kubernetes.io``, ``k8s.io``), which the kubelet and schedulers rely on;
            a value that is no label value; a label both set and unset.
    """
    for key in (*set_labels, *unset):
        domain = key.partition("/")[0] if "/" in key else ""
        if any(domain == reserved or domain.endswith(f".{reserved}") for reserved in RESERVED_LABEL_DOMAINS):
            raise InvalidInput(f"label {key} is reserved", remedy="use a label of your own domain")
    for value in set_labels.values():
        if value and label_value(value) != value:
            raise InvalidInput(f"{value!r} is no label value", remedy=f"for example {label_value(value)!r}")
    if both := sorted(set(set_labels) & set(unset)):
        raise InvalidInput(f"labels both set and unset: {', '.join(both)}", remedy="name each label once")
    changes: dict[str, str | None] = {**set_labels, **dict.fromkeys(unset)}
    return {"metadata": {"labels": dict(sorted(changes.items()))}}
