"""``routing status`` tells what was measured: shares that add up, a loss as a loss, and what nobody measured as such."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.domain.routing.observed import Source, by_address
from ai_platform_mcp.domain.routing.status import status
from ai_platform_mcp.domain.routing.status_text import lines, percent, span
from ai_platform_mcp.domain.routing.worth import worth
from ai_platform_mcp.domain.text import json_tokens, tokens
from domain.routing_world import QUICK, SLOW, cloud, facts, latency, read, site

GOLDEN = Path(__file__).parent / "golden"


def told(data: dict[str, Any], name: str) -> str:
    """The text, compared with the one that is kept."""
    text = "\n".join(lines(data)) + "\n"
    kept = GOLDEN / f"routing_{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(text, encoding="utf-8")
    assert text == kept.read_text(encoding="utf-8")
    return text


def test_the_picture_is_told_as_people_draw_it() -> None:
    text = told(status(facts()), "edge_and_cloud")
    assert "→ Edge:" in text and "→ Cloud:" in text
    assert "✓ Measured savings" in text and "with the fixed cost of the edge counted" in text
    assert "all from vision-prod/vision" in text


def test_a_loss_is_told_as_a_loss() -> None:
    idle = [site(f"us-south-{number}", 10, latency=latency(50, QUICK)) for number in (1, 2)]
    text = told(status(facts(*idle, cloud())), "loss")
    assert "✗ Measured loss" in text and "saved if an idle edge were free" in text
    assert "✓" not in text


def test_nothing_measured_is_not_zero() -> None:
    why = Source(where="metrics", why="not exported: none of http_server_request_duration_seconds_count was seen")
    unread: dict[str, Any] = {
        "latency": None,
        "mean_seconds": None,
        "failed_share": None,
        "circuits": None,
        "sources": dict.fromkeys(read(), why),
    }
    data = status(facts(site("us-south-1", 5, **unread), cloud(**unread), fallbacks=None, failed_fallbacks=None))
    text = told(data, "nothing_measured")
    assert "share" not in data["targets"][0] and "0%" not in text
    assert "Savings not measured: no cloud target is measured" in text
    assert "where a request goes now: no target's speed is measured" in text


def test_a_site_in_trouble_is_told_first_and_its_requests_go_to_the_cloud() -> None:
    dead = site("us-east-9", 4, ready=0, circuits_open=4, cooldowns=3.0)
    slow = site("eu-west-9", 4, waiting=1000.0)
    data = status(facts(*facts().observed, dead, slow))
    assert data["sites"]["rows"][0][0] == "us-east-9"
    text = told(data, "trouble")
    (spilled,) = [row for row in data["decisions"] if row["from"] == ["eu-west-9"]]
    assert spilled["target"] == "vision-prod/vision" and "spilled: eu-west-9 would have taken" in " ".join(
        spilled["reasons"]
    )
    (cut,) = [row for row in data["decisions"] if row["from"] == ["us-east-9"]]
    assert "has an open circuit" in " ".join(cut["reasons"])
    assert "4 circuits open, cooled down 3 times" in text


def test_the_load_at_which_a_site_spills_is_where_the_rule_turns() -> None:
    from ai_platform_mcp.domain.routing.decide import decide
    from ai_platform_mcp.domain.routing.facts import Load

    world = facts(site("us-south-1", 5), cloud())
    (row,) = status(world)["decisions"]
    (sentence,) = [reason for reason in row["reasons"] if "spills once" in reason]
    most = int(sentence.split("more than ")[1].split(" ")[0])
    assert world.slo is not None
    at, beyond = (
        decide(world.typical, world.targets, {"us-south-1": Load(running=most + more)}, world.slo) for more in (0, 1)
    )
    assert (at.target, beyond.target) == ("us-south-1", "vision-prod/vision")
    assert beyond.spilled_from == "us-south-1"


def test_old_samples_are_said_to_be_old() -> None:
    world = facts(site("us-south-1", 5, sources=read(age=900)), cloud())
    assert "is 900 s old: not of now" in " ".join(status(world)["notes"])


def test_residency_leaves_nothing_where_no_region_is_known() -> None:
    world = facts(cloud(region=""))
    bound = world.model_copy(update={"typical": world.typical.model_copy(update={"regions": frozenset({"eu"})})})
    (row,) = status(bound)["decisions"]
    assert row["target"] == "" and "in no region that anybody named" in " ".join(row["reasons"])


def test_a_model_that_nothing_serves_is_said_to_be_so() -> None:
    world = facts(cloud()).model_copy(update={"observed": ()})
    assert "Nothing serves it" in "\n".join(lines(status(world)))


COUNTS = st.lists(st.integers(0, 200_000), min_size=1, max_size=6)


@given(edge=COUNTS, clouds=st.lists(st.integers(0, 200_000), max_size=3))
def test_shares_add_up_to_one_and_requests_to_all(edge: list[int], clouds: list[int]) -> None:
    sites = [site(f"s-{number}", 3, latency=latency(count, QUICK)) for number, count in enumerate(edge)]
    others = [cloud(f"n{number}/vision", latency=latency(count, SLOW)) for number, count in enumerate(clouds)]
    data = status(facts(*sites, *others))
    total = sum(edge) + sum(clouds)
    assert sum(row["requests"] for row in data["targets"]) == total
    shares = [row.get("share") for row in data["targets"]]
    if total == 0:
        assert shares == [None] * len(shares)
    else:
        assert sum(share or 0.0 for share in shares) == pytest.approx(1, abs=0.001)


@given(
    edge=st.integers(1, 500_000),
    in_cloud=st.integers(1, 500_000),
    node=st.floats(0, 50),
    price=st.floats(0.0001, 0.1),
    hours=st.floats(0.1, 1),
)
def test_savings_are_the_difference_of_two_bills(
    edge: int, in_cloud: int, node: float, price: float, hours: float
) -> None:
    seconds = round(hours * 3600)
    rows = (
        site("a", 5, latency=latency(edge, QUICK), fixed_cents_per_hour=5 * node, request_cents=price / 10),
        cloud(latency=latency(in_cloud, SLOW), request_cents=price),
    )
    rows = tuple(row.model_copy(update={"measured_seconds": seconds}) for row in rows)
    made = worth(facts(*rows)).savings
    assert made is not None
    paid = in_cloud * price + edge * price / 10 + 5 * node * seconds / 3600
    assert made.share == pytest.approx(1 - paid / ((edge + in_cloud) * price))
    assert made.marginal_share is not None and made.share <= made.marginal_share + 1e-9


def test_replicas_that_everything_would_need_are_paid_in_the_counterfactual() -> None:
    paid_by_replica: dict[str, Any] = {"request_cents": None, "fixed_cents_per_hour": 200.0}
    world = facts(
        site("a", 5, latency=latency(9 * 3600, QUICK), request_cents=None),
        cloud(latency=latency(3 * 3600, SLOW), **paid_by_replica),
    )
    made = worth(world).savings
    assert made is not None
    assert made.counterfactual_cents == 800  # four times the requests: eight replicas instead of two
    assert made.fixed_cents == 245 and made.marginal_share is None
    assert any("more replicas" in row for row in worth(world).assumptions)


def test_what_the_router_booked_counts_only_where_no_other_cost_is_known() -> None:
    booked: dict[str, Any] = {"request_cents": None, "booked_cents": 60.0, "routed": 10_000.0}
    assert cloud(**booked).marginal_request_cents == pytest.approx(0.006)
    assert cloud(**booked, fixed_cents_per_hour=100.0).marginal_request_cents == 0
    assert cloud(request_cents=None).marginal_request_cents is None


def test_gateways_see_the_edge_as_one_address() -> None:
    targets = by_address(facts())
    assert [row.tier for row in targets] == ["edge", "cloud"]
    assert targets[0].slots == sum(row.slots for row in facts().of("edge"))
    assert targets[0].base_url.startswith("http://vision-edge.")


@pytest.mark.parametrize("sites", [1, 11, 60])
def test_the_answer_fits_its_budget_or_is_cut_by_name(sites: int) -> None:
    from ai_platform_mcp.domain.answer import detail_result

    rows = [site(f"us-south-{number}", 5) for number in range(sites)]
    data = status(facts(*rows, cloud()))
    made = detail_result("routing", "vision", data, verbose=False, lines=lines(data))
    assert json_tokens(made.data) <= 2000 and tokens(made.text) <= 2000
    assert made.data["targets"] and made.data["savings"]


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0%"), (0.5, "50%"), (0.0712, "7.1%"), (0.0004, "0.04%"), (1e-6, "<0.01%")]
)
def test_small_shares_are_never_told_as_none(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.0042, "4.2ms"), (0.089, "89ms"), (2.4, "2.4s")])
def test_times_are_told_in_the_unit_that_people_use(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_target_at_which_everything_failed_is_told_with_its_failures_and_answered_nothing() -> None:
    dead = site("us-south-1", 1, latency=None, failed_share=1.0, routed=2.0, circuits_open=1, cooldowns=1.0)
    edge, hosted = status(facts(dead, cloud()))["targets"]
    assert (edge["requests"], edge["share"], edge["error_share"]) == (0, 0.0, 1.0)
    assert (hosted["share"], edge["circuits_open"], edge["cooldowns"]) == (1.0, 1, 1)
    text = "\n".join(lines(status(facts(dead, cloud()))))
    assert "0% of requests" in text and "100% errors" in text and "cooled down 1 time" in text
