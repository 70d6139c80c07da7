from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.rows import FlavorRow, Inventory, NodeRow, QueueRow
from ai_platform_mcp.domain.placement import REJECTIONS, Need, explain, place, rejections
from ai_platform_mcp.domain.pools import FLAVOR_BASIS, Pool, PriceList, accelerator_matches, pools_of

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
    fields = {**base, **fields}
    # Flavors of one queue stand for nodes that differ in some label; these differ in each.
    fields.setdefault(
        "node_labels",
        {
            "flavor": fields["flavor"],
            "product": fields["accelerator"],
            "region": fields["region"],
            "spot": str(fields["spot"]),
        },
    )
    return Pool(**fields)


PRODUCTS = {
    "aws-a100": "NVIDIA-A100-SXM4-80GB",
    "gcp-a100": "NVIDIA-A100-SXM4-80GB",
    "gcp-h100": "NVIDIA-H100-80GB-HBM3",
}


def varied(**fields: Any) -> Pool:
    return pool(**fields, accelerator=PRODUCTS[fields["flavor"]])


pools = st.builds(
    varied,
    cluster=st.sampled_from(["east", "west", "north"]),
    local_queue=st.sampled_from(["gpu", "other"]),
    flavor=st.sampled_from(sorted(PRODUCTS)),
    order=st.integers(0, 5),
    spot=st.booleans(),
    region=st.sampled_from(["us-east-1", "eu-west-1"]),
    device_hourly_cents=st.none() | st.integers(1, 3000),
    free=st.integers(0, 64),
    ceiling=st.integers(64, 128),
    pending=st.integers(0, 5),
    node_devices=st.sampled_from([0, 1, 8]),
    active=st.booleans(),
)
worlds = st.lists(pools, max_size=10, unique_by=lambda row: (row.cluster, row.local_queue, row.flavor))
"""Queues of several clusters; a flavor is in a queue once."""
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


@given(needs, worlds)
def test_what_is_placed_now_fits_what_is_free_and_what_is_queued_fits_what_could_ever_be(need: Need, rows: list[Pool]):
    for row in place(need, rows).ranked:
        assert (row.forecast == "now") == any(need.devices <= one.free for one in row.pools)
        assert (row.forecast == "never") == all(need.devices > one.ceiling for one in row.pools)
        assert row.pool in row.pools and (row.forecast != "now" or need.devices <= row.pool.free)


@given(needs, worlds)
def test_spot_is_only_offered_to_checkpointed_training_or_batch_work(need: Need, rows: list[Pool]):
    for row in place(need, rows).ranked:
        if any(one.spot for one in row.pools):
            assert need.checkpoint and need.purpose in ("train", "batch") and need.capacity != "on_demand"


@given(needs, worlds)
def test_the_choice_is_the_cheapest_of_those_that_start_soonest(need: Need, rows: list[Pool]):
    answer = place(need, rows)
    chosen = answer.chosen
    if chosen is None:
        return
    order = ["now", "queued", "never"]
    assert all(order.index(chosen.forecast) <= order.index(row.forecast) for row in answer.ranked)
    peers = [
        row.expected_cents
        for row in answer.ranked
        if row.forecast == chosen.forecast and row.expected_cents is not None
    ]
    if peers:
        assert chosen.expected_cents == min(peers)


@given(needs, worlds)
def test_over_all_clusters_no_fitting_pool_that_could_start_now_is_cheaper(need: Need, rows: list[Pool]):
    answer = place(need, rows)
    pins = [row for one in rows for row in place(need, [one]).ranked]
    now = [row.hourly_cents for row in pins if row.forecast == "now" and row.hourly_cents is not None]
    if now:
        assert answer.chosen is not None and answer.chosen.forecast == "now"
        assert answer.chosen.expected_cents == min(now)


def kueue_takes(need: Need, queue: list[Pool], selector: dict[str, str]) -> Pool | None:
    """What Kueue does: the first flavor in order that carries the asked-for labels and has room."""
    keys = {key for row in queue for key in row.node_labels}
    for row in sorted(queue, key=lambda row: (row.order, row.flavor)):
        carries = all(row.node_labels.get(key) == value for key, value in selector.items() if key in keys)
        if carries and need.devices <= row.free:
            return row
    return None


