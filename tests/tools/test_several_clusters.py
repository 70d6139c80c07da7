"""Several clusters: choosing among them, finding things in them, and answers that one broken cluster does not hold up."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ai_platform_mcp.app import App
from ai_platform_mcp.core.errors import InvalidInput, NotFound, PlatformError
from ai_platform_mcp.domain.text import json_tokens, tokens
from ai_platform_mcp.resources.inventory import InventoryResource
from ai_platform_mcp.sandbox import process
from ai_platform_mcp.settings import Settings
from kubernetes_servers import Server
from live_platform import InWindow, Platform
from support.clusters import A100, H100, dead, edge_node, flavor, forbidding, furnished, hanging, serving_runtime

WORK = {"purpose": "train", "accelerator": "a100", "count": 8, "hours": 2}
GOLDEN = {"finetune": {"image": "registry.local/finetune:1", "accelerator": "a100", "count": 8, "hours": 2}}


@pytest.fixture(scope="module")
def east(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Dearer for A100, with H100 beside it; serves models."""
    pools = (
        flavor("east-a100", "aws", "us-east-1"),
        flavor("east-h100", "aws", "us-east-1", product=H100, cents=900),
    )
    with furnished(tmp_path_factory.mktemp("east"), *pools, environments=("dev", "staging")) as server:
        serving_runtime(server, "kserve-openvino", "onnx")
        yield server


