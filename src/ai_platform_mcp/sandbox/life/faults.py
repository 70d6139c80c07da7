"""What can go wrong in the sandbox's fleet, and how it is asked for: faults of a node, and faults of a release on every node.

**On one node**: the Node's annotation ``sandbox.aiplatform.dev/faults``, a JSON list such as
``[{"kind": "crash-loop", "version": "2"}]``. **On every node**: any key of the ConfigMap ``sandbox-faults`` in
``aiplatform-system`` holds such a list; that is how a *release* is bad, in the cloud too, where ``errors`` and ``slow`` count.
``model`` and ``version`` (as the pods' labels say them) narrow a fault to pods of that release; without them it concerns every
model's pod. Taking a fault away ends it.

===================  ================================================================================================
kind                 what happens
===================  ================================================================================================
``offline``          The node's kubelet no longer reports: Ready is Unknown, its pods stay as they were last seen, and nothing
                     starts or ends on it. ``seconds``: for so long only, then it is back by itself.
``power-loss``       When a pod that the fault concerns has fetched its image and starts, the node is gone for ``seconds`` (600).
                     It is back with its containers started anew, and the fault is spent.
``crash-loop``       The model's container ends five seconds after each start, and the kubelet backs off. ``times``: it stays up
                     after so many crashes.
``hangs``            The model's container runs and never becomes ready.
``slow-link``        Fetching an image takes ``factor`` (20) times as long.
``pull-throttled``   The registry answers ``toomanyrequests``. ``seconds``: for so long after the pod came, else as long as the
                     fault is there.
``golden-differs``   The ``golden`` container ends with code 3: answers differ on the ``share`` (0.5) of golden inputs. A pod
                     without that container shows nothing of it in its status; measured answers of other sidecars do.
``errors``           The ``share`` (0.2) of requests that the release answers fail. Its pods look well.
``slow``             Requests take ``factor`` (4) times as long. Its pods look well.
===================  ================================================================================================

All seconds are seconds of work: the sandbox's speed divides them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from ai_platform_mcp.sandbox.life.release import MODEL, VERSION
from ai_platform_mcp.sandbox.life.world import Json, World, annotations_of, labels_of

log = logging.getLogger(__name__)

FAULTS = "sandbox.aiplatform.dev/faults"
"""Annotation of a Node: a JSON list of faults."""
EVERYWHERE = ("aiplatform-system", "sandbox-faults")
"""Namespace and name of the ConfigMap whose values are lists of faults that concern every node."""
KINDS = frozenset(
    {
        "offline",
        "power-loss",
        "crash-loop",
        "hangs",
        "slow-link",
        "pull-throttled",
        "golden-differs",
        "errors",
        "slow",
    }
)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong. ``until`` is the sandbox's own note: when a node that is away comes back."""

    kind: str
    model: str = ""
    version: str = ""
    seconds: float | None = None
    factor: float | None = None
    share: float | None = None
    times: int | None = None
    until: str = ""
    reboot: bool = False

    def concerns(self, model: str, version: str) -> bool:
        """Whether it concerns the pods of that release."""
        return self.model in ("", model) and self.version in ("", version)

    def as_dict(self) -> Json:
        """Return the fault as JSON: only what is said."""
        return {key: value for key, value in vars(self).items() if value not in (None, "", False)}


@lru_cache(maxsize=4096)
def parsed(text: str, where: str) -> tuple[Fault, ...]:
    """Read a list of faults; what is none is left out, and the log says so, once."""
    try:
        rows: Any = json.loads(text)
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        log.warning("%s: %.80r is no JSON list of faults", where, text)
        return ()
    found = [(row, _fault(row)) for row in cast("list[Any]", rows)]
    for row, fault in found:
        if fault is None:
            log.warning("%s: %.200r is no fault; kinds: %s", where, row, ", ".join(sorted(KINDS)))
    return tuple(fault for _, fault in found if fault is not None)


def _fault(row: Any) -> Fault | None:
    if not isinstance(row, dict) or cast("Json", row).get("kind") not in KINDS:
        return None
    fields = cast("Json", row)
    kinds: dict[str, tuple[type, ...]] = {"times": (int,), "reboot": (bool,)}
    kinds |= dict.fromkeys(("seconds", "factor", "share"), (int, float))
    fits = all(isinstance(value, kinds.get(key, (str,))) for key, value in fields.items())
    return Fault(**fields) if fits and fields.keys() <= Fault.__dataclass_fields__.keys() else None


def written(faults: Iterable[Fault]) -> str | None:
    """Return the annotation that says these faults, None where there are none: then it goes."""
    rows = [fault.as_dict() for fault in faults]
    return json.dumps(rows) if rows else None


def of_node(node: Json) -> tuple[Fault, ...]:
    """Return what is wrong with a node itself."""
    text = annotations_of(node).get(FAULTS)
    return parsed(text, f"node {node['metadata']['name']}") if text else ()


class Faults:
    """Everything that is wrong in one step."""

    def __init__(self, nodes: Iterable[Json], everywhere: Mapping[str, str]):
        self._nodes = {node["metadata"]["name"]: found for node in nodes if (found := of_node(node))}
        self._all = tuple(fault for key, text in sorted(everywhere.items()) for fault in parsed(text, f"faults {key}"))

    def __bool__(self) -> bool:
        return bool(self._nodes or self._all)

    def on(self, node: str) -> tuple[Fault, ...]:
        """Return the node's own faults."""
        return self._nodes.get(node, ())

    def everywhere(self, model: str, version: str) -> Sequence[Fault]:
        """Return what is wrong with a release wherever it runs."""
        return [fault for fault in self._all if fault.concerns(model, version)]

    def of(self, pod: Json) -> Sequence[Fault]:
        """Return what is wrong for a pod where it is."""
        here = (*self._nodes.get(pod["spec"].get("nodeName", ""), ()), *self._all)
        if not here:
            return ()
        labels = labels_of(pod)
        model, version = labels.get(MODEL, ""), labels.get(VERSION, "")
        return [fault for fault in here if fault.concerns(model, version)]


async def faults_of(world: World, fleet: Iterable[Json]) -> Faults:
    """Return everything that is wrong now."""
    config = await world.store.find("v1", "ConfigMap", EVERYWHERE[1], EVERYWHERE[0])
    return Faults(fleet, (config or {}).get("data") or {})


def first(faults: Sequence[Fault], kind: str) -> Fault | None:
    """Return the first fault of a kind."""
    return next((fault for fault in faults if fault.kind == kind), None)
