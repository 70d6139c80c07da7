"""What is measured of what happens: shares, faults, nodes that go and return; nothing is written twice."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ai_platform_mcp.sandbox import seed
from ai_platform_mcp.sandbox.life.signals import EDGE_RPS, WorldSignals
from ai_platform_mcp.sandbox.life.world import Conduct, Place
from ai_platform_mcp.sandbox.prometheus.model import NAME, Matcher
from ai_platform_mcp.sandbox.prometheus.serving import ServedModel
from ai_platform_mcp.sandbox.prometheus.world import MetricsWorld
from prometheus_support import FixedClock

NODES = {node.name: node for node in seed.metric_nodes()}
NODE = "edge-us-south-1-01"
CLOUD, EDGE = Place("m", "vision-prod"), Place("m", "vision-prod", "edge", NODE)
SERVED = (ServedModel("m", "1", "vision-prod", "vision", rps=20.0),)
TOTAL = "http_server_request_duration_seconds_count"
MINUTE = 60_000


class Measured:
    """A metrics world and what says to it."""

    def __init__(self, folder: Path):
        self.path, self.clock = folder / "m.sqlite", FixedClock()
        self.restart()

    def restart(self) -> None:
        self.world = MetricsWorld(self.path, self.clock, seed=1)
        self.signals = WorldSignals(self.world, NODES, SERVED)

    async def say(self, *told: tuple[Place, dict[str, float], dict[str, Conduct]], minutes: float = 10) -> None:
        self.signals.begin()
        for place, shares, conduct in told:
            self.signals.serves(place, shares, conduct)
        await self.signals.settle()
        self.clock.forward(minutes * 60)

    def rate(self, metric: str, minutes: float = 8, **labels: str) -> float:
        """Per second over the last minutes, all series together."""
        now = self.world.now_ms()
        matchers = [Matcher.of(NAME, "=", metric), *(Matcher.of(name, "=", value) for name, value in labels.items())]
        start = now - int(minutes * MINUTE)
        grown = [self.world.growth(row, start, now) for row in self.world.series(matchers, start, now)]
        return sum(1000 * one.grown / (one.last[0] - one.first[0]) for one in grown if one and one.count > 1)

    def events(self) -> int:
        with closing(sqlite3.connect(self.path)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM metric_events").fetchone()
            return int(count)


async def test_canary_and_stable_take_the_shares_that_are_said_and_the_edge_takes_from_the_cloud(tmp_path: Path):
    measured = Measured(tmp_path)
    await measured.say((CLOUD, {"1": 0.9, "2": 0.1}, {}))
    both = [measured.rate(TOTAL, target="cloud", version=version) for version in ("1", "2")]
    assert both[1] / sum(both) == pytest.approx(0.1, abs=0.04)
    await measured.say((CLOUD, {"1": 0.5, "2": 0.5}, {}), (EDGE, {"1": 1.0}, {}))
    both = [measured.rate(TOTAL, target="cloud", version=version) for version in ("1", "2")]
    assert both[1] / sum(both) == pytest.approx(0.5, abs=0.1)
    assert measured.rate(TOTAL, target="edge", node=NODE, site="us-south-1") == pytest.approx(EDGE_RPS, rel=0.7)


async def test_a_fault_makes_one_version_fail_and_slow_and_ends_with_it(tmp_path: Path):
    measured = Measured(tmp_path)
    http = "http_server_request_duration_seconds"

    def failing(version: str) -> float:
        bad = measured.rate(f"{http}_count", version=version, http_response_status_code="500")
        return bad / measured.rate(f"{http}_count", version=version)

    def mean(version: str) -> float:
        return measured.rate(f"{http}_sum", version=version) / measured.rate(f"{http}_count", version=version)

    bad = {"2": Conduct(error_share=0.3, slower=5.0)}
    await measured.say((CLOUD, {"1": 0.5, "2": 0.5}, bad))
    assert failing("2") == pytest.approx(0.3, abs=0.08) and failing("1") < 0.02
    assert mean("2") > 4 * mean("1")
    await measured.say((CLOUD, {"1": 0.5, "2": 0.5}, {}))
    assert failing("2") < 0.02 and mean("2") == pytest.approx(mean("1"), rel=0.1)


async def test_golden_answers_are_counted_where_a_sidecar_asks_and_differ_as_said(tmp_path: Path):
    measured = Measured(tmp_path)
    await measured.say(
        (EDGE, {"1": 1.0}, {"1": Conduct(golden=True, differs=0.25)}),
        (Place("m", "vision-prod", "edge", "edge-us-south-1-02"), {"1": 1.0}, {}),
    )
    told = {
        result: measured.rate("aiplatform_golden_answers_total", result=result)
        for result in ("agree", "differ", "error")
    }
    assert told["differ"] / sum(told.values()) == pytest.approx(0.25, abs=0.02)
    now = measured.world.now_ms()
    rows = measured.world.series([Matcher.of(NAME, "=", "aiplatform_golden_answers_total")], now, now)
    assert {(dict(row)["node"], dict(row)["site"], dict(row)["version"]) for row in rows} == {(NODE, "us-south-1", "1")}


async def test_a_node_that_goes_stops_reporting_and_one_that_returns_starts_anew(tmp_path: Path):
    measured = Measured(tmp_path)
    await measured.say((EDGE, {"1": 1.0}, {}))
    await measured.say()
    assert measured.rate(TOTAL, node=NODE) == 0
    await measured.say((EDGE, {"1": 1.0}, {}), minutes=4)
    assert measured.rate(TOTAL, minutes=3, node=NODE) > 0


async def test_saying_the_same_again_writes_nothing_not_even_after_a_restart(tmp_path: Path):
    measured = Measured(tmp_path)
    told = (CLOUD, {"1": 0.9, "2": 0.1}, {"2": Conduct(error_share=0.2)}), (EDGE, {"1": 1.0}, {})
    await measured.say(*told)
    written = measured.events()
    await measured.say(*told)
    measured.restart()
    await measured.say(*told)
    assert measured.events() == written
