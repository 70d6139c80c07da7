"""What the simulated nodes answer to whom they serve, as a metrics store knows it that scrapes them; and that store over HTTP.

The store is the sandbox's, which evaluates the queries that the controller's own adapter sends. Its samples come from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from ai_platform_mcp.sandbox.prometheus.api import build_prometheus_app
from ai_platform_mcp.sandbox.prometheus.model import NAME, Family, Growth, LabelSet, Matcher, Sample, label_set, matches
from benchmarks.fleet_nodes import Device
from benchmarks.fleet_server import Protocols
from benchmarks.fleet_time import BEGIN, HandClock, HandLoop

EVERY = 60.0
"""Seconds between two scrapes of a node."""
LEAST_RATE, MOST_RATE = 0.1, 1.0
"""Calls a second that a node answers: drawn once per node."""
FAILS, FAILS_WHERE_BAD = 0.005, 0.08
SLOW, SLOW_WHERE_BAD = 0.04, 0.30
"""Shares of calls that fail, and that take longer than ``BOUNDARY`` seconds."""
BOUNDARY = "0.5"
_METRIC = "http_server_request_duration_seconds"


@dataclass
class _Counters:
    """What one node has counted of one version, and what was scraped of that."""

    calls: int = 0
    failed: int = 0
    slow: int = 0
    times: list[int] = field(default_factory=list[int])
    scraped: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])


class Traffic:
    """Calls to nodes, drawn from the seed minute by minute: a source of samples.

    Nodes answer while they have power and their pod is ready; a node whose line is dead still answers whoever is on its site,
    but is not scraped.
    """

    def __init__(
        self,
        loop: HandLoop,
        devices: Mapping[str, Device],
        labels: Mapping[str, str],
        new: str,
        bad: str | None,
        seed: int,
    ):
        self._loop, self._devices, self._labels = loop, devices, labels
        self._new, self._bad, self._seed = new, bad, seed
        self._chances: dict[str, random.Random] = {}
        self._rates: dict[str, float] = {}
        self._counters: dict[tuple[str, str], _Counters] = {}
        self._series: dict[LabelSet, tuple[_Counters, int]] = {}
        self._chosen: dict[tuple[Matcher, ...], list[LabelSet]] = {}

    async def run(self) -> None:
        """Let a minute's calls happen again and again, until cancelled."""
        while True:
            await anyio.sleep(EVERY)
            moment = int((BEGIN.timestamp() + self._loop.moment) * 1000)
            for device in self._devices.values():
                for version in sorted(device.serving()):
                    self._answer(device.name, version)
                if device.reached:
                    self._scrape(device.name, moment)

    def _answer(self, node: str, version: str) -> None:
        if node not in self._chances:
            self._chances[node] = random.Random(f"traffic-{self._seed}-{node}")
            self._rates[node] = self._chances[node].uniform(LEAST_RATE, MOST_RATE)
        chance, mean = self._chances[node], self._rates[node] * EVERY
        counters = self._counters.get((node, version)) or self._begin(node, version)
        bad = self._bad if version == self._new else None
        calls = max(0, round(chance.gauss(mean, math.sqrt(mean))))
        counters.calls += calls
        counters.failed += min(calls, _poisson(chance, calls * (FAILS_WHERE_BAD if bad == "fails" else FAILS)))
        counters.slow += min(calls, _poisson(chance, calls * (SLOW_WHERE_BAD if bad == "slow" else SLOW)))

    def _begin(self, node: str, version: str) -> _Counters:
        counters = self._counters[node, version] = _Counters()
        told = {**self._labels, "version": version, "node": node}
        for place, (suffix, extra) in enumerate(
            (
                ("count", {"http_response_status_code": "200"}),
                ("count", {"http_response_status_code": "500"}),
                ("bucket", {"le": BOUNDARY}),
                ("bucket", {"le": "+Inf"}),
            )
        ):
            self._series[label_set({**told, **extra, NAME: f"{_METRIC}_{suffix}"})] = counters, place
        self._chosen.clear()
        return counters

    def _scrape(self, node: str, moment: int) -> None:
        for version in {row.version for row in self._devices[node].copies.values() if row.serves}:
            counters = self._counters.get((node, version))
            if counters is not None:
                counters.times.append(moment)
                counters.scraped.append((counters.calls, counters.failed, counters.slow))

    # ------------------------------------------------------------------------------------------- as a source of samples

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[LabelSet]:
        """Label sets that pass every matcher."""
        key = tuple(matchers)
        if key not in self._chosen:
            self._chosen[key] = [labels for labels in self._series if matches(matchers, labels)]
        return self._chosen[key]

    def samples(self, labels: LabelSet, start_ms: int, end_ms: int) -> list[Sample]:
        """The samples of one series in the closed interval, oldest first."""
        counters, place = self._series[labels]
        span = range(bisect_left(counters.times, start_ms), bisect_right(counters.times, end_ms))
        return [_sample(counters, index, place) for index in span]

    def growth(self, labels: LabelSet, start_ms: int, end_ms: int) -> Growth | None:
        """The growth of one series in the closed interval, None without samples. Nothing ever begins at zero again."""
        counters, place = self._series[labels]
        first, last = bisect_left(counters.times, start_ms), bisect_right(counters.times, end_ms) - 1
        if last < first:
            return None
        begin, end = _sample(counters, first, place), _sample(counters, last, place)
        return Growth(begin, end, last - first + 1, end[1] - begin[1])

    def latest(self, labels: LabelSet, moments: Sequence[int], lookback_ms: int) -> list[Sample | None]:
        """For each moment, the newest sample of one series not after it and not older than the lookback."""
        counters, place = self._series[labels]
        found: list[Sample | None] = []
        for moment in moments:
            index = bisect_right(counters.times, moment) - 1
            there = index >= 0 and counters.times[index] >= moment - lookback_ms
            found.append(_sample(counters, index, place) if there else None)
        return found

    def families(self) -> list[Family]:
        """What the exporter says of itself."""
        return [Family(_METRIC, "histogram", "Duration of requests")]


def _sample(counters: _Counters, index: int, place: int) -> Sample:
    calls, failed, slow = counters.scraped[index]
    return counters.times[index], float((calls - failed, failed, calls - slow, calls)[place])


def _poisson(chance: random.Random, mean: float) -> int:
    """Draw a count (Knuth's way, which is quick for the small means of a minute)."""
    limit, drawn, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        drawn += 1
        product *= chance.random()
    return drawn


@contextlib.asynccontextmanager
async def scraped(traffic: Traffic, loop: HandLoop, clock: HandClock) -> AsyncGenerator[str]:
    """Serve a metrics store over the traffic until the end of the block; yields its URL. Answering takes no time."""
    app = build_prometheus_app(traffic, clock)

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        with loop.at_work():
            await app(scope, receive, send)

    protocols = Protocols(answer)
    serving = await asyncio.get_running_loop().create_server(protocols, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{serving.sockets[0].getsockname()[1]}"
    finally:
        serving.close()
        protocols.drop()
