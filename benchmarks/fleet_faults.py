"""What befalls a simulated fleet: drawn from a seed alone, before anything runs, at rates that are stated here."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

MINUTE, HOUR = 60.0, 3600.0
OFFLINE_AT_START = 0.06
COMES_AND_GOES = 0.10
FLAPS = 0.02
VANISHES_WHEN_ACTIVATED = 0.03
BROKEN = 0.004
SLOW_LINE = 0.10
REPLACED = 0.02
"""Of the nodes that go away: how many come back as another machine under the same name."""
BAD_MODEL = 1 / 3
THROTTLED_REGISTRY = 0.2
THROTTLED_SHARE = 0.3
API_RESTARTS = 0.5
SECOND_CONTROLLER = 0.2
PAUSED_BY_A_PERSON = 0.2
STAGED = 0.5
KILLS = 3
ANALYSED = 0.3
"""Of the runs: with analysis, and a metrics store to measure by."""
BAD_BY_MEASURE = 0.4
"""Of those: with a model that only analysis can tell from a good one."""
WINDOWED, WINDOWED_SITES = 0.12, 0.3
"""Runs with maintenance windows, and the share of their sites that have one."""

Bad = Literal["crashes", "lies", "hangs", "leaks", "picky", "fails", "slow"]
BAD: tuple[Bad, ...] = ("crashes", "lies", "hangs", "leaks", "picky")
"""A bad model ends at once, answers the golden inputs wrongly, never becomes ready, ends some minutes after it became ready (two
to twenty), or ends at once on a part of the nodes only (four in ten)."""
MEASURED: tuple[Bad, ...] = ("fails", "slow")
"""Bad although its pods are ready and its golden answers right: calls fail, or take long (``fleet_traffic`` says how many)."""
PICKY_SHARE = 0.4


@dataclass(frozen=True)
class Absence:
    """A node is gone from ``begin`` to ``end`` (seconds). Without power its containers end, else only its line is dead."""

    begin: float
    end: float
    power: bool
    loses_pods: bool = False
    replaced: bool = False
    """Somebody puts a new machine in its place: no pods, no images, none of the labels and marks that others wrote."""


@dataclass(frozen=True)
class Vanishing:
    """Power fails ``delay`` seconds after the release's container began to run there for the first time, for ``seconds``."""

    delay: float
    seconds: float
    loses_pods: bool


@dataclass
class Fate:
    """What befalls one node."""

    pull_seconds: float
    ready_seconds: float
    absences: list[Absence] = field(default_factory=list[Absence])
    vanishing: Vanishing | None = None
    broken: bool = False
    """Whatever is new ends at once here: a full disk, a driver that does not fit."""
    throttled: bool = False
    bad_here: bool = False
    """Whether a bad model is bad on this node."""
    leaks_after: float = 0.0


@dataclass
class Script:
    """What befalls a run. Controllers are killed, and the API server, at writes counted from the start."""

    fates: dict[str, Fate]
    bad: Bad | None = None
    staged: bool = False
    throttling: tuple[float, float] | None = None
    kills: tuple[tuple[int, bool, float], ...] = ()
    """At which write, whether the write is still done, and for how many seconds nobody is there."""
    api_restart: tuple[int, bool, float] | None = None
    second: tuple[float, float] | None = None
    pause: tuple[float, float] | None = None
    analysed: bool = False
    windows: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """By site: the minutes of each day (UTC) between which its nodes may change."""

    @property
    def last(self) -> float:
        """When the last of those who come back is back."""
        ends = [row.end for fate in self.fates.values() for row in fate.absences]
        return max([end for end in ends if end != float("inf")], default=0.0)


