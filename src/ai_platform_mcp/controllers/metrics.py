"""What a Prometheus may scrape of the controllers: each rollout's state as its status says it, and how the looks went.

Names follow kube-state-metrics (``…_status_phase`` is one-hot: one series per phase, one of them 1) and controller-runtime
(looks as counters and a histogram). No series names a node, and of very many rollouts only those that matter most are exposed:
a fleet of any size costs a bounded number of series. The library that writes the text is imported at the first scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, get_args

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.canary.state import Phase as CanaryPhase
from ai_platform_mcp.domain.objects import metadata_of, section
from ai_platform_mcp.domain.rollout.state import OVER, NodeState, Phase

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.metrics_core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what ``generate_latest`` writes, in every release of the library."""
MOST_ROLLOUTS = 100
"""Rollouts of a kind that are exposed: about thirty series each. Those under way come first, then the newest."""
_CONTROLLER = "aiplatform_controller"
_VERDICTS = ("pending", "pass", "fail", "inconclusive")
_BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds of a look: a small fleet takes hundredths, a wave of a large one minutes."""

_WHO = ("namespace", "rollout")
"""Labels that name a rollout."""

Look = Literal["success", "conflict", "error"]


@dataclass
class Looks:
    """Counts looks by how they ended, and the time they took."""

    ended: dict[str, int] = field(default_factory=lambda: dict.fromkeys(get_args(Look), 0))
    buckets: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS) + 1))
    seconds: float = 0.0

    def add(self, result: Look, seconds: float) -> None:
        """Count one look."""
        self.ended[result] += 1
        self.buckets[bisect_left(_BOUNDS, seconds)] += 1
        self.seconds += seconds


class _Told:
    """A collector of what is known already."""

    def __init__(self, families: Sequence[Metric]):
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(
    edge: Sequence[type_json], canaries: Sequence[type_json], looks: Mapping[str, Looks], *, leads: bool
) -> str:
    """Return everything in Prometheus' text format: EdgeRollouts, CanaryRollouts, and each controller's looks by its name."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import GaugeMetricFamily

    leader = GaugeMetricFamily(
        f"{_CONTROLLER}_leader", "Whether this process holds the lease, or needs none.", float(leads)
    )
    registry = CollectorRegistry()
    registry.register(_Told([*_edge(edge), *_canaries(canaries), *_looks(looks), leader]))
    return generate_latest(registry).decode()


class _Kind:
    """What is exposed of any kind of rollout, under its own prefix."""

    def __init__(self, prefix: str, phases: Sequence[str], every: Sequence[type_json]):
        self.prefix, self._phases = prefix, phases
        self.shown = sorted(every, key=_rank)[:MOST_ROLLOUTS]
        self.info = self.family("info", "The release that the rollout brings.", "model", "version")
        self.phase = self.family("status_phase", "The rollout's phase: 1 for the present one.", "phase")
        self.verdict = self.family("status_analysis", "What analysis says: 1 for the present verdict.", "verdict")
        self.left_out = self._gauge("left_out", f"Rollouts that are not exposed, beyond {MOST_ROLLOUTS}.", ())
        self.left_out.add_metric((), len(every) - len(self.shown))
        for live in self.shown:
            self._add(live)

    def family(self, name: str, text: str, *labels: str) -> GaugeMetricFamily:
        """Return a gauge of each rollout of this kind, with further labels."""
        return self._gauge(name, text, (*_WHO, *labels))

    def _gauge(self, name: str, text: str, labels: Sequence[str]) -> GaugeMetricFamily:
        from prometheus_client.core import GaugeMetricFamily

        return GaugeMetricFamily(f"{self.prefix}_{name}", text, labels=labels)

    def numbers(self, fields: Mapping[str, str]) -> list[GaugeMetricFamily]:
        """Return a gauge for each whole number of the status."""
        families: list[GaugeMetricFamily] = []
        for name, text in fields.items():
            family = self.family(f"status_{name}", text)
            for live in self.shown:
                family.add_metric(who(live), int(section(live, "status").get(name) or 0))
            families.append(family)
        return families

    def _add(self, live: type_json) -> None:
        spec, status = section(live, "spec"), section(live, "status")
        self.info.add_metric((*who(live), str(spec.get("model")), str(spec.get("version"))), 1)
        _one_hot(self.phase, who(live), self._phases, str(status.get("phase") or "Ready"))
        said = section(live, "status", "analysis").get("verdict")
        if said:
            _one_hot(self.verdict, who(live), _VERDICTS, str(said))


def who(live: type_json) -> tuple[str, str]:
    """Return what names a rollout: namespace and name."""
    meta = metadata_of(live)
    return str(meta.get("namespace")), str(meta.get("name"))


def _rank(live: type_json) -> tuple[bool, int, str, str]:
    meta, status = metadata_of(live), section(live, "status")
    over = status.get("phase") in OVER
    return over, -int(status.get("generation") or 0), str(meta.get("namespace")), str(meta.get("name"))


def _edge(every: Sequence[type_json]) -> list[GaugeMetricFamily]:
    kind = _Kind("aiplatform_edge_rollout", get_args(Phase), every)
    nodes = kind.family("status_nodes", "Nodes of the rollout by their state.", "state")
    owed = kind.family("status_owed", "Nodes that get the release when they return.")
    for live in kind.shown:
        states = section(live, "status", "nodes")
        for state in get_args(NodeState):
            nodes.add_metric((*who(live), state), int(states.get(state) or 0))
        owed.add_metric(who(live), len(section(live, "status").get("owed") or ()))
    numbers = kind.numbers(
        {
            "wave": "Index of the wave under way, from 0.",
            "total": "Nodes that the rollout concerns.",
            "healthy": "Nodes healthy on the release after probation.",
            "failed": "Nodes that failed on the release.",
            "offline": "Nodes that are offline.",
        }
    )
    return [kind.info, kind.phase, *numbers, nodes, owed, kind.verdict, kind.left_out]


def _canaries(every: Sequence[type_json]) -> list[GaugeMetricFamily]:
    kind = _Kind("aiplatform_canary_rollout", get_args(CanaryPhase), every)
    numbers = kind.numbers(
        {
            "step": "Index of the step under way, from 0.",
            "percent": "Share of the traffic that the new version was last seen to be given.",
        }
    )
    return [kind.info, kind.phase, *numbers, kind.verdict, kind.left_out]


def _one_hot(family: GaugeMetricFamily, who: Sequence[str], values: Sequence[str], present: str) -> None:
    for value in values:
        family.add_metric((*who, value), float(value == present))


def _looks(looks: Mapping[str, Looks]) -> list[Metric]:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    name, by = f"{_CONTROLLER}_reconcile", ("controller",)
    ended = CounterMetricFamily(name, "Looks by how they ended.", labels=(*by, "result"))
    errors = CounterMetricFamily(f"{name}_errors", "Looks that ended with an error.", labels=by)
    took = HistogramMetricFamily(f"{name}_time_seconds", "How long looks took.", labels=by)
    for controller, counted in looks.items():
        for result, count in counted.ended.items():
            ended.add_metric((controller, result), count)
        errors.add_metric((controller,), counted.ended["error"])
        bounds = (*map(repr, _BOUNDS), "+Inf")
        buckets = list(zip(bounds, map(float, accumulate(counted.buckets)), strict=True))
        took.add_metric((controller,), buckets, counted.seconds)
    return [ended, errors, took]
