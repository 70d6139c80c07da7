"""Who is compared with whom, what a measurement says when things are missing, and what the status remembers of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from ai_platform_mcp.controllers.analysis.analyst import Analyst, cadence
from ai_platform_mcp.controllers.analysis.measure import Question, measure
from ai_platform_mcp.controllers.analysis.status import remembered, status_form
from ai_platform_mcp.controllers.edge.analysed import analysed
from ai_platform_mcp.controllers.edge.sides import SPANS, comparisons_of, new_side
from ai_platform_mcp.core.errors import Unavailable
from ai_platform_mcp.domain.analysis.asked import analysis_for
from ai_platform_mcp.domain.analysis.judge import Check
from ai_platform_mcp.domain.analysis.sides import Comparison, Outcomes, Side, Span
from ai_platform_mcp.domain.rollout.state import Mark, NodeSeen, Progress, Release, Rollout, Wave

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ROLLOUT = Rollout(
    name="r", model="m", release=Release(version="2", digest="d"), generation=5, waves=(Wave(name="all", percent=100),)
)


def node(name: str, version: str, *, committed: float | None = None, previous: str = "1", **fields: Any) -> NodeSeen:
    mark = None
    if committed is not None:
        moment = NOW - timedelta(minutes=committed)
        mark = Mark(generation=5, version="2", previous=previous, state="committed", at=moment, seen=moment)
    given = {"site": "s", "region": "r", "online": True, "since": NOW, **fields}
    return NodeSeen(name=name, version=version, mark=mark, **given)


def against(nodes: Sequence[NodeSeen], control: Any = "Nodes", checks: tuple[Check, ...] = ("errors",)):
    new = new_side(ROLLOUT, "2", "edge", nodes)
    return new, comparisons_of(new, ROLLOUT, analysis_for(checks, control), nodes, timedelta(minutes=30))


def names(side: Side | str) -> set[str]:
    assert isinstance(side, Side)
    return {name for span in side.spans for name in span.nodes}


# --------------------------------------------------------------------------------------------------------------- sides


def test_nodes_count_from_their_own_commit_and_never_before_it():
    nodes = [node(f"n{place}", "2", committed=100 - place) for place in range(40)]
    new, _ = against(nodes)
    assert names(new) == {row.name for row in nodes} and len(new.spans) <= SPANS
    commits = {row.name: row.mark.seen for row in nodes if row.mark}
    assert all(span.since >= commits[name] for span in new.spans for name in span.nodes)


def test_controls_are_sought_in_the_same_sites_then_regions_then_anywhere():
    new = node("new", "2", committed=5)
    here = [node(f"here{place}", "1") for place in range(3)]
    near = [node(f"near{place}", "1", site="t") for place in range(3)]
    far = [node(f"far{place}", "1", site="u", region="q") for place in range(3)]
    _, (row,) = against([new, *here, *near, *far])
    assert names(row.control) == {"here0", "here1", "here2"}
    _, (row,) = against([new, *here[:2], *near, *far])
    assert names(row.control) == {"here0", "here1", "near0", "near1", "near2"}
    _, (row,) = against([new, *far])
    assert names(row.control) == {"far0", "far1", "far2"}


def test_who_failed_is_away_or_has_nothing_is_no_control():
    failed = node("failed", "1", committed=5)
    failed = failed.model_copy(
        update={"mark": failed.mark.model_copy(update={"state": "failed"}) if failed.mark else None}
    )
    rest = [node("away", "1", online=False), node("empty", ""), node("good", "1")]
    new, (row,) = against([node("new", "2", committed=5), failed, *rest])
    assert names(new) == {"new"} and names(row.control) == {"good"}


def test_where_nobody_is_left_the_same_nodes_are_compared_with_what_they_served_before():
    _, (row,) = against([node("a", "2", committed=5), node("b", "2", committed=3, previous="0")])
    assert isinstance(row.control, Side) and row.control.over and row.against == "same nodes before"
    assert row.control.versions == ("0", "1") and names(row.control) == {"a", "b"}
    assert row.control.spans[0].since == NOW - timedelta(minutes=35)
    _, (first,) = against([node("a", "2", committed=5, previous="")])
    assert isinstance(first.control, str) and "another release" in first.control


def test_the_cloud_is_compared_in_what_it_can_be_and_golden_answers_with_nodes():
    nodes = [node("a", "2", committed=5), node("b", "1")]
    _, rows = against(nodes, "Cloud", ("errors", "disagreement"))
    assert [(row.against, row.checks) for row in rows] == [("control nodes", ("disagreement",)), ("cloud", ("errors",))]
    _, rows = against(nodes, "Both", ("errors",))
    assert [row.against for row in rows] == ["control nodes", "cloud"]
    cloud = rows[1].control
    assert isinstance(cloud, Side) and cloud.target == "cloud" and not cloud.versions and not names(cloud)


# ----------------------------------------------------------------------------------------------------------- measuring


class Store:
    """Answers by target: what it was told, or the error that it was told."""

    def __init__(self, **answers: Outcomes | Exception | None):
        self.answers = answers
        self.asked = 0

    async def outcomes(self, check: Check, side: Side, source: str = "") -> Outcomes | None:
        self.asked += 1
        found = self.answers[f"{side.target}_{check}"]
        if isinstance(found, Exception):
            raise found
        return found if found is None or source in ("", found.source) else None


def sides(target: Any = "cloud") -> tuple[Side, Side]:
    new = Side(model="m", target="edge", spans=(Span(since=NOW, nodes=("a",)),), versions=("2",))
    return new, Side(model="m", target=target, spans=(Span(since=NOW),))


def question(waited: float, *checks: Check) -> Question:
    new, control = sides()
    rows = (Comparison(against="cloud", control=control, checks=checks or ("errors",)),)
    return Question(asked=analysis_for(checks or ("errors",)), new=new, comparisons=rows, waited=waited)


def counted(bad: float, source: str = "http", total: float = 2000) -> Outcomes:
    return Outcomes(source=source, total=total, bad=bad)


@pytest.mark.parametrize(
    ("store", "cause"),
    [
        (None, "--prometheus"),
        (Store(edge_errors=None, cloud_errors=None), "no fresh samples of the release"),
        (Store(edge_errors=counted(0), cloud_errors=None), "no fresh samples of the cloud"),
        (Store(edge_errors=Unavailable("It is down.", cause="A test.")), "It is down. A test."),
        (Store(edge_errors=KeyError("defect")), "defect"),
    ],
)
async def test_what_is_not_measured_waits_and_is_then_inconclusive_with_its_cause(store: Store | None, cause: str):
    early, late = [await measure(store, question(waited), NOW) for waited in (10, 1800)]
    assert (early.judgement.verdict, late.judgement.verdict) == ("pending", "inconclusive")
    assert cause in late.judgement.sentence()


async def test_a_check_that_cannot_be_measured_does_not_hide_one_that_fails():
    store = Store(edge_errors=counted(600), cloud_errors=counted(2, "istio"), edge_slow=Unavailable("Too slow."))
    found = await measure(store, question(10, "errors", "slow"), NOW)
    assert found.judgement.verdict == "fail" and found.judgement.missing == ("slow: Too slow.",)


async def test_what_is_slow_is_fixed_by_the_first_measurement():
    def histogram(*slower: tuple[float, float]) -> Outcomes:
        return Outcomes(source="http", total=2000, slower=slower)

    store = Store(edge_slow=histogram((0.1, 900), (0.5, 10)), cloud_slow=histogram((0.1, 20), (0.5, 1)))
    first = await measure(store, question(10, "slow"), NOW)
    assert first.slow == {"cloud": 0.1} and first.judgement.verdict == "fail"
    store.answers["cloud_slow"] = histogram((0.1, 900), (0.5, 1))
    again = question(20, "slow").model_copy(update={"slow": first.slow})
    later = await measure(store, again, NOW)
    assert later.slow == {"cloud": 0.1} and later.judgement.verdict == "pass"


async def test_a_store_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch):
    class Hangs(Store):
        async def outcomes(self, check: Check, side: Side, source: str = "") -> Outcomes | None:
            await anyio.sleep_forever()

    monkeypatch.setattr("ai_platform_mcp.controllers.analysis.measure.DEADLINE", 0.01)
    with anyio.fail_after(10):
        found = await measure(Hangs(), question(1800, "errors", "slow"), NOW)
    assert found.judgement.verdict == "inconclusive" and len(found.judgement.missing) == 2
    assert "did not answer everything" in found.judgement.sentence()


async def test_a_look_never_waits_for_a_store_and_hears_when_it_has_answered():
    store, heard = Store(edge_errors=counted(1), cloud_errors=counted(1)), anyio.Event()
    analyst = Analyst(store, lambda: NOW, lambda _word: heard.set())
    ask = question(10)
    assert analyst.latest("uid", 0, ask, 60.0, "m") is None
    async with anyio.create_task_group() as group:
        group.start_soon(analyst.run)
        with anyio.fail_after(10):
            await heard.wait()
        group.cancel_scope.cancel()
    found, asked = analyst.latest("uid", 0, ask, 60.0, "m"), store.asked
    assert found is not None and found.judgement.verdict == "pass"
    assert analyst.latest("uid", 0, ask, 60.0, "m") == found and store.asked == asked, "not before its time"
    assert analyst.latest("uid", 1, ask, 60.0, "m") is None, "another wave knows nothing of it"
    assert (cadence(1800), cadence(60), cadence(1)) == (30.0, 3.0, 0.5)


# -------------------------------------------------------------------------------------------------------------- status


def live(analysis: dict[str, Any] | None = None, said: dict[str, Any] | None = None) -> dict[str, Any]:
    spec = {"model": "m", "version": "2", **({"analysis": analysis} if analysis else {})}
    return {"metadata": {"uid": "u", "namespace": "edge"}, "spec": spec, "status": {"analysis": said} if said else {}}


ASKED = {"checks": [{"check": "errors"}], "waitSeconds": 60}


def look(said: dict[str, Any] | None, phase: Any = "Running", healthy: datetime | None = NOW, **fields: Any):
    before = Progress(observed=1, phase=phase, healthy_since=healthy, **fields)
    nodes = [node("a", "2", committed=5), node("b", "1")]
    return analysed(live(ASKED, said), ROLLOUT, before, nodes, Analyst(None, lambda: NOW, print), NOW)


def test_a_wave_waits_from_its_first_quorum_on_and_remembers_that():
    assert "since" not in look(None, healthy=None).form
    begun = look(None)
    assert begun.verdict == "pending" and begun.form["since"] == "2026-11-22T12:00:00Z"
    earlier = {**begun.form, "since": "2026-11-22T11:50:00Z"}
    assert look(earlier, healthy=None).form["since"] == "2026-11-22T11:50:00Z", (
        "a quorum that was lost does not stop it"
    )
    assert look({**earlier, "wave": 1}).form["since"] == "2026-11-22T12:00:00Z", "another wave"
    assert look({**earlier, "observedGeneration": 7}).form["since"] == "2026-11-22T12:00:00Z", "another spec"


def test_a_wave_that_a_person_paused_waits_for_nothing():
    late = {"wave": 0, "observedGeneration": 1, "verdict": "pending", "since": "2026-11-22T10:00:00Z"}
    paused = ROLLOUT.model_copy(update={"paused": True})
    before = Progress(observed=1, phase="Paused", reason="user")
    found = analysed(live(ASKED, late), paused, before, [], Analyst(None, lambda: NOW, print), NOW)
    assert found.verdict == "pending" and "since" not in found.form


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_a_verdict_that_stands_is_not_measured_again(verdict: str):
    said = {"wave": 0, "observedGeneration": 1, "verdict": verdict, "message": "m"}
    assert look(said).form == said and look(said).verdict == verdict
    assert look({**said, "verdict": "pending"}, phase="RollingBack").form["message"] == "m"


def test_a_restarted_controller_goes_by_what_the_last_one_measured():
    said = {"wave": 0, "observedGeneration": 1, "verdict": "pass", "measuredAt": "2026-11-22T11:59:00Z"}
    assert look(said).verdict == "pass"


def test_no_analysis_asked_for_is_none():
    found = analysed(live(), ROLLOUT, Progress(), [], Analyst(None, lambda: NOW, print), NOW)
    assert (found.verdict, found.form) == ("none", {})


async def test_nothing_passes_before_its_quorum_and_a_pass_stands_until_it_fails():
    def form(store: Store, since: datetime | None, before: dict[str, Any]) -> dict[str, Any]:
        return status_form("wave", 0, 1, since, measured[id(store)], remembered(live(None, before), "wave", 0, 1))

    good = Store(edge_errors=counted(1), cloud_errors=counted(1))
    down = Store(edge_errors=Unavailable("Down."))
    bad = Store(edge_errors=counted(900), cloud_errors=counted(1))
    measured = {id(store): await measure(store, question(3600), NOW) for store in (good, down, bad)}
    assert form(good, None, {})["verdict"] == "pending"
    passed = form(good, NOW, {})
    assert passed["verdict"] == "pass" and passed["checks"][0]["new"] == {"bad": 1, "total": 2000}
    assert form(down, NOW, passed)["verdict"] == "pass"
    assert form(bad, NOW, passed)["verdict"] == "fail"