@pytest.fixture(scope="module")
def west(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Cheaper for A100."""
    with furnished(tmp_path_factory.mktemp("west"), flavor("west-a100", "gcp", "us-west1")) as server:
        yield server


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An edge cluster beside the sandbox's fleet, with one node name in common."""
    with furnished(tmp_path_factory.mktemp("stores")) as server:
        edge_node(server, "store-1", "high-street", "eu-west-1")
        edge_node(server, "edge-us-south-1-01", "high-street", "eu-west-1")
        yield server


def cluster(name: str, server: Server | Path, **settings: Any) -> dict[str, Any]:
    kubeconfig = server if isinstance(server, Path) else server.kubeconfig
    return {"name": name, "kubeconfig": str(kubeconfig), "role": "cloud", **settings}


def priced(cents: int, basis: str) -> dict[str, Any]:
    return {"prices": {"device_hourly_cents": {"a100": cents}, "basis": basis}}


@contextlib.asynccontextmanager
async def platform_of(folder: Path, *clusters: dict[str, Any], registry: str = "") -> AsyncIterator[Platform]:
    settings = Settings(
        state_dir=folder,
        journal_url=f"sqlite:///{folder / 'journal.sqlite'}",
        clusters=clusters,  # pyright: ignore[reportArgumentType]
        mlflow={"uri": registry, "seconds": 60},  # pyright: ignore[reportArgumentType]
        budgets_cents={"vision": 20_000_000},
        prices={"device_hourly_cents": {"a100": 999}, "basis": "platform list"},  # pyright: ignore[reportArgumentType]
        golden_paths=GOLDEN,
    )
    app = App(settings, clock=InWindow())
    try:
        yield Platform(app=app, readers=await app.readers())
    finally:
        await app.aclose()


@pytest.fixture
async def both(east: Server, west: Server, tmp_path: Path) -> AsyncIterator[Platform]:
    clusters = (
        cluster("east", east, cloud="aws", region="us-east-1", **priced(400, "east list")),
        cluster("west", west, cloud="gcp", region="us-west1", **priced(300, "west list")),
    )
    async with platform_of(tmp_path, *clusters) as platform:
        yield platform


@contextlib.asynccontextmanager
async def troubled(east: Server, west: Server, folder: Path) -> AsyncIterator[Platform]:
    """Two clusters that work among three that do not."""
    async with hanging(folder / "h") as silent, forbidding(folder / "f") as closed:
        clusters = (
            cluster("dead", dead(folder / "d")),
            cluster("east", east, **priced(400, "east list")),
            cluster("hanging", silent),
            cluster("west", west, **priced(300, "west list")),
            cluster("forbidding", closed),
        )
        async with platform_of(folder, *clusters) as platform:
            yield platform


# ------------------------------------------------------------------------------------------------------------ choosing


async def test_the_cheapest_cluster_takes_the_work_and_the_others_are_named_as_alternatives(both: Platform):
    answer = await both.call("request_gpu", **WORK)
    assert answer.data["status"] == "planned", answer.text
    assert [row["cluster"] for row in answer.data["targets"]] == ["west"]
    assert answer.data["cost"]["hourly_cents"] == 8 * 300 and answer.data["cost"]["basis"] == "west list"
    reasons = answer.data["reasons"]
    assert reasons[0].startswith("west-a100 in cluster west (gcp us-west1")
    assert any(
        "Next best: east-a100 in cluster east (aws us-east-1, on-demand, $32.00 per hour)" in row for row in reasons
    )
    assert "vision-dev of cluster west" in answer.data["summary"]


async def test_a_region_or_an_accelerator_that_one_cluster_has_alone_leads_there(both: Platform):
    for narrow in ({"regions": ["us-east"]}, {"accelerator": "h100"}):
        answer = await both.call("request_gpu", **{**WORK, **narrow})
        assert [row["cluster"] for row in answer.data["targets"]] == ["east"], answer.text
    assert answer.data["cost"]["basis"] == "the flavor's own price"


async def test_a_named_cluster_is_taken_and_an_unknown_one_refused(both: Platform):
    answer = await both.call("request_gpu", **WORK, cluster="east")
    assert [row["cluster"] for row in answer.data["targets"]] == ["east"]
    with pytest.raises(InvalidInput, match="no cluster 'north'"):
        await both.call("request_gpu", **WORK, cluster="north")


async def test_work_goes_round_clusters_that_are_down_hang_or_forbid(east: Server, west: Server, tmp_path: Path):
    async with troubled(east, west, tmp_path) as platform:
        answer = await platform.call("request_gpu", **WORK)
        assert [row["cluster"] for row in answer.data["targets"]] == ["west"], answer.text
        (passed,) = [row for row in answer.data["reasons"] if row.startswith("Not considered")]
        assert "dead (" in passed and "hanging (" in passed and "forbidding (" in passed
        with pytest.raises(PlatformError) as caught:
            await platform.call("request_gpu", **WORK, cluster="dead")
        assert caught.value.code == "unavailable" and "dead" in caught.value.message


async def test_a_cluster_for_other_teams_is_not_chosen_and_policy_refuses_it_where_it_is_named(
    east: Server, west: Server, tmp_path: Path
):
    clusters = (
        cluster("east", east, **priced(400, "east list")),
        cluster("west", west, **priced(300, "west list"), facts={"allowed_teams": ["nlp"]}),
    )
    async with platform_of(tmp_path, *clusters) as platform:
        answer = await platform.call("request_gpu", **WORK)
        assert [row["cluster"] for row in answer.data["targets"]] == ["east"]
        assert "Not considered: west (not for team vision)." in answer.data["reasons"]
        refused = await platform.call("request_gpu", **WORK, cluster="west")
        assert [row["code"] for row in refused.data["decision"]["violations"]] == ["cluster_of_other_teams"]
        assert "for the teams nlp only" in refused.text


async def test_every_change_of_a_protected_cluster_needs_an_approver(west: Server, tmp_path: Path):
    async with platform_of(tmp_path, cluster("west", west, **priced(300, "w"), facts={"protected": True})) as platform:
        planned = await platform.call("request_gpu", **WORK)
        assert planned.data["targets"][0]["cluster_facts"] == {"protected": True}
        assert [row["reason"] for row in planned.data["decision"]["approvals"]] == ["This changes a protected cluster."]
        waiting = await platform.call("request_gpu", **WORK, mode="apply", plan_id=planned.data["plan_id"])
        assert waiting.data["status"] == "awaiting_approval", waiting.text


async def test_where_no_cluster_can_do_it_each_says_why(east: Server, west: Server, tmp_path: Path):
    clusters = (cluster("east", east), cluster("west", west))
    async with platform_of(tmp_path, *clusters) as platform:
        with pytest.raises(NotFound) as caught:
            await platform.call("request_gpu", **WORK, environment="production")
        assert "east (" in caught.value.cause and "west (" in caught.value.cause
        with pytest.raises(InvalidInput, match="No pool"):
            await platform.call("request_gpu", **{**WORK, "accelerator": "b300"})


async def test_one_run_at_a_time_holds_over_all_clusters(
    sandbox: process.Status, east: Server, west: Server, tmp_path: Path
):
    clusters = (cluster("east", east, **priced(400, "e")), cluster("west", west, **priced(300, "w")))
    for server in (east, west):
        server.post(
            "/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes",
            {
                "apiVersion": "trainer.kubeflow.org/v1alpha1",
                "kind": "ClusterTrainingRuntime",
                "metadata": {"name": "torch-distributed", "labels": {"trainer.kubeflow.org/framework": "torch"}},
                "spec": {"template": {"spec": {}}},
            },
        )
    async with platform_of(tmp_path, *clusters, registry=sandbox.mlflow_uri) as platform:
        order = {"model": "over-clusters", "cluster": "east", "mode": "apply"}
        asked = await platform.call("trigger_retraining", **order)
        await platform.app.agree(asked.data["approval"]["approval_id"], platform.caller().principal)
        first = await platform.call("trigger_retraining", **order, plan_id=asked.data["plan_id"])
        assert first.data["status"] == "applied", first.text
        again = await platform.call("trigger_retraining", model="over-clusters")
        assert "in training already" in again.data["summary"], again.text
        assert [row["cluster"] for row in again.data["targets"]] == ["east"]
        other = await platform.call("trigger_retraining", model="over-clusters-2")
        assert [row["cluster"] for row in other.data["targets"]] == ["west"]


# ------------------------------------------------------------------------------------------------------------- reading


async def test_one_page_over_all_clusters_comes_in_time_and_says_which_are_silent(
    east: Server, west: Server, tmp_path: Path
):
    async with troubled(east, west, tmp_path) as platform:
        pages = {
            kind: await platform.call("inspect_platform", kind=kind)
            for kind in ("overview", "nodes", "gpu_pools", "queues")
        }
        resource = json.loads(await InventoryResource().read({}, platform.readers, platform.caller()))
        one = json.loads(await InventoryResource().read({"cluster": "dead"}, platform.readers, platform.caller()))
    for kind, answer in pages.items():
        assert json_tokens(answer.data) <= 2000 and tokens(answer.text) <= 2000
        assert {name for name in ("east", "west") if name in json.dumps(answer.data["rows"])} == {"east", "west"}
        if kind != "overview":
            column = answer.data["columns"].index("cluster")
            assert {row[column] for row in answer.data["rows"]} == {"east", "west"}
        for name in ("dead", "hanging", "forbidding"):
            assert any(f"Cluster {name}" in note for note in answer.data["notes"]), answer.text
        assert answer.data["stale_seconds"].keys() >= {"dead", "hanging"}
    assert pages["overview"].data["rows"][0][0] == "clusters"
    assert json_tokens(resource) <= 2000
    assert [row["name"] for row in resource["clusters"]] == ["dead", "east", "hanging", "west", "forbidding"]
    assert resource["stale_seconds"]["dead"] is None
    assert "has not been seen yet" in one["notes"][0]


async def test_a_page_over_clusters_is_continued_where_it_ended(both: Platform):
    seen: list[tuple[str, str]] = []
    token = ""
    while True:
        answer = await both.call("inspect_platform", kind="gpu_pools", limit=1, token=token)
        seen += [(row[0], answer.data.get("cluster") or row[-1]) for row in answer.data["rows"]]
        token = answer.data.get("next", "")
        if not token:
            break
    assert sorted(seen) == [("east-a100", "east"), ("east-h100", "east"), ("west-a100", "west")]


async def test_prices_of_the_platform_file_stand_in_the_list_of_pools(both: Platform):
    answer = await both.call("inspect_platform", kind="gpu_pools")
    place = answer.data["columns"].index("usd_hour")
    assert {row[0]: row[place] for row in answer.data["rows"]} == {
        "east-a100": "4.00", "east-h100": "9.00", "west-a100": "3.00",
    }  # fmt: skip


async def test_a_cluster_that_goes_away_is_told_from_memory_with_its_age(east: Server, tmp_path: Path):
    with ExitStack() as stack:
        brief = stack.enter_context(
            furnished(tmp_path / "brief", flavor("brief-a100", "gcp", "us-west1", product=A100))
        )
        async with platform_of(tmp_path, cluster("east", east), cluster("brief", brief)) as platform:
            before = await platform.call("inspect_platform", kind="gpu_pools")
            assert "stale_seconds" not in before.data
            stack.close()
            for _ in range(40):
                after = await platform.call("inspect_platform", kind="gpu_pools")
                if "stale_seconds" in after.data:
                    break
            assert after.data["rows"] == before.data["rows"], after.text
            assert isinstance(after.data["stale_seconds"]["brief"], int) and "east" not in after.data["stale_seconds"]
            assert any("Cluster brief was last seen" in note for note in after.data["notes"])
            answer = await platform.call("request_gpu", **WORK)
            assert [row["cluster"] for row in answer.data["targets"]] == ["east"], answer.text


# ------------------------------------------------------------------------------------------------- finding, and two halves


async def test_a_deployment_may_have_its_halves_in_two_clusters(sandbox: process.Status, east: Server, tmp_path: Path):
    clusters = (
        cluster("east", east, cloud="aws", region="us-east-1"),
        cluster("fleet", Path(sandbox.kubeconfig), role="edge"),
    )
    async with platform_of(tmp_path, *clusters, registry=sandbox.mlflow_uri) as platform:
        answer = await platform.call("deploy_model", model="vision-v2", environment="staging")
        assert {row["cluster"] for row in answer.data["targets"]} == {"east", "fleet"}, answer.text
        assert "of cluster east" in answer.data["summary"] and "of cluster fleet" in answer.data["summary"]
        for target, name in (("cloud", "east"), ("edge", "fleet")):
            half = await platform.call("deploy_model", model="vision-v2", environment="staging", target=target)
            assert {row["cluster"] for row in half.data["targets"]} == {name}, half.text


async def test_a_silent_edge_cluster_leaves_the_cloud_half_and_says_so(
    sandbox: process.Status, east: Server, tmp_path: Path
):
    clusters = (cluster("east", east), cluster("fleet", dead(tmp_path / "d"), role="edge"))
    async with platform_of(tmp_path, *clusters, registry=sandbox.mlflow_uri) as platform:
        answer = await platform.call("deploy_model", model="vision-v2", environment="staging")
        assert {row["cluster"] for row in answer.data["targets"]} == {"east"}, answer.text
        assert any(row.startswith("Not edge:") and "fleet" in row for row in answer.data["reasons"])
        with pytest.raises(PlatformError, match="fleet"):
            await platform.call("deploy_model", model="vision-v2", environment="staging", target="edge")


async def test_of_several_cloud_clusters_the_one_that_serves_the_model_is_meant(
    sandbox: process.Status, east: Server, west: Server, tmp_path: Path
):
    clusters = (cluster("east", east), cluster("west", west))
    ask = {"model": "vision-v2", "environment": "dev", "target": "cloud"}
    async with platform_of(tmp_path, *clusters, registry=sandbox.mlflow_uri) as platform:
        with pytest.raises(InvalidInput, match="Which cluster") as caught:
            await platform.call("deploy_model", **ask)
        assert caught.value.details["clusters"] == ["east", "west"]
        first = await platform.call("deploy_model", **ask, cluster="east", mode="apply")
        assert first.data["status"] == "applied", first.text
        again = await platform.call("deploy_model", **ask, max_replicas=2)
        assert {row["cluster"] for row in again.data["targets"]} == {"east"}, again.text


async def test_edge_nodes_are_found_by_name_and_refused_where_two_clusters_have_them(
    sandbox: process.Status, east: Server, stores: Server, tmp_path: Path
):
    clusters = (
        cluster("east", east),
        cluster("fleet", Path(sandbox.kubeconfig), role="edge"),
        cluster("stores", stores, role="edge"),
    )
    async with platform_of(tmp_path, *clusters) as platform:
        for nodes, name in ((["store-1"], "stores"), (["edge-us-east-1-01"], "fleet")):
            answer = await platform.call("manage_edge_nodes", action="cordon", nodes=nodes)
            assert {row["cluster"] for row in answer.data["targets"]} == {name}, answer.text
        with pytest.raises(InvalidInput) as caught:
            await platform.call("manage_edge_nodes", action="cordon", nodes=["edge-us-south-1-01"])
        assert caught.value.details["clusters"] == ["fleet", "stores"]
        named = await platform.call(
            "manage_edge_nodes", action="cordon", nodes=["edge-us-south-1-01"], cluster="stores"
        )
        assert {row["cluster"] for row in named.data["targets"]} == {"stores"}
        with pytest.raises(NotFound, match="none of fleet, stores"):
            await platform.call("manage_edge_nodes", action="cordon", nodes=["nowhere-1"])
