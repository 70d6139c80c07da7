from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.domain.routing.check import CODES, validate
from ai_platform_mcp.domain.routing.facts import Request, ServiceTime, Slo, Target
from ai_platform_mcp.domain.routing.plan import Breaker, Group, RoutingPlan, plan_routes


def target(name: str, **fields: Any) -> Target:
    usual = {
        "tier": "cloud",
        "region": "us",
        "failure_domain": name,
        "service": ServiceTime(base_seconds=1),
        "slots": 8,
        "base_url": f"http://{name}.models.svc:8080/v1",
    }
    return Target.model_validate({"name": name, **usual, **fields})


EDGE = target("site-1", tier="edge", slots=2, service={"base_seconds": 2})
OTHER = target("site-2", tier="edge", slots=6, service={"base_seconds": 2})
CLOUD, DEARER = target("gcp", request_cents=1), target("aws", request_cents=2)
SPOT, LATER = target("spot", spot=True), target("later", asynchronous=True)
SLO = Slo(seconds=4)


def made(*targets: Target, **fields: Any) -> RoutingPlan:
    return plan_routes("chat", targets, Request(**fields), SLO)


def codes(plan: RoutingPlan) -> set[str]:
    return {finding.code for finding in validate(plan)}


FULL = made(EDGE, OTHER, CLOUD, DEARER, SPOT, LATER)


def test_a_full_plan_has_a_group_for_each_way_and_nothing_is_wrong_with_it() -> None:
    assert {group.name: [member.target for member in group.members] for group in FULL.groups} == {
        "chat": ["site-1", "site-2"],
        "chat-cloud": ["gcp"],
        "chat-cloud-2": ["aws"],
        "chat-spot": ["spot"],
        "chat-noncritical": ["site-1", "site-2"],
        "chat-batch": ["later"],
    }
    assert FULL.fallbacks == {
        "chat": ("chat-cloud", "chat-cloud-2"),
        "chat-cloud": ("chat-cloud-2",),
        "chat-spot": ("chat-cloud", "chat-cloud-2"),
        "chat-noncritical": ("chat-spot", "chat-cloud", "chat-cloud-2"),
        "chat-batch": ("chat-spot", "chat-cloud", "chat-cloud-2"),
    }
    assert FULL.entries == {"interactive": "chat", "noncritical": "chat-noncritical", "batch": "chat-batch"}
    assert [member.weight for member in FULL.groups[0].members] == [2, 6]
    assert FULL.breaker == Breaker(allowed_fails=1, cooldown_seconds=30, retries=0)
    assert validate(FULL) == ()


def test_an_edge_that_is_late_even_when_idle_is_left_out_with_its_reason() -> None:
    slow = target("slow", tier="edge", service={"base_seconds": 3, "spread": 2})
    plan = made(slow, CLOUD)
    assert [group.members[0].target for group in plan.groups] == ["gcp"]
    assert "slow is left out: idle it takes 6.00 s (p95) of 4 s" in plan.reasons


def test_a_model_that_must_stay_in_a_region_has_no_target_elsewhere() -> None:
    plan = made(EDGE.model_copy(update={"region": "eu"}), CLOUD, target("eu", region="eu"), regions=frozenset(("eu",)))
    assert {member.target for group in plan.groups for member in group.members} == {"site-1", "eu"}
    with pytest.raises(InvalidInput, match="Nothing may serve chat at once"):
        made(CLOUD, regions=frozenset(("ap",)))


def broken(**fields: Any) -> RoutingPlan:
    return FULL.model_copy(update=fields)


def member(**fields: Any) -> tuple[Group, ...]:
    first = FULL.groups[0]
    changed = first.members[0].model_copy(update=fields)
    return (Group(name="chat", members=(changed, *first.members[1:])), *FULL.groups[1:])


@pytest.mark.parametrize(
    ("plan", "code"),
    [
        (broken(fallbacks={**FULL.fallbacks, "chat-cloud": ("chat-nowhere",)}), "routing.dangling-fallback"),
        (broken(fallbacks={**FULL.fallbacks, "nobody": ("chat-cloud",)}), "routing.dangling-fallback"),
        (broken(entries={**FULL.entries, "batch": "chat-night"}), "routing.dangling-entry"),
        (broken(fallbacks={**FULL.fallbacks, "chat-cloud-2": ("chat-cloud",)}), "routing.fallback-cycle"),
        (broken(fallbacks={**FULL.fallbacks, "chat-cloud": ("chat-cloud",)}), "routing.fallback-cycle"),
        (broken(breaker=None), "routing.no-breaker"),
        (broken(breaker=Breaker(allowed_fails=3)), "routing.ignored-breaker"),
        (broken(strategy="latency-based-routing"), "routing.strategy"),
        (broken(regions=frozenset(("eu",))), "routing.residency"),
        (broken(groups=member(base_url="")), "routing.unreachable-base"),
        (broken(groups=member(base_url="site-1:8080/v1")), "routing.unreachable-base"),
        (broken(groups=member(base_url="http://0.0.0.0:8080/v1")), "routing.unreachable-base"),
        (broken(groups=member(timeout_seconds=60)), "routing.late-timeout"),
        (broken(fallbacks={}), "routing.edge-alone"),
        (made(CLOUD), "routing.single-deployment"),
        (
            made(*(row.model_copy(update={"failure_domain": "one"}) for row in (EDGE, CLOUD))),
            "routing.shared-failure-domain",
        ),
    ],
)
def test_every_defect_of_a_plan_is_found_by_its_code(plan: RoutingPlan, code: str) -> None:
    assert code in codes(plan)


