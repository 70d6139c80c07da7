"""What the watches have brought so far: whole objects of five kinds, and which models something has changed for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.objects import condition, labels_of, metadata_of, section
from ai_platform_mcp.manifests.common import MODEL_LABEL, label_value


def key_of(live: type_json) -> str:
    """Return the key of an object."""
    meta = metadata_of(live)
    return f"{meta.get('namespace') or ''}\0{meta.get('name') or ''}"


def _model(live: type_json) -> str:
    return str(section(metadata_of(live), "labels").get(MODEL_LABEL) or "")


def _is_older(one: type_json, other: type_json) -> bool:
    """Whether ``one`` is an earlier state than ``other``: resource versions rise within a kind (KEP-5504)."""
    versions = [str(metadata_of(row).get("resourceVersion") or "") for row in (one, other)]
    same = metadata_of(one).get("uid") == metadata_of(other).get("uid")
    return same and all(row.isdigit() for row in versions) and int(versions[0]) < int(versions[1])


class Objects:
    """The objects of one kind. ``meaning`` is what of an object matters; ``changed`` hears of it where that changes."""

    def __init__(self, meaning: Callable[[type_json], object], changed: Callable[[type_json], None]):
        self._kept: dict[str, type_json] = {}
        self._by_model: dict[str, dict[str, type_json]] = {}
        self._meaning = meaning
        self._changed = changed

    def put(self, key: str, live: type_json) -> None:
        """Take an object; one that is older than what is known is left: our own writes answer before the watch does."""
        before = self._kept.get(key)
        if before is not None and _is_older(live, before):
            return
        metadata_of(live).pop("managedFields", None)
        if before is not None and _model(before) != _model(live):
            self._by_model[_model(before)].pop(key, None)
        self._kept[key] = live
        self._by_model.setdefault(_model(live), {})[key] = live
        if before is None or self._meaning(before) != self._meaning(live):
            self._changed(live)

    def drop(self, key: str) -> None:
        """Forget an object."""
        before = self._kept.pop(key, None)
        if before is not None:
            self._by_model[_model(before)].pop(key, None)
            self._changed(before)

    def __len__(self) -> int:
        return len(self._kept)

    def known(self) -> Iterable[str]:
        """Return the keys of what is kept."""
        return self._kept.keys()

    def all(self) -> list[type_json]:
        """Return the objects."""
        return list(self._kept.values())

    def of_model(self, model: str) -> list[type_json]:
        """Return the objects that carry a model's label, given as a label value."""
        return list(self._by_model.get(model, {}).values())

    def get(self, namespace: str, name: str) -> type_json | None:
        """Return one object."""
        return self._kept.get(f"{namespace}\0{name}")

    def take(self, live: type_json) -> None:
        """Take the answer to a write of our own."""
        self.put(key_of(live), live)


class Caches:
    """Every kind that the controller watches. ``changed`` hears which model to look at, empty for all of them."""

    def __init__(self, changed: Callable[[str], None]):
        def of_label(live: type_json) -> None:
            changed(labels_of(live).get(MODEL_LABEL, ""))

        self.nodes = Objects(_of_node, lambda _live: changed(""))
        self.pods = Objects(lambda live: (live.get("status"), metadata_of(live).get("deletionTimestamp")), of_label)
        self.daemon_sets = Objects(lambda live: (live.get("spec"), labels_of(live)), of_label)
        self.rollouts = Objects(_of_rollout, lambda live: changed(label_value(str(section(live, "spec").get("model")))))
        self.sites = Objects(lambda live: live.get("data"), lambda _live: changed(""))


def _of_node(node: type_json) -> object:
    """What of a node matters: not its heartbeat, which every node of a fleet writes every few minutes."""
    meta, ready = metadata_of(node), condition(node, "Ready")
    able = section(node, "status", "nodeInfo").get("architecture"), section(node, "status", "allocatable").get("memory")
    fields = meta.get("labels"), meta.get("annotations"), section(node, "spec").get("unschedulable")
    return fields, ready.get("status"), ready.get("lastTransitionTime"), able


def _of_rollout(live: type_json) -> object:
    meta = metadata_of(live)
    return meta.get("uid"), meta.get("generation"), meta.get("deletionTimestamp"), live.get("status")
