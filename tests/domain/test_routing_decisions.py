from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.domain.routing.decide import decide
from ai_platform_mcp.domain.routing.facts import Load, Request, ServiceTime, Slo, Target
from ai_platform_mcp.domain.routing.predict import completion_seconds, refusal, unavailable
from ai_platform_mcp.domain.routing.savings import Served, savings


def target(name: str, **fields: Any) -> Target:
    usual = {
        "tier": "cloud",
        "region": "us",
        "failure_domain": name,
        "service": ServiceTime(base_seconds=1),
        "slots": 2,
    }
    return Target.model_validate({"name": name, **usual, **fields})


EDGE = target(
    "edge", tier="edge", region="us-south", context_tokens=2048, model_billions=8, service={"base_seconds": 2}
)
CLOUD = target("cloud", slots=100, request_cents=2)
SPOT = target("spot", spot=True, slots=100, request_cents=1)
LATER = target("later", asynchronous=True, service={"base_seconds": 60}, slots=100)
ALL = (EDGE, CLOUD, SPOT, LATER)
SLO = Slo(seconds=4)

names = ["a", "b", "c", "d", "e"]
services = st.builds(
    ServiceTime,
    base_seconds=st.floats(0, 5),
    output_token_seconds=st.floats(0, 0.05),
    spread=st.floats(1, 3),
)
requests = st.builds(
    Request,
    prompt_tokens=st.integers(0, 3000),
    output_tokens=st.integers(0, 1000),
    batch=st.booleans(),
    critical=st.booleans(),
    operation=st.sampled_from(["chat", "embed"]),
    modalities=st.sampled_from([frozenset(("text",)), frozenset(("text", "image"))]),
    model_billions=st.sampled_from([0.0, 7.0, 70.0]),
    regions=st.sampled_from([frozenset[str](), frozenset(("us",)), frozenset(("us", "eu"))]),
)
loads = st.builds(
    Load,
    running=st.integers(0, 5),
    waiting=st.integers(0, 5),
    slots=st.none() | st.integers(0, 3),
    wait_seconds=st.none() | st.floats(0, 10),
    circuit=st.sampled_from(["closed", "half_open", "open"]),
)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Target], dict[str, Load]]:
    chosen = draw(st.lists(st.sampled_from(names), min_size=0, max_size=5, unique=True))
    rows = [
        target(
            name,
            tier=draw(st.sampled_from(["edge", "cloud"])),
            region=draw(st.sampled_from(["us", "eu", "ap"])),
            failure_domain=draw(st.sampled_from(["x", "y", "z"])),
            service=draw(services),
            context_tokens=draw(st.sampled_from([None, 1024, 4096])),
            model_billions=draw(st.sampled_from([None, 8.0, 80.0])),
            operations=draw(st.sampled_from([frozenset(("chat",)), frozenset(("chat", "embed"))])),
            modalities=draw(st.sampled_from([frozenset(("text",)), frozenset(("text", "image"))])),
            spot=draw(st.booleans()),
            asynchronous=draw(st.booleans()),
            request_cents=draw(st.integers(0, 3)),
        )
        for name in chosen
    ]
    return rows, {name: draw(loads) for name in draw(st.lists(st.sampled_from(names), unique=True))}


slos = st.builds(Slo, seconds=st.floats(0.1, 20), cautious=st.booleans())


@given(requests, worlds(), slos)
def test_nothing_is_ever_sent_where_it_cannot_or_may_not_be_served(
    request: Request, world: tuple[list[Target], dict[str, Load]], slo: Slo
) -> None:
    rows, loaded = world
    by_name = {row.name: row for row in rows}
    choice = decide(request, rows, loaded, slo)
    for name in filter(None, (choice.target, *choice.fallbacks)):
        row = by_name[name]
        assert not refusal(row, request)
        assert not unavailable(loaded.get(name, Load()), request)
        assert not request.regions or row.region in request.regions
        assert not (row.spot and request.critical)
        assert request.batch or not row.asynchronous
    assert bool(choice.target) == (len(choice.refused) < len(rows))


@given(requests, worlds(), slos)
def test_no_fallback_shares_a_failure_domain_with_the_choice_or_another_fallback(
    request: Request, world: tuple[list[Target], dict[str, Load]], slo: Slo
) -> None:
    rows, loaded = world
    choice = decide(request, rows, loaded, slo)
    domains = {row.name: row.failure_domain for row in rows}
    chain = [domains[name] for name in filter(None, (choice.target, *choice.fallbacks))]
    assert len(chain) == len(set(chain))


@given(requests, worlds(), slos)
def test_the_slo_is_missed_only_where_nothing_could_keep_it(
    request: Request, world: tuple[list[Target], dict[str, Load]], slo: Slo
) -> None:
    rows, loaded = world
    choice = decide(request, rows, loaded, slo)
    able = [row for row in rows if row.name not in choice.refused]
    kept = [
        completion_seconds(row, loaded.get(row.name, Load()), request, cautious=slo.cautious) <= slo.seconds
        for row in able
    ]
    assert choice.keeps_slo == any(kept)


