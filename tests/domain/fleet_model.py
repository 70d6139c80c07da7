"""A fleet that behaves, and a controller that may be stopped between any two of its writes, for tests of the rollout rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ai_platform_mcp.domain.rollout.engine import advance
from ai_platform_mcp.domain.rollout.state import (
    Mark,
    Next,
    NodeSeen,
    PodSeen,
    Progress,
    Rollout,
    SiteSeen,
    Verdict,
)

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
OLD = "1"


@dataclass
class Device:
    """One node: what it runs, and how it takes the new release."""

    name: str
    site: str
    takes: str = "well"
    """``well``, ``crashes``, ``lies`` (golden inputs differ), ``slow`` (never done pulling), ``hangs`` (starts, never ready)."""
    away: tuple[tuple[int, int], ...] = ()
    """Spans of seconds since the start in which it is offline."""
    version: str = OLD
    mark: Mark | None = None
    since: datetime = START - timedelta(days=1)
    begun: datetime = START - timedelta(days=1)
    """When it began to run what it runs now: the release changed, or it came back."""
    moved: datetime = START - timedelta(days=1)
    """When the pod that runs was made: when the release changed."""
    reboots: int = 0
    """How often it came back since: each time its pod's container is started again."""

    def online_at(self, now: datetime) -> bool:
        second = (now - START).total_seconds()
        return not any(begin <= second < end for begin, end in self.away)

    def tick(self, before: datetime, now: datetime) -> None:
        if self.online_at(now) != self.online_at(before):
            self.since = now
            self.begun = now
            self.reboots += self.online_at(now)

    def pod(self, now: datetime, new: str) -> PodSeen | None:
        if not self.version:
            return None
        age = (now - self.begun).total_seconds()
        started = self.begun + timedelta(seconds=20)
        ready = self.begun + timedelta(seconds=30)
        pod = PodSeen(version=self.version, created_at=self.moved, restarts=self.reboots)
        if self.version != new or self.takes == "well":
            there = age >= 30
            return pod.model_copy(
                update={
                    "pulled": age >= 20,
                    "started_at": started if age >= 20 else None,
                    "ready_since": ready if there else None,
                    "golden": "pass" if there else "running",
                    "digest_matches": True if age >= 20 else None,
                }
            )
        if self.takes == "slow":
            return PodSeen(version=new, waiting="ErrImagePull", throttled=True)
        if age < 20:
            return PodSeen(version=new)
        if self.takes == "crashes":
            crashes = int(age // 20)
            return pod.model_copy(
                update={
                    "pulled": True,
                    "started_at": started,
                    "restarts": self.reboots + crashes,
                    "crashed_at": self.begun + timedelta(seconds=20 * crashes),
                    "waiting": "CrashLoopBackOff" if crashes > 1 else "",
                }
            )
        golden = "fail" if self.takes == "lies" and age >= 40 else "running"
        return PodSeen(version=new, pulled=True, started_at=started, golden=golden)


@dataclass
class Fleet:
    """Devices, the rollout over them, and what the controller left behind."""

    rollout: Rollout
    devices: list[Device]
    progress: Progress = field(default_factory=Progress)
    now: datetime = START
    sites: dict[str, SiteSeen] = field(default_factory=dict)
    verdict: Verdict = "none"
    touched: set[str] = field(default_factory=set)
    writes: int = 0
    last: Next | None = None
    claims: list[tuple[set[str], set[str], int]] = field(default_factory=list)
    """At every claim of success: nodes that ran the release and were online, those of them that were well, and failures."""

    def seen(self) -> list[NodeSeen]:
        new = self.rollout.release.version
        return [
            NodeSeen(
                name=one.name,
                site=one.site,
                online=one.online_at(self.now),
                since=one.since,
                version=one.version,
                mark=one.mark,
                pod=one.pod(self.now, new) if one.online_at(self.now) else None,
            )
            for one in self.devices
        ]

    def look(self, stop_after: int | None = None) -> Next:
        """Let the controller look once; ``stop_after`` kills it after that many writes, before its status."""
        answer = advance(self.rollout, self.progress, self.seen(), self.sites, self.verdict, self.now)
        by_name = {one.name: one for one in self.devices}
        for place, patch in enumerate(answer.patches):
            if stop_after is not None and place >= stop_after:
                return answer
            device = by_name[patch.node]
            device.mark = patch.mark
            self.writes += 1
            if patch.release is not None and patch.release != device.version:
                if patch.release == self.rollout.release.version:
                    assert device.online_at(self.now), f"{device.name} was moved while it was offline"
                    self.touched.add(device.name)
                device.version, device.begun = patch.release, self.now
                device.moved, device.reboots = self.now, 0
        if stop_after is None:
            if answer.progress.phase == "Succeeded" != self.progress.phase:
                self.claims.append(self._claim())
            self.progress = answer.progress
        self.last = answer
        return answer

    def run(self, seconds: int, step: int = 15, kills: tuple[int, ...] = ()) -> Progress:
        """Let time pass; at each look listed in ``kills`` (by number) the controller dies after its first write."""
        looks = 0
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            self.look(stop_after=1 if looks in kills else None)
            looks += 1
            before, self.now = self.now, self.now + timedelta(seconds=step)
            for one in self.devices:
                one.tick(before, self.now)
        self.look()
        return self.progress

    def _claim(self) -> tuple[set[str], set[str], int]:
        new = self.rollout.release.version
        running = {one.name for one in self.devices if one.version == new and one.online_at(self.now)}
        return running, {one.name for one in self.truly_well()}, len(self.failed())

    def failed(self) -> set[str]:
        """Nodes that the controller gave up on."""
        return {one.name for one in self.devices if one.mark is not None and one.mark.state == "failed"}

    def truly_well(self) -> list[Device]:
        """Devices that run the release and answer, whatever the controller believes."""
        new = self.rollout.release.version
        found = [one for one in self.devices if one.version == new and one.online_at(self.now)]
        return [one for one in found if (pod := one.pod(self.now, new)) and pod.ready_since and pod.golden == "pass"]