def script(seed: int, nodes: list[str], sites: Sequence[str] = (), asked: int = 0) -> Script:
    """Return what befalls the run of a seed, whose rollout is asked for in such a minute of the day."""
    chance = random.Random(f"fleet-{seed}")
    bad = chance.choice(BAD) if chance.random() < BAD_MODEL else None
    fates = {name: _fate(random.Random(f"fleet-{seed}-{name}")) for name in nodes}
    writes = max(12, 2 * len(nodes))
    kills = sorted(
        (chance.randrange(2, writes), chance.random() < 0.5, chance.uniform(1, 30))
        for _ in range(chance.randint(0, KILLS))
    )
    restart = (chance.randrange(2, writes), chance.random() < 0.5, chance.uniform(5, 60))
    begin = chance.uniform(0, HOUR)
    second = (begin, begin + chance.uniform(MINUTE, 10 * MINUTE))
    paused = chance.uniform(0, HOUR)
    found = Script(
        fates=fates,
        bad=bad,
        staged=chance.random() < STAGED,
        throttling=(0.0, chance.uniform(5, 40) * MINUTE) if chance.random() < THROTTLED_REGISTRY else None,
        kills=tuple(kills),
        api_restart=restart if chance.random() < API_RESTARTS else None,
        second=second if chance.random() < SECOND_CONTROLLER else None,
        pause=(paused, paused + chance.uniform(5, 60) * MINUTE) if chance.random() < PAUSED_BY_A_PERSON else None,
    )
    return _more(found, random.Random(f"fleet-measured-{seed}"), sites, asked)


def _more(found: Script, chance: random.Random, sites: Sequence[str], asked: int) -> Script:
    """Add what has draws of its own, so that it changes nothing in the seeds without it."""
    found.analysed = chance.random() < ANALYSED
    if found.analysed and chance.random() < BAD_BY_MEASURE:
        found.bad = chance.choice(MEASURED)
    if chance.random() < WINDOWED:
        for site in [site for site in sites if chance.random() < WINDOWED_SITES]:
            begin = asked + chance.randrange(-60, 300)
            found.windows[site] = begin % 1440, (begin + chance.randrange(60, 180)) % 1440
    return found


def _fate(chance: random.Random) -> Fate:
    fate = Fate(
        pull_seconds=min(600.0, chance.lognormvariate(4.4, 0.5)),
        ready_seconds=chance.uniform(10, 45),
        throttled=chance.random() < THROTTLED_SHARE,
        bad_here=chance.random() < PICKY_SHARE,
        leaks_after=chance.uniform(2, 20) * MINUTE,
    )
    if chance.random() < SLOW_LINE:
        fate.pull_seconds = chance.uniform(10, 60) * MINUTE
    fate.broken = chance.random() < BROKEN
    if chance.random() < VANISHES_WHEN_ACTIVATED:
        fate.vanishing = Vanishing(chance.uniform(0, 60), chance.uniform(0.3, 30) * MINUTE, chance.random() < 0.5)
    fate.absences = sorted(_absences(chance), key=lambda row: row.begin)
    return fate


def _absences(chance: random.Random) -> list[Absence]:
    if chance.random() < OFFLINE_AT_START:
        end = chance.choice([chance.uniform(0, 2 * HOUR), chance.uniform(2 * HOUR, 6 * HOUR), float("inf")])
        return [Absence(-HOUR, end, power=chance.random() < 0.5, replaced=chance.random() < REPLACED)]
    if chance.random() < FLAPS:
        return list(_flapping(chance))
    if chance.random() < COMES_AND_GOES:
        begin = chance.uniform(0, 2 * HOUR)
        long = begin + min(6 * HOUR, chance.lognormvariate(6.2, 1.5))
        power = chance.random() < 0.5
        return [Absence(begin, long, power, power and chance.random() < 0.3, chance.random() < REPLACED)]
    return []


def _flapping(chance: random.Random) -> Iterator[Absence]:
    moment = chance.uniform(0, HOUR)
    end = moment + chance.uniform(0.5, 2) * HOUR
    while moment < end:
        back = moment + chance.uniform(20, 300)
        yield Absence(moment, back, power=chance.random() < 0.3)
        moment = back + chance.uniform(20, 300)