@given(requests, worlds(), slos, st.sampled_from(names), st.integers(1, 9))
def test_more_load_never_makes_a_target_more_attractive(
    request: Request, world: tuple[list[Target], dict[str, Load]], slo: Slo, name: str, more: int
) -> None:
    rows, loaded = world
    before = decide(request, rows, loaded, slo)
    load = loaded.get(name, Load())
    wait = None if load.wait_seconds is None else load.wait_seconds + more
    busier = load.model_copy(update={"waiting": load.waiting + more, "wait_seconds": wait})
    after = decide(request, rows, {**loaded, name: busier}, slo)
    assert after.target != name or before.target == name


@given(requests, worlds(), slos, st.randoms(use_true_random=False))
def test_the_order_in_which_targets_are_listed_does_not_decide(
    request: Request, world: tuple[list[Target], dict[str, Load]], slo: Slo, random: Any
) -> None:
    rows, loaded = world
    mixed = list(rows)
    random.shuffle(mixed)
    first, second = decide(request, rows, loaded, slo), decide(request, mixed, loaded, slo)
    assert (first.target, first.fallbacks) == (second.target, second.fallbacks)


@pytest.mark.parametrize(
    ("request_", "load", "chosen"),
    [
        (Request(), {}, "edge"),
        (Request(critical=True), {}, "edge"),
        (Request(), {"edge": Load(running=2, waiting=1)}, "edge"),
        (Request(), {"edge": Load(running=2, waiting=3)}, "spot"),
        (Request(critical=True), {"edge": Load(running=2, waiting=3)}, "cloud"),
        (Request(), {"edge": Load(wait_seconds=2.1)}, "spot"),
        (Request(prompt_tokens=4000), {}, "spot"),
        (Request(model_billions=70, critical=True), {}, "cloud"),
        (Request(regions=frozenset(("us",)), critical=True), {}, "cloud"),
        (Request(critical=True), {"edge": Load(circuit="open")}, "cloud"),
        (Request(critical=True), {"edge": Load(circuit="half_open")}, "cloud"),
        (Request(), {"edge": Load(circuit="half_open")}, "edge"),
        (Request(), {"edge": Load(slots=0)}, "spot"),
        (Request(regions=frozenset(("ap",))), {}, ""),
    ],
)
def test_edge_first_with_spill_and_every_rule_before_it(request_: Request, load: dict[str, Load], chosen: str) -> None:
    assert decide(request_, ALL, load, SLO).target == chosen


def test_a_batch_goes_where_answers_come_later_while_that_is_in_time() -> None:
    assert decide(Request(batch=True), ALL, {}, Slo(seconds=3600)).target == "later"
    assert decide(Request(batch=True), ALL, {"later": Load(wait_seconds=3600)}, Slo(seconds=3600)).target == "spot"


def test_a_spill_names_the_edge_that_would_have_been_late_and_by_how_much() -> None:
    choice = decide(Request(critical=True), ALL, {"edge": Load(wait_seconds=9)}, SLO)
    assert (choice.target, choice.spilled_from, choice.fallbacks) == ("cloud", "edge", ("edge",))
    assert "spilled: edge would have taken 11 s" in choice.reasons
    assert choice.refused == {"spot": "spot", "later": "asynchronous"}


def test_where_nothing_keeps_the_promise_the_least_late_serves_and_says_so() -> None:
    choice = decide(Request(critical=True), ALL, {}, Slo(seconds=0.5))
    assert (choice.target, choice.keeps_slo) == ("cloud", False)
    assert choice.reasons[0] == "nothing keeps 0.5 s; cloud is least late (1 s)"


def test_a_cautious_promise_is_judged_by_the_95th_percentile() -> None:
    wide = EDGE.model_copy(update={"service": ServiceTime.of_percentiles(2, 5)})
    assert decide(Request(), (wide, CLOUD), {}, SLO).target == "edge"
    assert decide(Request(), (wide, CLOUD), {}, Slo(seconds=4, cautious=True)).target == "cloud"


def test_savings_count_the_edge_while_it_is_idle() -> None:
    dear = EDGE.model_copy(update={"fixed_cents_per_hour": 50.0, "request_cents": 0.5})
    served = [Served(target=name, requests=50, prompt_tokens=0, output_tokens=0) for name in ("edge", "cloud")]
    made = savings(served, (dear, CLOUD), 2, "cloud")
    assert made.counterfactual == "all from cloud"
    assert made.counterfactual_cents == 200
    assert made.marginal_cents == 125
    assert made.marginal_share == pytest.approx(0.375)
    assert made.share == pytest.approx(1 - 225 / 200)


def test_savings_without_known_costs_are_refused() -> None:
    from ai_platform_mcp.core.errors import InvalidInput

    with pytest.raises(InvalidInput, match="no costs are known of azure"):
        savings([], (CLOUD,), 1, "azure")
    with pytest.raises(InvalidInput, match="would cost nothing"):
        savings([], (CLOUD,), 1, "cloud")
