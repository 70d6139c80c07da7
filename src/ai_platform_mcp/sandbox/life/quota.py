"""Kueue's arithmetic: what a workload asks for, what each queue has of it, and which flavors it gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from ai_platform_mcp.sandbox.kube.quantity import parse, render
from ai_platform_mcp.sandbox.life.world import Json, holds

DEVICES = ("nvidia.com/gpu", "google.com/tpu")
COUNTED = (*DEVICES, "cpu", "memory")


def pod_requests(pod: Json) -> dict[str, str]:
    """What the containers of a pod request together."""
    totals: dict[str, Fraction] = {}
    for container in pod.get("containers") or []:
        for name, value in requested(container.get("resources") or {}).items():
            totals[name] = totals.get(name, Fraction(0)) + parse(value)
    return {name: shown(name, value) for name, value in totals.items()}


def requested(resources: Json) -> dict[str, str]:
    """What a container requests; a limit stands for a request that is not given."""
    asked: Json = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: str(value) for name, value in asked.items() if name in COUNTED or is_class(name)}


def is_class(name: str) -> bool:
    """Whether a name is a DeviceClass's, under which claims are counted: no resource of a container has a dot and no slash."""
    return "." in name and "/" not in name


def needs(workload: Json) -> dict[str, Fraction]:
    """What a workload needs in all, by resource."""
    totals: dict[str, Fraction] = {}
    for pod_set in workload["spec"]["podSets"]:
        for name, value in pod_requests(pod_set["template"]["spec"]).items():
            totals[name] = totals.get(name, Fraction(0)) + parse(value) * int(pod_set["count"])
    return totals


def shown(resource: str, amount: Fraction) -> str:
    """An amount as Kubernetes writes it: bytes with a binary suffix, counts plain."""
    return str(amount) if resource != "memory" and amount.denominator == 1 else render(amount)


class Pools:
    """Quota of every ClusterQueue and what admitted workloads use of it."""

    def __init__(
        self, cluster_queues: list[Json], local_queues: list[Json], flavors: list[Json], workloads: list[Json]
    ):
        self.cluster_queues = cluster_queues
        self.local_queues = local_queues
        self.flavors = flavors
        self.workloads = workloads
        self.used: dict[tuple[str, str, str], Fraction] = {}
        self._node_labels = {
            row["metadata"]["name"]: (row.get("spec") or {}).get("nodeLabels") or {} for row in flavors
        }
        for row in workloads:
            if holds(row, "QuotaReserved") and not holds(row, "Finished"):
                self.take(row["status"]["admission"])

    def again(self, workloads: list[Json]) -> Pools:
        """Return the same queues with the workloads of now."""
        return Pools(self.cluster_queues, self.local_queues, self.flavors, workloads)

    def take(self, admission: Json) -> None:
        """Count an admission."""
        for assignment in admission["podSetAssignments"]:
            for resource, flavor in (assignment.get("flavors") or {}).items():
                amount = parse((assignment.get("resourceUsage") or {}).get(resource, 0))
                key = (admission["clusterQueue"], flavor, resource)
                self.used[key] = self.used.get(key, Fraction(0)) + amount

    def queues_of(self, workload: Json) -> tuple[Json | None, Json | None]:
        """The LocalQueue and the ClusterQueue a workload goes to."""
        wanted = (workload["metadata"]["namespace"], workload["spec"].get("queueName"))
        local = _first(self.local_queues, lambda row: (row["metadata"]["namespace"], row["metadata"]["name"]) == wanted)
        if local is None:
            return None, None
        return local, _first(self.cluster_queues, lambda row: row["metadata"]["name"] == local["spec"]["clusterQueue"])

    def node_labels(self, flavors: Iterable[str]) -> dict[str, str]:
        """The labels of the nodes that flavors stand for."""
        return {key: value for name in flavors for key, value in self._node_labels.get(name, {}).items()}

    def assign(
        self, queue: Json, asked: dict[str, Fraction], selector: dict[str, str]
    ) -> tuple[dict[str, str] | None, str, str]:
        """Choose flavors for what is asked; on failure say why, by Kueue's reason and in words.

        Resources of one group come from one flavor, and a resource that no group covers is never to be had: Kueue's
        default ``quotaCheckStrategy``.
        """
        chosen: dict[str, str] = {}
        name = queue["metadata"]["name"]
        groups: list[Json] = queue["spec"].get("resourceGroups") or []
        for group in groups:
            wanted = {key: amount for key, amount in asked.items() if key in group["coveredResources"]}
            if not wanted:
                continue
            offers = self._matching([flavor["name"] for flavor in group["flavors"]], selector)
            if not offers:
                text = f"ClusterQueue {name} has no flavor for {', '.join(wanted)} with the nodes asked for"
                return None, "NoMatchingFlavor", text
            able = [one for one in offers if all(_nominal(group, one, key) >= wanted[key] for key in wanted)]
            if not able:
                return None, "ExceedsMaxQuota", f"{_words(wanted)} asked, more than any one flavor ever has"
            fits = [one for one in able if all(self._free(queue, group, one, key) >= wanted[key] for key in wanted)]
            if not fits:
                free = "; ".join(
                    f"{one} {_words({key: self._free(queue, group, one, key) for key in wanted})}" for one in offers
                )
                return None, "WaitingForQuota", f"insufficient unused quota for {_words(wanted)}: free {free}"
            chosen |= dict.fromkeys(wanted, fits[0])
        uncovered = sorted(asked.keys() - chosen.keys())
        if uncovered:
            return None, "NoMatchingFlavor", f"resource {uncovered[0]} unavailable in ClusterQueue {name}"
        return chosen, "QuotaReserved", f"Quota reserved in ClusterQueue {name}"

    def _matching(self, offers: list[str], selector: dict[str, str]) -> list[str]:
        """Keep the flavors that carry every label asked for; keys that no flavor defines are the scheduler's business."""
        labels: dict[str, dict[str, str]] = {name: self._node_labels.get(name, {}) for name in offers}
        keys = {key for row in labels.values() for key in row}
        wanted = {key: value for key, value in selector.items() if key in keys}
        return [offer for offer in offers if wanted.items() <= labels[offer].items()]

    def _free(self, queue: Json, group: Json, flavor: str, resource: str) -> Fraction:
        return _nominal(group, flavor, resource) - self.used.get(
            (queue["metadata"]["name"], flavor, resource), Fraction(0)
        )


def _nominal(group: Json, flavor: str, resource: str) -> Fraction:
    rows = next(row["resources"] for row in group["flavors"] if row["name"] == flavor)
    return parse(next(row["nominalQuota"] for row in rows if row["name"] == resource))


def _words(amounts: dict[str, Fraction]) -> str:
    return ", ".join(f"{shown(name, amount)} {name}" for name, amount in amounts.items())


def _first(rows: list[Json], wanted: Callable[[Json], bool]) -> Json | None:
    return next((row for row in rows if wanted(row)), None)
