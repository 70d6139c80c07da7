"""What nodes, pods and site facts say, in the words of the rules. Pure: objects in, values out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from pydantic import ValidationError

from ai_platform_mcp.controllers.edge.pods import pod_seen
from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.domain.edge_identity import edge_identity
from ai_platform_mcp.domain.fleet import SiteRule, minimum_healthy
from ai_platform_mcp.domain.objects import (
    condition,
    labels_of,
    metadata_of,
    parse_time,
    section,
    whole,
)
from ai_platform_mcp.domain.rollout.state import Mark, NodeSeen, Rollout, SiteSeen
from ai_platform_mcp.domain.rollout.windows import is_open
from ai_platform_mcp.manifests.common import NAME_LENGTH, VERSION_LABEL, label_value
from ai_platform_mcp.manifests.edge import (
    REGION_LABEL,
    RELEASE_LABEL,
    Release,
    release_name,
    release_node_label,
)

_log = logging.getLogger(__name__)
PREPULL_LABEL = f"{RELEASE_LABEL}-prepull"
"""Label of a prepull pod: the name of its DaemonSet, which follows from the release and the wave."""
_MARK = "edge.aiplatform.dev/mark."


@lru_cache(256)
def mark_annotation(model: str) -> str:
    """Return the annotation under which a node remembers the model's rollout."""
    return _MARK + label_value(model, NAME_LENGTH - len(_MARK.rpartition("/")[2]))


def site_of(node: type_json) -> str:
    """Return the node's site, empty where it says none."""
    return edge_identity(section(metadata_of(node), "labels")).site


def members(live: type_json, nodes: Iterable[type_json]) -> list[type_json]:
    """Return the nodes an EdgeRollout concerns: its selector, narrowed by sites and regions. Nodes without a site are none.

    Without a selector these are the nodes whose labels make them edge nodes; an empty one selects every node that has a site.
    """
    spec = section(live, "spec")
    selects = spec.get("selector") is not None
    wanted = section(spec, "selector", "matchLabels")
    sites, regions = frozenset[str](spec.get("sites") or []), frozenset[str](spec.get("regions") or [])
    return [
        node
        for node in nodes
        if (labels := section(metadata_of(node), "labels"))
        and all(labels.get(key) == value for key, value in wanted.items())
        and (found := edge_identity(labels)).site
        and (selects or found.edge)
        and (not sites or found.site in sites)
        and (not regions or labels.get(REGION_LABEL) in regions)
    ]


def mark_on(node: type_json, model: str) -> Mark | None:
    """Return the node's mark of the model. One that does not parse is none: somebody else wrote it."""
    text = section(metadata_of(node), "annotations").get(mark_annotation(model))
    if not text:
        return None
    mark = _mark(str(text))
    if mark is None:
        _log.warning("node %s has a mark of %s that is none", metadata_of(node).get("name"), model)
    return mark


@lru_cache(8192)
def _mark(text: str) -> Mark | None:
    try:
        return Mark.model_validate_json(text)
    except ValidationError:
        return None


def online(node: type_json) -> tuple[bool, datetime]:
    """Return whether the node's kubelet reports, and since when that is so."""
    ready = condition(node, "Ready")
    since = parse_time(ready.get("lastTransitionTime")) or parse_time(metadata_of(node).get("creationTimestamp"))
    if since is None:
        raise InvalidInput(f"Node {metadata_of(node).get('name')} has neither a Ready time nor a creation time.")
    return ready.get("status") == "True", since


class PodPlace(NamedTuple):
    """Where a pod is, and what it is for: ``prepull`` names the DaemonSet that only fetches."""

    node: str
    prepull: str
    ready: bool
    leaving: bool


def pod_place(pod: type_json) -> PodPlace:
    """Return where a pod is, and what it is for."""
    return PodPlace(
        node=str(section(pod, "spec").get("nodeName") or ""),
        prepull=labels_of(pod).get(PREPULL_LABEL, ""),
        ready=condition(pod, "Ready").get("status") == "True",
        leaving=bool(metadata_of(pod).get("deletionTimestamp")),
    )


def node_seen(
    rollout: Rollout,
    release: Release,
    requires: type_json,
    node: type_json,
    pods: Sequence[type_json],
    *,
    staged: bool,
) -> NodeSeen:
    """Return one node as the rules see it. ``pods``: the model's on it that serve; ``staged``: it has the release's image."""
    labels = labels_of(node)
    there, since = online(node)
    version = labels.get(release_node_label(rollout.model), "")
    pod = _current(pods, version, release)
    return NodeSeen(
        name=str(metadata_of(node).get("name")),
        site=site_of(node),
        region=labels.get(REGION_LABEL, ""),
        online=there,
        since=since,
        schedulable=not section(node, "spec").get("unschedulable"),
        version=version,
        mark=mark_on(node, rollout.model),
        pod=pod_seen(pod, release) if pod is not None else None,
        staged=staged,
        incompatible=_incompatible(requires, node),
    )


def _current(pods: Sequence[type_json], version: str, release: Release) -> type_json | None:
    """Return the pod that speaks for the node: of the release before others, of what the label names, then the youngest."""
    name = release_name(release)

    def rank(pod: type_json) -> tuple[bool, bool, str]:
        labels = labels_of(pod)
        named = labels.get(VERSION_LABEL) == version
        return named, named and labels.get(RELEASE_LABEL) == name, str(metadata_of(pod).get("creationTimestamp"))

    return max(pods, key=rank, default=None)


def _incompatible(requires: type_json, node: type_json) -> str:
    info, room = section(node, "status", "nodeInfo"), section(node, "status", "allocatable")
    wanted, has = requires.get("architectures") or [], str(info.get("architecture") or "")
    if wanted and has and has not in wanted:
        return f"is {untrusted(has, 40)}, and the release is for {', '.join(wanted)}"
    least = requires.get("memory")
    if least and "memory" in room and whole(room["memory"]) < whole(least):
        return f"has {untrusted(str(room['memory']), 40)} of memory, and the release needs {least}"
    return ""


def sites_seen(rules: Mapping[str, SiteRule], sites: Mapping[str, int], now: datetime) -> dict[str, SiteSeen]:
    """Return what holds now for each site, with its number of members. A window that cannot be read keeps its site closed."""
    found: dict[str, SiteSeen] = {}
    for site, count in sites.items():
        rule = rules.get(site)
        found[site] = SiteSeen(window_open=_open(site, rule, now), minimum_healthy=minimum_healthy(count, rule))
    return found


def _open(site: str, rule: SiteRule | None, now: datetime) -> bool:
    try:
        return rule is None or is_open(rule.maintenance_window_utc, now)
    except InvalidInput as problem:
        _log.warning("site %s stays closed: %s", site, problem.message)
        return False


def mark_text(mark: Mark) -> str:
    """Return the mark as the annotation holds it: the same mark is always the same text."""
    return json.dumps(mark.model_dump(mode="json", exclude_defaults=True), sort_keys=True, separators=(",", ":"))
