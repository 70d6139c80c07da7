from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.rows import FlavorRow, Inventory, NodeRow, QueueRow
from ai_platform_mcp.domain.placement import REJECTIONS, Need, explain, place, rejections
from ai_platform_mcp.domain.pools import Pool, accelerator_matches, pools_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def pool(**fields: Any) -> Pool:
    base: dict[str, Any] = {
        "flavor": "aws-a100",
        "resource": "nvidia.com/gpu",
        "local_queue": "gpu",
        "cluster_queue": "gpu-pool",
        "accelerator": "NVIDIA-A100-SXM4-80GB",
        "cloud": "aws",
        "region": "us-east-1",
        "spot": False,
        "device_hourly_cents": 400,
        "nominal": 64,
        "used": 0,
        "free": 64,
        "ceiling": 64,
        "pending": 0,
        "node_devices": 8,
    }
    return Pool(**{**base, **fields})


pools = st.builds(
    pool,
    flavor=st.sampled_from(["aws-a100", "gcp-h100", "azure-h100", "aws-a100-spot"]),
    spot=st.booleans(),
    region=st.sampled_from(["us-east-1", "eu-west-1"]),
    device_hourly_cents=st.none() | st.integers(1, 3000),
    free=st.integers(0, 64),
    ceiling=st.integers(64, 128),
    pending=st.integers(0, 5),
    node_devices=st.sampled_from([0, 1, 8]),
    active=st.booleans(),
)
needs = st.builds(
    Need,
    purpose=st.sampled_from(["train", "batch", "serve", "dev"]),
    accelerator=st.sampled_from(["", "a100", "h100"]),
    count=st.integers(1, 8),
    nodes=st.integers(1, 20),
    hours=st.none() | st.integers(1, 100),
    capacity=st.sampled_from(["auto", "on_demand", "spot"]),
    checkpoint=st.booleans(),
    regions=st.sampled_from([(), ("us",), ("eu",)]),
    max_hourly_cents=st.none() | st.integers(1, 100_000),
)


@given(needs, st.lists(pools, max_size=8))
def test_what_is_placed_now_fits_what_is_free_and_what_is_queued_fits_what_could_ever_be(need: Need, rows: list[Pool]):
    for row in place(need, rows).ranked:
        assert (row.forecast == "now") == (need.devices <= row.pool.free)
        assert (row.forecast == "never") == (need.devices > row.pool.ceiling)


@given(needs, st.lists(pools, max_size=8))
def test_spot_is_only_offered_to_checkpointed_training_or_batch_work(need: Need, rows: list[Pool]):
    for row in place(need, rows).ranked:
        if row.pool.spot:
            assert need.checkpoint and need.purpose in ("train", "batch") and need.capacity != "on_demand"


@given(needs, st.lists(pools, max_size=8))
def test_the_choice_is_the_cheapest_of_those_that_start_soonest(need: Need, rows: list[Pool]):
    answer = place(need, rows)
    chosen = answer.chosen
    if chosen is None:
        return
    order = ["now", "queued", "never"]
    assert all(order.index(chosen.forecast) <= order.index(row.forecast) for row in answer.ranked)
    peers = [
        row.hourly_cents for row in answer.ranked if row.forecast == chosen.forecast and row.hourly_cents is not None
    ]
    if peers:
        assert chosen.hourly_cents == min(peers)


@given(needs, st.lists(pools, max_size=8))
def test_every_pool_is_either_ranked_or_counted_among_the_rejected(need: Need, rows: list[Pool]):
    answer = place(need, rows)
    assert len(answer.ranked) + sum(answer.rejected.values()) == len(rows)
    assert set(answer.rejected) <= set(REJECTIONS)
    assert rejections(answer.rejected).count("pool") == len(answer.rejected)


@given(needs, st.lists(pools, max_size=8), st.randoms(use_true_random=False))
def test_the_order_in_which_pools_are_listed_does_not_decide(need: Need, rows: list[Pool], random: Any):
    shuffled = list(rows)
    random.shuffle(shuffled)
    first, second = place(need, rows).chosen, place(need, shuffled).chosen
    assert (first and (first.forecast, first.hourly_cents, first.pool.flavor)) == (
        second and (second.forecast, second.hourly_cents, second.pool.flavor)
    )


@given(needs, st.lists(pools, max_size=8))
def test_a_price_limit_and_regions_are_never_overstepped(need: Need, rows: list[Pool]):
    for row in place(need, rows).ranked:
        if need.max_hourly_cents is not None:
            assert row.hourly_cents is not None and row.hourly_cents <= need.max_hourly_cents
        if need.regions:
            assert row.pool.region.startswith(need.regions)


