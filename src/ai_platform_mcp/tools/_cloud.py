"""What both kinds of cloud service share: what serves now, how large the next one is, and how traffic moves to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ai_platform_mcp.core.facts import AnalysisFacts
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Apply, Delete, Risk
from ai_platform_mcp.domain.objects import (
    VERSION_LABEL,
    annotations_of,
    labels_of,
    ref_of,
    section,
    subject_of,
    whole,
)
from ai_platform_mcp.domain.progress import STABLE_VERSION, canary_percent, knative_mode
from ai_platform_mcp.manifests.common import OPERATION_LABEL, Compute, Origin
from ai_platform_mcp.tools._models import Chosen

_DEVICES = ("nvidia.com/gpu", "google.com/tpu", "amd.com/gpu")

Strategy = Literal["new", "canary", "blue_green", "all_at_once", "none"]
Wanted = Literal["canary", "blue_green"]
STEPWISE = frozenset({"canary", "blue_green"})
"""Strategies in which the old version and the new one stand beside each other."""


@dataclass(frozen=True)
class LiveService:
    """The InferenceService that serves the model now, if one does."""

    name: str
    live: type_json | None
    why: str = ""
    """Why it is served by this kind of object, where there was a choice."""

    @property
    def current_version(self) -> str | None:
        """The version that most traffic gets: during a canary the stable one, not the newest."""
        if self.live is None:
            return None
        if canary_percent(self.live) is not None:
            return annotations_of(self.live).get(STABLE_VERSION) or "unknown"
        return labels_of(self.live).get(VERSION_LABEL) or "unknown"

    @property
    def in_canary(self) -> bool:
        """Whether a canary is under way."""
        return self.live is not None and canary_percent(self.live) is not None

    @property
    def knative(self) -> bool:
        """Whether it runs in Knative mode."""
        return self.live is not None and knative_mode(self.live)

    @property
    def predictor(self) -> type_json:
        """The predictor as it stands."""
        return section(self.live, "spec", "predictor")

    def replicas(self, which: Literal["minReplicas", "maxReplicas"]) -> int:
        """Return the replicas it may have; 0 where nothing serves."""
        if self.live is None:
            return 0
        value = self.predictor.get(which)
        return value if isinstance(value, int) else 1

    @property
    def devices(self) -> int:
        """Accelerators of one replica."""
        return devices_of(section(self.predictor, "model"))

    @property
    def node_selector(self) -> type_json:
        """The labels of the nodes that its pods may run on."""
        return section(self.predictor, "nodeSelector")


def devices_of(container: type_json) -> int:
    """Return how many accelerators a container takes, of whatever kind."""
    limits = section(container, "resources", "limits")
    return sum(whole(limits.get(name)) for name in _DEVICES)


@dataclass(frozen=True)
class Size:
    """How many replicas, each with what."""

    min_replicas: int
    max_replicas: int
    compute: Compute


@dataclass(frozen=True)
class CloudPart:
    """What the cloud half contributes to the draft."""

    step: Apply
    strategy: Strategy
    percent: int
    current_version: str | None
    reasons: tuple[str, ...]
    moved: tuple[Apply, ...] = ()
    """The rollout that moves the new version on, empty where a person does."""
    further: tuple[Apply | Delete, ...] = ()
    """Steps on objects beside the one that serves."""
    risks: tuple[Risk, ...] = ()
    analysis: AnalysisFacts | None = None
    """What decides over its steps, None where nothing is measured."""


def strategy_of(current: str | None, version: str, percent: int, wanted: Wanted = "canary") -> Strategy:
    """Return how traffic would move: nowhere for the first release, and not at all for the version that serves already."""
    if current is None:
        return "new"
    if current == version:
        return "none"
    if wanted == "blue_green":
        return "blue_green"
    return "canary" if 0 < percent < 100 else "all_at_once"


def made_by(live: type_json | None, origin: Origin) -> Origin:
    """Return the origin with the operation that created the object, so that applying the same again changes nothing.

    Which operation changed it last is on the object as well: the executor's stamp says it.
    """
    if live is None:
        return origin
    return origin.model_copy(update={"operation": labels_of(live).get(OPERATION_LABEL)})


def title_of(manifest: type_json, chosen: Chosen, strategy: Strategy, percent: int) -> str:
    """Return what applying the manifest does, in one line."""
    what = f"{chosen.name} {chosen.version.version}"
    how = {
        "new": f"Serve {what}",
        "canary": f"Give {percent} % of the traffic to {what}",
        "blue_green": f"Warm {what} up without traffic",
        "all_at_once": f"Move all traffic to {what}",
        "none": f"Keep {what}",
    }[strategy]
    return f"{how} in {subject_of(ref_of(manifest)).split(' ', 1)[1]}"
