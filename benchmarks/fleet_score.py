"""What came of a run, told from what the nodes truly ran; the controller's word is what is being judged."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ai_platform_mcp.controllers.edge.observe import mark_annotation
from ai_platform_mcp.manifests.edge import Release, release_node_label
from ai_platform_mcp.sandbox.kube.storage import Change
from ai_platform_mcp.sandbox.kube.store import Store
from benchmarks.fleet_faults import Script
from benchmarks.fleet_life import Life
from benchmarks.fleet_nodes import Device
from benchmarks.fleet_pods import Json
from benchmarks.fleet_time import BEGIN as WORLD
from benchmarks.fleet_time import HandLoop
from benchmarks.fleet_windows import Window, closed_for

LAG = 60.0
"""Seconds in which the cluster itself cannot know better: a dead node counts as ready for 50 s, and a kubelet takes its time."""
OLD = "1"


@dataclass
class Score:
    """One run in numbers. Times are seconds since the rollout was asked for."""

    seed: int
    nodes: int
    bad: str | None
    phase: str
    reason: str
    message: str
    claims: int = 0
    """How often success was told."""
    wrong: list[str] = field(default_factory=list[str])
    """What was not so when success, or a node's commit, was told."""
    rolled_back: bool = False
    causes: list[str] = field(default_factory=list[str])
    """Of a rollback: what truly ailed the nodes that were given up."""
    beyond_canary: int = 0
    analysed: bool = False
    inconclusive: int = 0
    """How often analysis could not tell, and the rollout was paused."""
    windows: int = 0
    """Sites with a maintenance window."""
    began_in_windows: int = 0
    """Nodes of such sites that began an activation."""
    outside: list[str] = field(default_factory=list[str])
    """Nodes that began one outside of it."""
    converged_after: float | None = None
    late: int = 0
    late_converged: int = 0
    late_times: list[float] = field(default_factory=list[float])
    left_wrong: list[str] = field(default_factory=list[str])
    counts: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    answers: int = 0
    killed: int = 0
    restarts: int = 0
    lasted: float = 0.0
    log: str = ""
    """Digest of everything that changed, and when."""
    wall_seconds: float = 0.0