@given(needs, worlds)
def test_kueue_admits_the_work_on_what_was_promised_and_never_on_what_was_ruled_out(need: Need, rows: list[Pool]):
    for row in place(need, rows).ranked:
        queue = [one for one in rows if (one.cluster, one.local_queue) == (row.pool.cluster, row.pool.local_queue)]
        taken = kueue_takes(need, queue, row.selector)
        assert (taken is not None) == (row.forecast == "now")
        if taken is None:
            continue
        assert taken == row.pool
        for later in row.pools:
            full = [one if one == later else one.model_copy(update={"free": 0}) for one in queue]
            spilled = kueue_takes(need, full, row.selector)
            assert spilled is None or place(need, [spilled]).chosen is not None
            if spilled is not None and row.hourly_cents is not None:
                assert spilled.device_hourly_cents is not None
                assert spilled.device_hourly_cents * need.devices <= row.hourly_cents


@given(needs, worlds)
def test_every_pool_is_either_ranked_or_counted_among_the_rejected(need: Need, rows: list[Pool]):
    answer = place(need, rows)
    placed = [one for row in answer.ranked for one in row.pools]
    left = [row for row in rows if row not in placed]
    # What a queue has and could never hold the request is no part of a candidate that could.
    possible = [row for row in left if need.devices <= row.ceiling]
    assert len(possible) <= sum(answer.rejected.values()) <= len(left)
    assert set(answer.rejected) <= set(REJECTIONS)
    assert rejections(answer.rejected).count("pool") == len(answer.rejected)


@given(needs, worlds, st.randoms(use_true_random=False))
def test_the_order_in_which_pools_are_listed_does_not_decide(need: Need, rows: list[Pool], random: Any):
    shuffled = list(rows)
    random.shuffle(shuffled)
    first, second = place(need, rows).chosen, place(need, shuffled).chosen
    assert first == second


@given(needs, worlds)
def test_a_price_limit_and_regions_are_never_overstepped(need: Need, rows: list[Pool]):
    for row in place(need, rows).ranked:
        if need.max_hourly_cents is not None:
            assert row.hourly_cents is not None and row.hourly_cents <= need.max_hourly_cents
        if need.regions:
            assert all(one.region.startswith(need.regions) for one in row.pools)


