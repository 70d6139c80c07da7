"""Which DaemonSets a rollout needs, and which nobody needs any more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ai_platform_mcp.controllers.edge.asked import golden_of, release_of, rollback_release_of
from ai_platform_mcp.controllers.edge.observe import PREPULL_LABEL
from ai_platform_mcp.controllers.edge.ports import Write
from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.domain.objects import contains, labels_of, metadata_of, section
from ai_platform_mcp.domain.rollout.state import Mark, NodeSeen, Progress, Rollout
from ai_platform_mcp.domain.rollout.waves import wave_members
from ai_platform_mcp.manifests.common import (
    ENVIRONMENT_LABEL,
    MANAGED_BY,
    TEAM_LABEL,
    VERSION_LABEL,
    Compute,
    Origin,
    Toleration,
)
from ai_platform_mcp.manifests.edge import (
    Release,
    SiteService,
    prepull_daemon_set,
    release_daemon_set,
    release_name,
)
from ai_platform_mcp.manifests.edge_golden import GoldenCheck, with_golden
from ai_platform_mcp.manifests.edge_runtime import Parts, runtime_daemon_set

EDGE_TOLERATION = Toleration(key="node-role.kubernetes.io/edge")
"""Edge nodes are commonly tainted with their role, so that nothing lands there by chance."""
SELECTED = f"app.kubernetes.io/managed-by={MANAGED_BY},app.kubernetes.io/component in (edge,prepull)"
"""Label selector of the DaemonSets made here."""


_ROLLOUTS = 8
"""Rollouts of which a builder remembers what it built."""


class Cluster(Value):
    """What building depends on in the cluster."""

    minor: int
    pause_image: str
    runtimes: Mapping[str, Parts] = {}
    """By name, for releases that are served by a runtime."""
    image: str = ""
    """Our own image, which asks golden inputs; empty where nobody said it."""
    storage: type_json | None = None
    """The ClusterStorageContainer, where golden inputs have to be fetched."""


class Builder:
    """Builds DaemonSets, and remembers what it built of a rollout that has not changed: a look happens at every event."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[object, list[type_json]]] = {}
        self._fetching: dict[tuple[str, str], tuple[object, type_json]] = {}
        self._right: dict[tuple[str, str], tuple[type_json, type_json]] = {}

    def wanted(
        self, live: type_json, rollout: Rollout, progress: Progress, nodes: Sequence[NodeSeen], cluster: Cluster
    ) -> list[type_json]:
        """Return the DaemonSets a rollout needs now; they are not to be changed.

        Raises:
            InvalidInput: a release cannot be built: no image pinned by digest, a runtime that is not there, golden inputs
                that nothing can ask.
        """
        meta, release = metadata_of(live), release_of(live)
        about = (meta.get("generation"), section(meta, "labels"), cluster)
        before = self._known.pop(meta["uid"], None)
        if before is None or before[0] != about:
            before = about, _steady(live, release, cluster)
        self._known[meta["uid"]] = before
        while len(self._known) > _ROLLOUTS:
            del self._known[next(iter(self._known))]
        if not (rollout.staged and release.fetchable and progress.phase in ("Ready", "Running", "Paused")):
            return before[1]
        return before[1] + self._prepulls(live, rollout, progress, nodes, cluster)

    def _prepulls(
        self, live: type_json, rollout: Rollout, progress: Progress, nodes: Sequence[NodeSeen], cluster: Cluster
    ) -> list[type_json]:
        """Return a DaemonSet for the wave under way and one for the next: while one soaks, the other downloads."""
        waves, uid = wave_members(rollout, nodes), str(metadata_of(live)["uid"])
        found: dict[tuple[str, str], tuple[object, type_json]] = {}
        for place in range(progress.wave, min(progress.wave + 2, len(waves))):
            names, part = tuple(node.name for node in waves[place]), rollout.waves[place].name
            about = (names, metadata_of(live).get("generation"), labels_of(live), cluster)
            before = self._fetching.get((uid, part))
            if before is not None and before[0] == about:
                found[uid, part] = before
            elif names:
                found[uid, part] = about, _prepull(live, part, names, cluster)
        self._fetching = {key: row for key, row in self._fetching.items() if key[0] in self._known and key[0] != uid}
        self._fetching |= found
        return [manifest for _, manifest in found.values()]

    def writes(self, manifests: Iterable[type_json], there: Mapping[tuple[str, str], type_json]) -> list[Write]:
        """Return the applies of what is missing or different; ``there`` by namespace and name.

        What was compared in an earlier look, and is the same object on both sides, is not compared again.
        """
        found: list[Write] = []
        self._right = {key: row for key, row in self._right.items() if there.get(key) is row[1]}
        for manifest in manifests:
            meta, key = metadata_of(manifest), _key(manifest)
            live, known = there.get(key), self._right.get(key)
            if known is not None and known[0] is manifest:
                continue
            if live is not None and contains(live, manifest):
                self._right[key] = manifest, live
            else:
                found.append(
                    Write(verb="apply", path=_path(meta), body=manifest, why=f"apply DaemonSet {meta['name']}")
                )
        return found


