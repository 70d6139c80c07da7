"""Clusters, namespaces, targets, gates and money."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ai_platform_mcp.core.errors import InvalidInput, Misconfigured, NotFound
from ai_platform_mcp.core.rows import ClusterInfo
from ai_platform_mcp.domain.clusters import resolve_cluster
from ai_platform_mcp.domain.cost import budget_left_cents, hours_left_in_month, price
from ai_platform_mcp.domain.gates import all_passed, judge_gates, parse_threshold
from ai_platform_mcp.domain.namespaces import choose_namespace, read_namespaces
from ai_platform_mcp.domain.targets import ModelShape, Side, choose_targets

ONE = ClusterInfo(name="one", role="cloud")
TWO = ClusterInfo(name="two", role="edge")


def test_the_only_cluster_needs_no_name():
    assert resolve_cluster([ONE], "").name == "one"


def test_with_several_clusters_a_name_is_required_and_the_names_are_listed():
    with pytest.raises(InvalidInput) as caught:
        resolve_cluster([ONE, TWO], "")
    assert caught.value.details["clusters"] == ["one", "two"]
    with pytest.raises(InvalidInput):
        resolve_cluster([ONE, TWO, ClusterInfo(name="three")], "", "edge")
    assert resolve_cluster([ONE, TWO], "two").name == "two"


def test_the_only_cluster_of_a_role_needs_no_name():
    assert resolve_cluster([ONE, TWO], "", "edge").name == "two"
    with pytest.raises(InvalidInput, match="has the role cloud"):
        resolve_cluster([ONE], "", "edge")


@pytest.mark.parametrize(("name", "role"), [("three", None), ("one", "edge")])
def test_an_unknown_cluster_or_one_of_another_role_is_refused(name: str, role: Any):
    with pytest.raises(InvalidInput):
        resolve_cluster([ONE, TWO], name, role)


def test_no_cluster_at_all_is_a_matter_of_configuration():
    with pytest.raises(Misconfigured):
        resolve_cluster([], "")


# -------------------------------------------------------------------------------------------------------- namespaces


def namespace(name: str, team: str = "", environment: str = "") -> dict[str, Any]:
    labels = {"aiplatform.dev/team": team, "aiplatform.dev/environment": environment}
    return {"metadata": {"name": name, "labels": {key: value for key, value in labels.items() if value}}}


OBJECTS = [
    namespace("vision-dev", "vision", "dev"),
    namespace("vision-prod", "vision", "production"),
    namespace("nlp-dev", "nlp", "dev"),
    namespace("default"),
]
ROWS = read_namespaces(OBJECTS, ONE)


def test_a_team_and_an_environment_lead_to_their_namespace():
    assert choose_namespace(ROWS, team="vision", environment="production", named="").name == "vision-prod"


def test_a_named_namespace_of_another_environment_is_refused():
    with pytest.raises(InvalidInput, match="is production, and the call says dev"):
        choose_namespace(ROWS, team="vision", environment="dev", named="vision-prod")


def test_a_namespace_of_no_environment_is_refused_unless_the_cluster_has_one():
    with pytest.raises(InvalidInput):
        choose_namespace(ROWS, team="vision", environment="dev", named="default")
    fixed = read_namespaces(OBJECTS, ClusterInfo(name="prod", environment="production"))
    assert choose_namespace(fixed, team="", environment="production", named="default").environment == "production"


@pytest.mark.parametrize(("team", "named"), [("audio", ""), ("", ""), ("vision", "nowhere")])
def test_a_missing_namespace_is_not_found(team: str, named: str):
    with pytest.raises(NotFound):
        choose_namespace(ROWS, team=team, environment="dev", named=named)


def test_two_namespaces_for_one_environment_must_be_told_apart():
    rows = read_namespaces([*OBJECTS, namespace("vision-dev-2", "vision", "dev")], ONE)
    with pytest.raises(InvalidInput, match="vision-dev, vision-dev-2"):
        choose_namespace(rows, team="vision", environment="dev", named="")


# ----------------------------------------------------------------------------------------------------------- targets

CLOUD = Side(regions=("us-east-1", "eu-west-1"))
EDGE = Side(members=47, online=44, device_memory_mib=16_384, regions=("us-south", "eu-west"))
ONNX = ModelShape(format="onnx", size_mib=20)


def test_a_small_onnx_model_goes_to_both_edge_first():
    assert choose_targets("auto", ONNX, CLOUD, EDGE, None).targets == ("edge", "cloud")


@pytest.mark.parametrize(
    ("model", "cloud", "edge", "slo", "targets"),
    [
        (ModelShape(format="onnx", size_mib=9_000), CLOUD, EDGE, None, ("cloud",)),
        (ModelShape(format="sklearn", size_mib=1), CLOUD, EDGE, None, ("cloud",)),
        (ModelShape(), CLOUD, EDGE, None, ("cloud",)),
        (ONNX, CLOUD, EDGE.model_copy(update={"online": 0}), None, ("cloud",)),
        (ONNX, CLOUD.model_copy(update={"p95_ms": 120}), EDGE, 50, ("edge",)),
        (ONNX, CLOUD, EDGE.model_copy(update={"p95_ms": 120}), 50, ("cloud",)),
        (
            ONNX.model_copy(update={"residency": ("ap",)}),
            CLOUD,
            EDGE.model_copy(update={"regions": ("ap-south",)}),
            None,
            ("edge",),
        ),
    ],
)
def test_auto_leaves_out_the_place_that_cannot_serve(
    model: ModelShape, cloud: Side, edge: Side, slo: int | None, targets: tuple[str, ...]
):
    choice = choose_targets("auto", model, cloud, edge, slo)
    assert choice.targets == targets
    assert any(line.startswith("Not ") for line in choice.reasons)


def test_a_place_asked_for_by_name_is_refused_rather_than_replaced():
    with pytest.raises(InvalidInput, match="edge cannot serve") as caught:
        choose_targets("edge", ModelShape(format="sklearn"), CLOUD, EDGE, None)
    assert "sklearn" in caught.value.cause


@given(
    st.builds(
        ModelShape,
        format=st.sampled_from(["", "onnx", "pytorch"]),
        size_mib=st.none() | st.integers(1, 40_000),
        residency=st.sampled_from([(), ("eu",), ("ap",)]),
    ),
    st.integers(0, 3),
    st.none() | st.integers(1, 200),
    st.none() | st.integers(1, 200),
)
def test_no_target_is_measured_too_slow_or_outside_of_the_residency(
    model: ModelShape, online: int, slo: int | None, p95: int | None
):
    edge = EDGE.model_copy(update={"online": online, "p95_ms": p95})
    try:
        choice = choose_targets("auto", model, CLOUD, edge, slo)
    except InvalidInput:
        return
    for place, side in (("cloud", CLOUD), ("edge", edge)):
        if place in choice.targets:
            assert slo is None or side.p95_ms is None or side.p95_ms <= slo
            assert not model.residency or any(r.startswith(model.residency) for r in side.regions)


# ------------------------------------------------------------------------------------------------------------- gates


def test_gates_pass_at_the_threshold_and_fail_when_not_measured():
    declared = (parse_threshold("accuracy>=0.92"), parse_threshold("p95_ms <= 50"), parse_threshold("f1>=0.5"))
    results = judge_gates(declared, {"accuracy": 0.92, "p95_ms": 50.0, "f1": float("nan")})
    assert [row.passed for row in results] == [True, True, False]
    assert results[2].sentence() == "f1 not measured >= 0.5: fail"


def test_no_gates_are_no_pass():
    assert not all_passed(())


@pytest.mark.parametrize("text", ["accuracy", "accuracy>0.9", "accuracy>=high", ">=1", ""])
def test_a_threshold_written_otherwise_is_refused(text: str):
    with pytest.raises(InvalidInput):
        parse_threshold(text)


# ------------------------------------------------------------------------------------------------------------- money


@given(st.integers(0, 10_000), st.integers(0, 512), st.none() | st.integers(0, 1000))
def test_money_is_counted_in_whole_cents(cents: int, devices: int, hours: int | None):
    answer = price(cents, devices, hours)
    assert answer.hourly_cents == cents * devices
    assert answer.total_cents == (None if hours is None else cents * devices * hours)


@example(datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC))
@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))
def test_a_month_never_has_more_than_744_hours_left_and_always_some(now: datetime):
    left = hours_left_in_month(now)
    assert 0 < left <= 744
    assert (now + timedelta(hours=left)).month != now.month


def test_a_budget_is_never_below_zero_and_unknown_stays_unknown():
    assert budget_left_cents(100, 40) == 60
    assert budget_left_cents(100, 400) == 0
    assert budget_left_cents(None, 400) is None