def test_the_reasons_name_the_pool_the_runner_up_and_what_was_ruled_out():
    answer = place(
        Need(purpose="train", accelerator="a100", count=8, nodes=2, hours=4),
        [
            pool(),
            pool(flavor="aws-a100-spot", spot=True),
            pool(flavor="gcp-a100", device_hourly_cents=500, free=8, pending=2),
        ],
    )
    text = " ".join(explain(answer))
    assert answer.chosen is not None and answer.chosen.total_cents == 16 * 400 * 4
    assert "aws-a100 (aws us-east-1, on-demand, $64.00 per hour)" in text
    assert "queued behind 2 other workloads" in text
    assert "1 pool spot, and nothing is checkpointed" in text


def test_a_request_larger_than_the_quota_says_never_because():
    answer = place(Need(purpose="train", accelerator="a100", count=8, nodes=9), [pool()])
    assert answer.chosen is not None and answer.chosen.forecast == "never"
    assert "72 devices asked for, and gpu-pool could use 64 at most" in answer.chosen.why


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("a100", "NVIDIA-A100-SXM4-80GB"),
        ("H100", "gcp-h100-spot"),
        ("tpu-v5e", "tpu-v5-lite-podslice"),
        ("tpu-v5e", "gcp-tpu-v5e"),
    ],
)
def test_accelerators_are_recognised_by_the_names_clouds_give_them(wanted: str, name: str):
    assert accelerator_matches(wanted, name)


# ---------------------------------------------------------------------------------------------- quotas and borrowing


def flavor(queue: str, nominal: int, used: int, *, limit: int | None = None, cohort: str = "all") -> FlavorRow:
    return FlavorRow(
        cluster="c",
        queue=queue,
        flavor="aws-a100",
        resource="nvidia.com/gpu",
        nominal=nominal,
        used=used,
        reserved=used,
        borrowing_limit=limit,
        cohort=cohort,
        accelerator="NVIDIA-A100-SXM4-80GB",
        node_labels={"pool": "a"},
    )


def inventory(*flavors: FlavorRow, pending: int = 0) -> Inventory:
    queue = QueueRow(cluster="c", namespace="vision-dev", name="gpu", cluster_queue="mine", pending=pending, admitted=0)
    elsewhere = QueueRow(cluster="c", namespace="nlp-dev", name="gpu", cluster_queue="mine", pending=2, admitted=0)
    node = NodeRow(
        cluster="c",
        name="n1",
        ready=True,
        schedulable=True,
        role="cloud",
        accelerators=8,
        labels={"pool": "a", "x": "y"},
    )
    return Inventory(
        cluster="c", as_of=NOW, age_seconds=0, stale=False, nodes=(node,), flavors=flavors, queues=(queue, elsewhere)
    )


def test_unused_quota_of_the_cohort_can_be_borrowed_up_to_the_limit():
    free = inventory(flavor("mine", 16, 8), flavor("other", 32, 0))
    limited = inventory(flavor("mine", 16, 8, limit=4), flavor("other", 32, 0))
    alone = inventory(flavor("mine", 16, 8, cohort=""), flavor("other", 32, 0))
    assert [(row.free, row.ceiling) for world in (free, limited, alone) for row in pools_of(world, "vision-dev")] == [
        (40, 48),
        (12, 20),
        (8, 16),
    ]


def test_quota_lent_to_the_cohort_is_not_free_for_its_owner():
    (row,) = pools_of(inventory(flavor("mine", 16, 0), flavor("other", 16, 24)), "vision-dev")
    assert (row.free, row.ceiling) == (8, 32)


def test_a_pool_knows_its_nodes_its_waiting_work_and_a_price_from_the_platform_file():
    (row,) = pools_of(inventory(flavor("mine", 16, 0), pending=1), "vision-dev", {"a100": 350})
    assert (row.node_devices, row.pending, row.device_hourly_cents) == (8, 3, 350)


@given(
    st.lists(st.tuples(st.integers(0, 64), st.integers(0, 64), st.none() | st.integers(0, 64)), min_size=1, max_size=5)
)
def test_free_quota_never_exceeds_what_the_cohort_has_left(rows: list[tuple[int, int, int | None]]):
    flavors = [flavor("mine" if place == 0 else f"q{place}", n, u, limit=b) for place, (n, u, b) in enumerate(rows)]
    (row,) = pools_of(inventory(*flavors), "vision-dev")
    left = sum(n for n, _, _ in rows) - sum(u for _, u, _ in rows)
    assert 0 <= row.free <= max(0, left)
    assert row.free <= row.ceiling