def test_the_reasons_name_the_pool_the_runner_up_and_what_was_ruled_out():
    answer = place(
        Need(purpose="train", accelerator="a100", count=8, nodes=2, hours=4),
        [
            pool(),
            pool(flavor="aws-a100-spot", spot=True),
            pool(flavor="gcp-a100", local_queue="other", device_hourly_cents=500, free=8, pending=2),
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


# ------------------------------------------------------------------------------------------- flavors that may stand in

H100 = {"accelerator": "NVIDIA-H100-80GB-HBM3"}
WANTS_H100 = Need(purpose="train", accelerator="h100", count=8, hours=1)


def test_any_flavor_of_the_queue_that_would_do_may_admit_the_work_and_the_price_is_the_dearest():
    first = pool(flavor="gcp-h100", order=1, device_hourly_cents=1100, region="us-central1", **H100)
    second = pool(flavor="azure-h100", order=2, device_hourly_cents=1200, region="eastus", **H100)
    chosen = place(WANTS_H100, [pool(order=0), first, second]).chosen
    assert chosen is not None and [row.flavor for row in chosen.pools] == ["gcp-h100", "azure-h100"]
    assert chosen.selector == {"product": "NVIDIA-H100-80GB-HBM3", "spot": "False"}
    assert (chosen.expected_cents, chosen.hourly_cents, chosen.at_most) == (8 * 1100, 8 * 1200, True)
    text = " ".join(explain(place(WANTS_H100, [first, second])))
    assert "gcp-h100 or azure-h100" in text and "at most $96.00 per hour" in text
    assert "If that is taken by then: azure-h100." in text


def test_where_the_first_flavor_is_full_the_next_one_starts_the_work_now():
    full = pool(flavor="gcp-h100", order=1, device_hourly_cents=1100, free=0, **H100)
    empty = pool(flavor="azure-h100", order=2, device_hourly_cents=1200, **H100)
    chosen = place(WANTS_H100, [full, empty]).chosen
    assert chosen is not None and chosen.forecast == "now" and chosen.pool.flavor == "azure-h100"
    assert [row.flavor for row in chosen.pools] == ["gcp-h100", "azure-h100"]


def test_a_dearer_flavor_that_kueue_would_take_first_is_kept_out():
    dear = pool(flavor="azure-h100", order=1, device_hourly_cents=2000, **H100)
    cheap = pool(flavor="gcp-h100", order=2, device_hourly_cents=1100, **H100)
    chosen = place(WANTS_H100, [dear, cheap]).chosen
    assert chosen is not None and [row.flavor for row in chosen.pools] == ["gcp-h100"]
    assert chosen.selector["flavor"] == "gcp-h100" and not chosen.at_most


@pytest.mark.parametrize(
    "limit", [{"max_hourly_cents": 8 * 1150}, {"regions": ("us",)}], ids=lambda limit: next(iter(limit))
)
def test_what_the_limits_rule_out_is_ruled_out_by_labels(limit: dict[str, Any]):
    inside = pool(flavor="gcp-h100", order=1, device_hourly_cents=1100, region="us-central1", **H100)
    outside = pool(flavor="azure-h100", order=2, device_hourly_cents=1200, region="eastus", **H100)
    chosen = place(WANTS_H100.model_copy(update=limit), [inside, outside]).chosen
    assert chosen is not None and [row.flavor for row in chosen.pools] == ["gcp-h100"]
    assert not chosen.selector.items() <= outside.node_labels.items()


def test_a_pool_whose_labels_let_in_what_is_ruled_out_is_no_candidate():
    wanted = pool(flavor="gcp-h100", order=1, device_hourly_cents=1100, node_labels={"product": "h100"}, **H100)
    dear = pool(flavor="dear", order=2, device_hourly_cents=1200, node_labels={"product": "h100", "x": "y"}, **H100)
    answer = place(WANTS_H100.model_copy(update={"max_hourly_cents": 8 * 1150}), [wanted, dear])
    assert answer.chosen is None and answer.rejected == {"inseparable": 1, "price": 1}


def test_the_cluster_is_named_where_there_is_a_choice():
    east, west = pool(cluster="east"), pool(cluster="west", device_hourly_cents=300)
    text = explain(place(Need(purpose="train", accelerator="", count=8, hours=1), [east, west]), clusters=True)
    assert text[0].startswith("aws-a100 in cluster west") and "Next best: aws-a100 in cluster east" in " ".join(text)


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
    (row,) = pools_of(
        inventory(flavor("mine", 16, 0), pending=1), "vision-dev", [prices({"h100": 900}), prices({"a100": 350})]
    )
    assert (row.node_devices, row.pending, row.device_hourly_cents) == (8, 3, 350)


def prices(cents: dict[str, int], basis: str = "list") -> PriceList:
    return PriceList(device_hourly_cents=cents, basis=basis)


def test_a_flavors_own_price_comes_before_the_clusters_and_that_before_the_platforms():
    lists = [prices({"a100": 350, "aws-a100": 340}, "this cluster"), prices({"a100": 400}, "platform file")]
    own = flavor("mine", 16, 0).model_copy(update={"hourly_cents": 300})
    bare = flavor("mine", 16, 0)

    def told(row: FlavorRow, known: list[PriceList]) -> tuple[int | None, str]:
        (found,) = pools_of(inventory(row), "vision-dev", known)
        return found.device_hourly_cents, found.price_basis

    assert told(own, lists) == (300, FLAVOR_BASIS)
    assert told(bare, lists) == (340, "this cluster")
    assert told(bare, lists[1:]) == (400, "platform file")
    assert told(bare, [prices({"h100": 1})]) == (None, "")


@given(
    st.lists(st.tuples(st.integers(0, 64), st.integers(0, 64), st.none() | st.integers(0, 64)), min_size=1, max_size=5)
)
def test_free_quota_never_exceeds_what_the_cohort_has_left(rows: list[tuple[int, int, int | None]]):
    flavors = [flavor("mine" if place == 0 else f"q{place}", n, u, limit=b) for place, (n, u, b) in enumerate(rows)]
    (row,) = pools_of(inventory(*flavors), "vision-dev")
    left = sum(n for n, _, _ in rows) - sum(u for _, u, _ in rows)
    assert 0 <= row.free <= max(0, left)
    assert row.free <= row.ceiling


labels = st.dictionaries(st.sampled_from(["pool", "cloud"]), st.sampled_from(["a", "b"]))


@given(st.lists(labels, max_size=4), st.lists(st.tuples(labels, st.integers(0, 8)), max_size=6))
def test_the_largest_node_is_the_largest_that_has_all_of_the_flavors_labels(
    flavors: list[dict[str, str]], nodes: list[tuple[dict[str, str], int]]
):
    rows = [
        flavor("mine", 1, 0).model_copy(update={"flavor": f"f{number}", "node_labels": said})
        for number, said in enumerate(flavors)
    ]
    world = inventory(*rows)
    [node] = world.nodes
    known = tuple(node.model_copy(update={"labels": said, "accelerators": count}) for said, count in nodes)
    pools = pools_of(world.model_copy(update={"nodes": known}), "vision-dev")
    assert [pool.node_devices for pool in pools] == [
        max((count for said, count in nodes if wanted and wanted.items() <= said.items()), default=0)
        for wanted in flavors
    ]
