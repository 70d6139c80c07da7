"""What is kept of each kind: rows built once per event, never the objects; the tuples of them are made when asked for.

Each keeper takes one object at a time (``put``, ``drop``), so an event costs the same however large the cluster is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from ai_platform_mcp.adapters.kubernetes import mapping
from ai_platform_mcp.adapters.kubernetes.mapping import Held
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.rows import (
    ClusterInfo,
    DeploymentRow,
    FlavorRow,
    HolderRow,
    NodeRow,
    NodeUse,
    QueueRow,
    WorkloadRow,
)
from ai_platform_mcp.domain.objects import labels_of, metadata_of

SERVED = ("InferenceService", "LLMInferenceService", "EdgeRollout", "RunService", "Function")

Row = TypeVar("Row")


class Keeper(Protocol):
    """Takes the objects of one kind as they come."""

    def put(self, key: str, live: type_json) -> None:
        """Take an object that is new or changed."""
        ...

    def drop(self, key: str) -> None:
        """Forget an object; one that is not kept is nothing to forget."""
        ...

    def known(self) -> Iterable[str]:
        """Return the keys of what is kept."""
        ...


def key_of(live: type_json) -> str:
    """Return the key of an object. Keys sort as (namespace, name)."""
    meta = metadata_of(live)
    return f"{meta.get('namespace') or ''}\0{meta.get('name') or ''}"


class Rows(Generic[Row]):
    """One row per object, built from that object alone."""

    def __init__(self, build: Callable[[type_json], Row]):
        self._build = build
        self._kept: dict[str, Row] = {}
        self._sorted = True
        self._told: tuple[Row, ...] | None = ()

    def put(self, key: str, live: type_json) -> None:
        """Take an object."""
        if key not in self._kept:
            self._sorted = False
        self._kept[key] = self._build(live)
        self._told = None

    def drop(self, key: str) -> None:
        """Forget an object."""
        if self._kept.pop(key, None) is not None:
            self._told = None

    def known(self) -> Iterable[str]:
        """Return the keys of what is kept."""
        return self._kept.keys()

    def rows(self) -> tuple[Row, ...]:
        """Return the rows by namespace and name: the same tuple until something changes."""
        if not self._sorted:
            self._kept = dict(sorted(self._kept.items()))
            self._sorted = True
        if self._told is None:
            self._told = tuple(self._kept.values())
        return self._told

    def get(self, key: str) -> Row | None:
        """Return one row."""
        return self._kept.get(key)


class Quota:
    """The rows of ClusterQueues, which take labels and prices from ResourceFlavors."""

    def __init__(self, info: ClusterInfo):
        self._info = info
        self._built: dict[str, tuple[FlavorRow, ...]] = {}
        self.flavors = _Objects(mapping.slim, lambda key: self._built.clear())
        self.queues = _Objects(mapping.slim, lambda key: self._built.pop(key, None))

    def rows(self) -> tuple[FlavorRow, ...]:
        """Return one row per queue, flavor and resource; those of an unchanged queue are not built again."""
        flavors = {str(metadata_of(live).get("name")): live for live in self.flavors.rows()}
        for queue in self.queues.rows():
            if (key := key_of(queue)) not in self._built:
                self._built[key] = tuple(mapping.flavor_rows(self._info, queue, flavors))
        return tuple(row for queue in self.queues.rows() for row in self._built[key_of(queue)])


class Served:
    """The rows of what serves. Team and environment may come from the namespace, so its labels are kept here too."""

    def __init__(self, info: ClusterInfo, kinds: Iterable[str]):
        self._info = info
        self.namespaces = _Objects(_labels_only, self._relabelled)
        self._rows: dict[str, dict[str, DeploymentRow]] = {}
        self.objects = {kind: _Objects(mapping.slim, self._changed(kind)) for kind in kinds}
        self._told: tuple[DeploymentRow, ...] | None = ()

    def team(self, namespace: str) -> str:
        """Return the team that a namespace's labels name."""
        around = self.namespaces.get(f"\0{namespace}")
        return labels_of(around).get(mapping.TEAM_LABEL, "") if around else ""

    def rows(self) -> tuple[DeploymentRow, ...]:
        """Return what serves by namespace and name, whatever its kind."""
        if self._told is None:
            found = [row for rows in self._rows.values() for row in rows.values()]
            self._told = tuple(sorted(found, key=lambda row: (row.namespace, row.name)))
        return self._told

    def _changed(self, kind: str) -> Callable[[str], None]:
        built = self._rows[kind] = {}

        def changed(key: str) -> None:
            live = self.objects[kind].get(key)
            if live is None:
                built.pop(key, None)
            else:
                around = self.namespaces.get(f"\0{metadata_of(live).get('namespace') or ''}")
                built[key] = mapping.deployment_row(self._info, live, around or {})
            self._told = None

        return changed

    def _relabelled(self, key: str) -> None:
        within = f"{key[1:]}\0"
        for objects in self.objects.values():
            for one in [key for key in objects.known() if key.startswith(within)]:
                objects.touch(one)


