"""What a Prometheus may scrape of the controllers: each rollout's state as its status says it, and how the looks went.

Names follow kube-state-metrics (``…_status_phase`` is one-hot: one series per phase, one of them 1) and controller-runtime
(looks as counters and a histogram). No series names a node, and of very many rollouts only those that matter most are exposed:
a fleet of any size costs a bounded number of series. Text format:
https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.canary.state import Phase as CanaryPhase
from ai_platform_mcp.domain.objects import metadata_of, section
from ai_platform_mcp.domain.rollout.state import OVER, NodeState, Phase

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_ROLLOUTS = 100
"""Rollouts of a kind that are exposed: about thirty series each. Those under way come first, then the newest."""
_CONTROLLER = "aiplatform_controller"
_VERDICTS = ("pending", "pass", "fail", "inconclusive")
_BOUNDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds of a look: a small fleet takes hundredths, a wave of a large one minutes."""

Look = Literal["success", "conflict", "error"]
Labels = Mapping[str, str]


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


@dataclass
class _Family:
    """One metric: its samples under one head."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    rows: list[tuple[str, Labels, float]] = field(default_factory=list[tuple[str, Labels, float]])

    def add(self, value: float, labels: Labels, suffix: str = "") -> None:
        self.rows.append((suffix, labels, value))

    def lines(self) -> Iterable[str]:
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for suffix, labels, value in self.rows:
            inner = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            braces = f"{{{inner}}}" if inner else ""
            yield f"{self.name}{suffix}{braces} {value:.10g}"


def exposition(
    edge: Sequence[type_json], canaries: Sequence[type_json], looks: Mapping[str, Looks], *, leads: bool
) -> str:
    """Return everything in Prometheus' text format: EdgeRollouts, CanaryRollouts, and each controller's looks by its name."""
    leader = _Family(f"{_CONTROLLER}_leader", "gauge", "Whether this process holds the lease, or needs none.")
    leader.add(float(leads), {})
    families = [*_edge(edge), *_canaries(canaries), *_looks(looks), leader]
    return "\n".join(line for family in families for line in family.lines()) + "\n"


class _Kind:
    """What is exposed of any kind of rollout, under its own prefix."""

    def __init__(self, prefix: str, phases: Sequence[str], every: Sequence[type_json]):
        self.prefix, self._phases = prefix, phases
        self.shown = sorted(every, key=_rank)[:MOST_ROLLOUTS]
        self.info = self.family("info", "The release that the rollout brings.")
        self.phase = self.family("status_phase", "The rollout's phase: 1 for the present one.")
        self.verdict = self.family("status_analysis", "What analysis says: 1 for the present verdict.")
        self.left_out = self.family("left_out", f"Rollouts that are not exposed, beyond {MOST_ROLLOUTS}.")
        self.left_out.add(len(every) - len(self.shown), {})
        for live in self.shown:
            self._add(live)

    def family(self, name: str, text: str) -> _Family:
        """Return a gauge of this kind."""
        return _Family(f"{self.prefix}_{name}", "gauge", text)

    def numbers(self, fields: Mapping[str, str]) -> list[_Family]:
        """Return a gauge for each whole number of the status."""
        families: list[_Family] = []
        for name, text in fields.items():
            family = self.family(f"status_{name}", text)
            for live in self.shown:
                family.add(int(section(live, "status").get(name) or 0), who(live))
            families.append(family)
        return families

    def _add(self, live: type_json) -> None:
        spec, status = section(live, "spec"), section(live, "status")
        self.info.add(1, {**who(live), "model": str(spec.get("model")), "version": str(spec.get("version"))})
        _one_hot(self.phase, who(live), "phase", self._phases, str(status.get("phase") or "Ready"))
        said = section(live, "status", "analysis").get("verdict")
        if said:
            _one_hot(self.verdict, who(live), "verdict", _VERDICTS, str(said))


def who(live: type_json) -> dict[str, str]:
    """Return the labels that name a rollout."""
    meta = metadata_of(live)
    return {"namespace": str(meta.get("namespace")), "rollout": str(meta.get("name"))}


def _rank(live: type_json) -> tuple[bool, int, str, str]:
    meta, status = metadata_of(live), section(live, "status")
    over = status.get("phase") in OVER
    return over, -int(status.get("generation") or 0), str(meta.get("namespace")), str(meta.get("name"))


def _edge(every: Sequence[type_json]) -> list[_Family]:
    kind = _Kind("aiplatform_edge_rollout", get_args(Phase), every)
    nodes = kind.family("status_nodes", "Nodes of the rollout by their state.")
    owed = kind.family("status_owed", "Nodes that get the release when they return.")
    for live in kind.shown:
        states = section(live, "status", "nodes")
        for state in get_args(NodeState):
            nodes.add(int(states.get(state) or 0), {**who(live), "state": state})
        owed.add(len(section(live, "status").get("owed") or ()), who(live))
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


def _canaries(every: Sequence[type_json]) -> list[_Family]:
    kind = _Kind("aiplatform_canary_rollout", get_args(CanaryPhase), every)
    numbers = kind.numbers(
        {
            "step": "Index of the step under way, from 0.",
            "percent": "Share of the traffic that the new version was last seen to be given.",
        }
    )
    return [kind.info, kind.phase, *numbers, kind.verdict, kind.left_out]


def _one_hot(family: _Family, who: Labels, label: str, values: Sequence[str], present: str) -> None:
    for value in values:
        family.add(float(value == present), {**who, label: value})


def _looks(looks: Mapping[str, Looks]) -> list[_Family]:
    ended = _Family(f"{_CONTROLLER}_reconcile_total", "counter", "Looks by how they ended.")
    errors = _Family(f"{_CONTROLLER}_reconcile_errors_total", "counter", "Looks that ended with an error.")
    took = _Family(f"{_CONTROLLER}_reconcile_time_seconds", "histogram", "How long looks took.")
    for name, counted in looks.items():
        who = {"controller": name}
        for result, count in counted.ended.items():
            ended.add(count, {**who, "result": result})
        errors.add(counted.ended["error"], who)
        below = 0
        for bound, count in zip((*map(repr, _BOUNDS), "+Inf"), counted.buckets, strict=True):
            below += count
            took.add(below, {**who, "le": bound}, "_bucket")
        took.add(counted.seconds, who, "_sum")
        took.add(below, who, "_count")
    return [ended, errors, took]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