def _steady(live: type_json, release: Release, cluster: Cluster) -> list[type_json]:
    """Return the DaemonSets that a rollout needs throughout: its release's, and that of the release to go back to."""
    back, golden = rollback_release_of(live), golden_of(live)
    found = [_serving(live, release, cluster)]
    if golden is not None:
        check = GoldenCheck(inputs=golden, image=cluster.image, storage=cluster.storage)
        found = [with_golden(found[0], release, check, cluster.minor)]
    if back is not None and back.digest != release.digest:
        found.append(_serving(live, back, cluster))
    return found


def _serving(live: type_json, release: Release, cluster: Cluster) -> type_json:
    compute = Compute(tolerations=(EDGE_TOLERATION,))
    service = SiteService(release=release, namespace=str(metadata_of(live)["namespace"]), compute=compute)
    if release.image:
        return release_daemon_set(service, _origin(live, release))
    parts = cluster.runtimes.get(release.runtime or "")
    if parts is None:
        raise InvalidInput(
            f"release {release.model} {release.version} has no image, and its runtime {release.runtime or '(none)'}"
            " is not in the cluster",
            remedy="name a ClusterServingRuntime in spec.runtime, or give the release an image",
        )
    return runtime_daemon_set(service, parts, _origin(live, release), cluster.minor)


def _prepull(live: type_json, part: str, names: tuple[str, ...], cluster: Cluster) -> type_json:
    release = release_of(live)
    return prepull_daemon_set(
        release,
        str(metadata_of(live)["namespace"]),
        cluster.pause_image,
        {},
        _origin(live, release),
        cluster.minor,
        part=part,
        nodes=names,
        tolerations=(EDGE_TOLERATION,),
    )


def _origin(live: type_json, release: Release) -> Origin:
    labels = labels_of(live)
    environment = labels.get(ENVIRONMENT_LABEL)
    return Origin.model_validate(
        {
            "model": release.model,
            "version": release.version,
            "model_digest": release.digest,
            "team": labels.get(TEAM_LABEL),
            "environment": environment if environment in ("dev", "staging", "production") else None,
        }
    )


def _path(meta: type_json) -> str:
    return f"/apis/apps/v1/namespaces/{meta['namespace']}/daemonsets/{meta['name']}"


def garbage(
    there: Iterable[type_json],
    live: Iterable[type_json],
    labelled: frozenset[str],
    marks: Iterable[Mark],
    needed: Iterable[type_json],
) -> list[Write]:
    """Return the deletions of DaemonSets of one model that nothing refers to.

    Args:
        there: every DaemonSet of the model.
        live: its rollouts that are not over without success.
        labelled: versions that nodes' labels name.
        marks: the nodes' marks: a failure returns a node to what it ran before, so that stays too.
        needed: DaemonSets that a look has just asked for.
    """
    keep = {_key(row) for row in needed}
    versions = {*labelled, *(mark.previous for mark in marks)}
    for rollout in live:
        namespace = str(metadata_of(rollout)["namespace"])
        releases = [release for release in (release_of(rollout), rollback_release_of(rollout)) if release is not None]
        keep |= {(namespace, release_name(release)) for release in releases}
    found: list[Write] = []
    for row in there:
        meta = metadata_of(row)
        prepull = PREPULL_LABEL in section(row, "spec", "selector", "matchLabels")
        refers = labels_of(row).get(VERSION_LABEL, "") in versions and not prepull
        if _key(row) in keep or refers or meta.get("deletionTimestamp"):
            continue
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": meta["uid"]}}
        found.append(Write(verb="delete", path=_path(meta), body=body, why=f"delete DaemonSet {meta['name']}"))
    return found


def _key(row: type_json) -> tuple[str, str]:
    return str(metadata_of(row)["namespace"]), str(metadata_of(row)["name"])