def test_every_code_is_found_by_some_test_of_this_file() -> None:
    marks: Any = test_every_defect_of_a_plan_is_found_by_its_code
    assert {code for _, code in marks.pytestmark[0].args[1]} == set(CODES)


@given(
    st.lists(
        st.builds(
            target,
            st.sampled_from("abcdef"),
            tier=st.sampled_from(["edge", "cloud"]),
            region=st.sampled_from(["us", "eu"]),
            failure_domain=st.sampled_from("xyz"),
            spot=st.booleans(),
            asynchronous=st.booleans(),
            request_cents=st.integers(0, 3),
            service=st.builds(ServiceTime, base_seconds=st.floats(0.1, 8)),
        ),
        max_size=6,
        unique_by=lambda row: row.name,
    ),
    st.sampled_from([frozenset[str](), frozenset(("us",))]),
)
def test_whatever_plan_is_made_has_no_error_but_an_edge_that_nothing_backs(
    rows: list[Target], regions: frozenset[str]
) -> None:
    try:
        plan = plan_routes("m", rows, Request(regions=regions), SLO)
    except InvalidInput:
        return
    grave = {finding.code for finding in validate(plan) if finding.severity == "error"}
    assert grave <= {"routing.edge-alone"}
    assert "m" in {group.name for group in plan.groups}
    spot = {row.name for row in rows if row.spot}
    chain = ("m", *plan.fallbacks.get("m", ()))
    assert not spot & {member.target for group in plan.groups if group.name in chain for member in group.members}
    if any(row.tier == "cloud" and not row.spot and not row.asynchronous for row in rows) and not regions:
        assert not grave


def test_an_edge_is_sent_what_its_slots_complete_in_a_minute_in_all_groups_together() -> None:
    alone = {member.target: member.per_minute for member in made(EDGE, OTHER, CLOUD).groups[0].members}
    assert alone == {"site-1": 60, "site-2": 180}
    shared = {
        (group.name, member.target): member.per_minute for group in FULL.groups for member in group.members
        if member.per_minute
    }  # fmt: skip
    assert shared == {(name, site): count for name in ("chat", "chat-noncritical") for site, count in
                      (("site-1", 30), ("site-2", 90))}  # fmt: skip
    unmeasured = target("site", tier="edge", service={"base_seconds": 0})
    assert made(unmeasured, CLOUD).groups[0].members[0].per_minute is None


def test_a_plan_says_which_breaker_it_was_made_with() -> None:
    plan = plan_routes("chat", [CLOUD], Request(), SLO, Breaker(allowed_fails=4, cooldown_seconds=9, retries=1))
    assert plan.breaker == Breaker(allowed_fails=4, cooldown_seconds=9, retries=1)
    assert "a circuit opens at failure 5 within 9 s, for as long" in plan.reasons


@given(
    edge=st.floats(0.05, 6),
    cloud=st.floats(0.05, 6),
    spread=st.floats(1, 3),
    promised=st.floats(0.3, 8),
)
def test_the_edge_is_left_while_the_fallback_can_still_keep_the_promise(
    edge: float, cloud: float, spread: float, promised: float
) -> None:
    site = target("site", tier="edge", service={"base_seconds": edge, "spread": spread})
    behind = target("cloud", service={"base_seconds": cloud, "spread": spread})
    plan = plan_routes("chat", [site, behind], Request(), Slo(seconds=promised))
    waited = {member.target: member.timeout_seconds for group in plan.groups for member in group.members}
    if edge * spread > promised:
        assert "site" not in waited
    elif edge * spread <= promised - cloud * spread:
        assert waited["site"] + cloud * spread <= promised or waited["site"] == 0.1
        assert waited["site"] > promised - cloud * spread - 0.11
    else:
        assert waited["site"] >= promised  # leaving earlier would take answers of its own away, and help nobody in time