def _labels_only(live: type_json) -> type_json:
    meta = metadata_of(live)
    return {"metadata": {"name": meta.get("name"), "labels": labels_of(live)}}


class _Objects(Rows[type_json]):
    """Pruned objects, with word of each change."""

    def __init__(self, build: Callable[[type_json], type_json], changed: Callable[[str], object]):
        super().__init__(build)
        self._changed = changed

    def put(self, key: str, live: type_json) -> None:
        before = self.get(key)
        super().put(key, live)
        if self.get(key) != before:
            self._changed(key)

    def drop(self, key: str) -> None:
        super().drop(key)
        self._changed(key)

    def touch(self, key: str) -> None:
        """Say that what an object's row depends on has changed."""
        self._changed(key)


class Pods:
    """What each pod holds, counted by node and by holder as pods come and go."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._plain: dict[str, Held] = {}
        self._nodes: dict[str, NodeUse] = {}
        self._holders: dict[tuple[str, str, str, str], NodeUse] = {}
        self._told: Mapping[str, NodeUse] | None = None

    def put(self, key: str, live: type_json) -> None:
        """Take a pod; a change that changes nothing we count is none."""
        self._replace(key, mapping.held_by(live))

    def drop(self, key: str) -> None:
        """Forget a pod."""
        self._replace(key, None)

    def known(self) -> Iterable[str]:
        """Return the keys of the pods that hold something."""
        return self._held.keys()

    def by_node(self) -> Mapping[str, NodeUse]:
        """Return pods and devices by node: the same mapping until something changes."""
        if self._told is None:
            self._told = self._nodes.copy()
        return self._told

    def holders(self, cluster: str, team_of: Callable[[str], str]) -> tuple[HolderRow, ...]:
        """Return who holds devices, most first; ``team_of`` says whose a namespace is where the pod does not."""
        rows = [
            HolderRow(cluster=cluster, namespace=namespace, team=team or team_of(namespace), model=model,
                      resource=resource, pods=use.pods, devices=use.devices)
            for (namespace, team, model, resource), use in self._holders.items()
        ]  # fmt: skip
        return tuple(sorted(rows, key=lambda row: (-row.devices, row.namespace, row.team, row.model, row.resource)))

    def _replace(self, key: str, new: Held | None) -> None:
        old = self._held.get(key)
        if new == old:
            return
        if old is not None:
            self._count(old, -1)
        if new is None:
            self._held.pop(key, None)
        else:
            # Most pods hold no device: those of a node share one value.
            self._held[key] = new if new.devices else self._plain.setdefault(new.node, new)
            self._count(new, 1)
        self._told = None

    def _count(self, held: Held, sign: int) -> None:
        _add(self._nodes, held.node, sign, held.devices)
        if held.node not in self._nodes:
            self._plain.pop(held.node, None)
        if held.devices:
            _add(self._holders, (held.namespace, held.team, held.model, held.resource), sign, held.devices)


Key = TypeVar("Key")


def _add(counts: dict[Key, NodeUse], key: Key, sign: int, devices: int) -> None:
    before = counts.get(key) or NodeUse(0, 0)
    after = NodeUse(before.pods + sign, before.devices + sign * devices)
    if after.pods:
        counts[key] = after
    else:
        counts.pop(key, None)


class Kept:
    """What is kept of one cluster: a keeper for each watched kind, and the rows that come of them."""

    def __init__(self, info: ClusterInfo):
        self.nodes: Rows[NodeRow] = Rows(lambda live: _searchable(mapping.node_row(info, live)))
        self.queues: Rows[QueueRow] = Rows(lambda live: mapping.queue_row(info, live))
        self.workloads: Rows[WorkloadRow] = Rows(lambda live: mapping.workload_row(info, live))
        self.quota = Quota(info)
        self.served = Served(info, SERVED)
        self.pods = Pods()
        self.keepers: Mapping[str, Keeper] = {
            "Node": self.nodes,
            "LocalQueue": self.queues,
            "Workload": self.workloads,
            "ClusterQueue": self.quota.queues,
            "ResourceFlavor": self.quota.flavors,
            "Namespace": self.served.namespaces,
            **self.served.objects,
            "Pod": self.pods,
        }


def _searchable(row: NodeRow) -> NodeRow:
    """Return the row with its text made: the first search must not make ten thousand."""
    _ = row.text
    return row