class Witness:
    """Hears every change that the API server takes, and looks at the nodes themselves."""

    def __init__(
        self,
        life: Life,
        store: Store,
        loop: HandLoop,
        model: str,
        release: Release,
        begin: float,
        windows: Mapping[str, Window],
    ):
        self.answers = 0
        self._windows = windows
        self._inconclusive = self._began = 0
        self._outside: list[str] = []
        self._life, self._store, self._loop, self._begin = life, store, loop, begin
        self._new = release.version
        self._mark, self._label = mark_annotation(model), release_node_label(model)
        self._live: Json = {}
        self._phase = ""
        self._phases: dict[str, float] = {}
        self._offline_at_success: set[str] = set()
        self._wrong: list[str] = []
        self._claims = 0
        self._log = hashlib.sha256()
        self._now: tuple[float, list[str]] = (0.0, [])
        store.storage.listeners.append(self._heard)

    def begin(self, live: Json) -> None:
        """Note what was asked for."""
        self._live = live

    # --------------------------------------------------------------------------------------------------- while it runs

    def _heard(self, bucket: str, change: Change) -> None:
        if bucket == "edgerollouts.edge.aiplatform.dev":
            self._write_down(bucket, change, change.obj.get("status"))
            self._heard_rollout(change.obj.get("status") or {})
        elif bucket == "nodes":
            meta = change.obj["metadata"]
            mark = (meta.get("annotations") or {}).get(self._mark, "")
            ready = _ready(change.obj).get("status")
            self._write_down(bucket, change, [meta.get("labels"), mark, ready])
            before = (change.before or {}).get("metadata") or {}
            said = (before.get("annotations") or {}).get(self._mark, "")
            if mark and '"committed"' in mark and '"committed"' not in said:
                self._told_of_node(self._life.devices[meta["name"]], "committed")
            label = (before.get("labels") or {}).get(self._label)
            if change.kind != "DELETED" and label != self._new == (meta.get("labels") or {}).get(self._label):
                self._activated(self._life.devices[meta["name"]])
        elif bucket == "pods":
            self._write_down(bucket, change, change.obj.get("status"))

    def _activated(self, device: Device) -> None:
        """Judge a node that begins to change by its site's window; a write that was on its way when it closed is let pass."""
        window = self._windows.get(device.site)
        if window is None:
            return
        self._began += 1
        late = closed_for(window, self._loop.moment)
        if late > LAG:
            since = self._loop.moment - self._begin
            self._outside.append(f"{since:.0f} s: {device.name} began outside of {window} ({late:.0f} s after it)")

    def _write_down(self, bucket: str, change: Change, what: object) -> None:
        """Keep the digest; what happens at one moment has no order."""
        moment, lines = self._now
        if moment != self._loop.moment:
            self._log.update("\n".join([f"{moment:.6f}", *sorted(lines)]).encode())
            self._now = self._loop.moment, (lines := [])
        lines.append(json.dumps([bucket, change.kind, change.key, what], sort_keys=True))

    def _heard_rollout(self, status: Json) -> None:
        phase = status.get("phase", "")
        if phase == self._phase:
            return
        self._phase = phase
        self._inconclusive += phase == "Paused" and status.get("reason") == "inconclusive"
        self._phases.setdefault(phase, self._loop.moment - self._begin)
        if phase == "Succeeded":
            self._claims += 1
            self._offline_at_success = {name for name in self._life.devices if not self._online(name)}
            for device in self._life.devices.values():
                if self._online(device.name) and not self._given_up(device.name):
                    self._told_of_node(device, "counted in a success")

    def _told_of_node(self, device: Device, what: str) -> None:
        """Note a word that is wrong, and was so for long enough that the cluster knew better."""
        ready = _ready(self._node(device.name))
        changed = datetime.fromisoformat(ready["lastTransitionTime"])
        known_for = self._loop.moment - (changed - WORLD).total_seconds()
        if ready["status"] == "True" and known_for < LAG and device.last_well.get(self._new):
            return
        if what != "committed" and (ready["status"] != "True" or known_for < LAG):
            return
        unwell = device.unwell_for(self._new)
        if unwell > LAG:
            how = "never did" if unwell == float("inf") else f"has not for {unwell:.0f} s"
            self._wrong.append(
                f"{self._loop.moment - self._begin:.0f} s: {device.name} {what}, but {how} serve {self._new}"
            )

    # --------------------------------------------------------------------------------------------------------- the end

    def score(self, seed: int, script: Script, counts: dict[str, dict[str, int]], killed: int, restarts: int) -> Score:
        """Return what came of it all."""
        kept = self._store.storage.bucket("edgerollouts.edge.aiplatform.dev").objects
        status = next(iter(kept.values())).get("status") or {}
        self._log.update("\n".join(sorted(self._now[1])).encode())
        score = Score(
            seed=seed,
            nodes=len(self._life.devices),
            bad=script.bad,
            phase=status.get("phase", ""),
            reason=status.get("reason", ""),
            message=status.get("message", ""),
            claims=self._claims,
            wrong=self._wrong,
            analysed=script.analysed,
            inconclusive=self._inconclusive,
            windows=len(self._windows),
            began_in_windows=self._began,
            outside=self._outside,
            rolled_back="RollingBack" in self._phases or "RolledBack" in self._phases,
            counts=counts,
            answers=self.answers,
            killed=killed,
            restarts=restarts,
            lasted=self._loop.moment - self._begin,
            log=self._log.hexdigest(),
        )
        score.converged_after = self._phases.get("Succeeded", self._phases.get("RolledBack"))
        score.causes = [self._cause(name, script) for name in status.get("failures") or {}] if score.rolled_back else []
        score.beyond_canary = self._beyond()
        self._late(score)
        score.left_wrong = [text for name in sorted(self._life.devices) if (text := self._left(name, score.phase))]
        return score

    def _cause(self, name: str, script: Script) -> str:
        fate = script.fates[name]
        if script.bad is not None:
            return "bad model"
        return (
            "broken node" if fate.broken else "node that lost power" if fate.vanishing or fate.absences else "good node"
        )

    def _beyond(self) -> int:
        canary = {site for wave in self._live["spec"]["waves"] if wave.get("canary") for site in wave["sites"]}
        return sum(self._new in row.ran for row in self._life.devices.values() if row.site not in canary)

    def _late(self, score: Score) -> None:
        """Count who was away when success was told, came back, and is here to stay."""
        success = self._phases.get("Succeeded")
        if success is None or score.phase != "Succeeded":
            return
        for name in sorted(self._offline_at_success):
            device = self._life.devices[name]
            if not device.reached or device.fate.broken or device.back_at - self._begin < success:
                continue
            if device.site in self._windows:  # it waits for its window, as it should
                continue
            score.late += 1
            if device.well(self._new):
                score.late_converged += 1
                score.late_times.append(max(0.0, device.well_since[self._new] - device.back_at))

    def _left(self, name: str, phase: str) -> str:
        """Return what is wrong with a node at the end, empty where nothing is; who is not reached cannot be judged."""
        device = self._life.devices[name]
        if not device.reached:
            return ""
        node = self._node(name)
        label = node["metadata"]["labels"].get(self._label, "")
        runs = device.runs()
        if runs - {label}:
            return f"{name} runs {sorted(runs)} and is labelled {label!r}"
        if label and not device.well(label) and not (label == self._new and device.fate.broken):
            return f"{name} is labelled {label!r} and does not serve it"
        window = self._windows.get(device.site)
        may = window is None or not closed_for(window, self._loop.moment)
        if phase == "Succeeded" and label != self._new and may and not self._given_up(name):
            return f"{name} runs {label!r} after a success"
        if phase == "RolledBack" and label not in (OLD, ""):
            return f"{name} runs {label!r} after a rollback"
        return ""

    def _node(self, name: str) -> Json:
        return self._store.storage.bucket("nodes").objects["", name]

    def _online(self, name: str) -> bool:
        return _ready(self._node(name)).get("status") == "True"

    def _given_up(self, name: str) -> bool:
        text = (self._node(name)["metadata"].get("annotations") or {}).get(self._mark)
        return bool(text) and json.loads(text).get("state") == "failed"


def _ready(node: Json) -> Json:
    rows = (node.get("status") or {}).get("conditions") or []
    return next((row for row in rows if row["type"] == "Ready"), {})


def tally(scores: list[Score]) -> Counter[str]:
    """Return how often each phase was the end."""
    return Counter(row.phase for row in scores)
