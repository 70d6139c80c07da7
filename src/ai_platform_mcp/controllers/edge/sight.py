"""Seeing a fleet again: what of it has not changed since the last look is not read anew.

The caches put another object in the place of one that changed, so that the same object says the same. A fleet of a thousand nodes
at rest is then seen in a few milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ai_platform_mcp.controllers.edge.observe import PodPlace, members, node_seen, pod_place, site_of
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.objects import metadata_of, section
from ai_platform_mcp.domain.rollout.state import NodeSeen, Rollout
from ai_platform_mcp.manifests.edge import Release, prepull_name

_ROLLOUTS = 8
"""Rollouts that are remembered: those under way, not those that are over."""


class Members(NamedTuple):
    """The nodes that a rollout concerns, and how many there are at each site."""

    nodes: list[type_json]
    sites: Counter[str]


class _Members(NamedTuple):
    about: object
    nodes: dict[int, tuple[type_json, str]]
    """Every node, with its site; empty where the rollout does not concern it."""


class _Node(NamedTuple):
    live: type_json
    pods: Sequence[type_json]
    staged: bool
    seen: NodeSeen


class _Memory(NamedTuple):
    about: object
    pods: dict[int, tuple[type_json, PodPlace]]
    nodes: dict[int, _Node]


class Sight:
    """Remembers, per rollout, what was read from which objects."""

    def __init__(self) -> None:
        self._known: dict[str, _Memory] = {}
        self._members: dict[str, _Members] = {}

    def members(self, live: type_json, nodes: Sequence[type_json]) -> Members:
        """Return the nodes that an EdgeRollout concerns."""
        uid, spec = str(metadata_of(live).get("uid")), section(live, "spec")
        about = [spec.get(key) for key in ("selector", "sites", "regions")]
        before = self._members.pop(uid, None)
        known = before.nodes if before is not None and before.about == about else {}
        fresh = [node for node in nodes if (row := known.get(id(node))) is None or row[0] is not node]
        chosen = {id(node): site_of(node) for node in members(live, fresh)}
        known = {**known, **{id(node): (node, chosen.get(id(node), "")) for node in fresh}}
        self._members[uid] = _Members(about, {id(node): known[id(node)] for node in nodes})
        while len(self._members) > _ROLLOUTS:
            del self._members[next(iter(self._members))]
        rows = [row for node in nodes if (row := known[id(node)])[1]]
        return Members([node for node, _ in rows], Counter(site for _, site in rows))

    def nodes_seen(
        self,
        rollout: Rollout,
        release: Release,
        requires: type_json,
        nodes: Sequence[type_json],
        pods: Sequence[type_json],
    ) -> list[NodeSeen]:
        """Return the nodes as the rules see them.

        Args:
            rollout: what is asked for.
            release: what it brings; its name tells its pods from those of other bytes under the same version.
            requires: the spec's ``requires``: architectures and memory of a node.
            nodes: the members.
            pods: every pod of the model, prepull pods included.
        """
        about = (rollout.model, release, requires, tuple(wave.name for wave in rollout.waves))
        before = self._known.pop(rollout.name, None)
        if before is None or before.about != about:
            before = _Memory(about, {}, {})
        after = _Memory(about, {}, {})
        fetching = {prepull_name(release, wave.name) for wave in rollout.waves}
        serving, staged = _by_node(pods, fetching, before, after)
        for node in nodes:
            old = before.nodes.get(id(node))
            if old is not None and old.live is not node:
                old = None
            name = str(metadata_of(node).get("name")) if old is None else old.seen.name
            mine, there = serving.get(name, ()), name in staged
            if old is None or old.staged != there or not _same(old.pods, mine):
                old = _Node(node, mine, there, node_seen(rollout, release, requires, node, mine, staged=there))
            after.nodes[id(node)] = old
        self._known[rollout.name] = after
        while len(self._known) > _ROLLOUTS:
            del self._known[next(iter(self._known))]
        return [row.seen for row in after.nodes.values()]


def _by_node(
    pods: Sequence[type_json], fetching: set[str], before: _Memory, after: _Memory
) -> tuple[dict[str, list[type_json]], set[str]]:
    """Return the pods that serve on each node, and the nodes that have fetched the release."""
    serving: dict[str, list[type_json]] = {}
    staged: set[str] = set()
    for pod in pods:
        known = before.pods.get(id(pod))
        place = known[1] if known is not None and known[0] is pod else pod_place(pod)
        after.pods[id(pod)] = (pod, place)
        if place.prepull:
            if place.ready and place.prepull in fetching:
                staged.add(place.node)
        elif not place.leaving:
            serving.setdefault(place.node, []).append(pod)
    return serving, staged


def _same(one: Sequence[type_json], other: Sequence[type_json]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
