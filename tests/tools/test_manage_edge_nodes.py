from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.core.errors import Conflict, InvalidInput, NotFound
from ai_platform_mcp.core.permit import Permit, open_permit
from ai_platform_mcp.core.plan import Patch
from ai_platform_mcp.core.rows import Stamp
from ai_platform_mcp.domain.objects import ref_of
from live_platform import Platform

EDGE = "edge.aiplatform.dev/v1alpha1"


async def pods_on(platform: Platform, node: str) -> list[dict[str, Any]]:
    page = await platform.readers.clusters.list("sandbox", "v1", "Pod", fields=f"spec.nodeName={node}")
    return list(page.items)


async def node_with(platform: Platform, *, owner: str) -> str:
    """A ready edge node that runs a pod of this kind of owner."""
    page = await platform.readers.clusters.list("sandbox", "v1", "Pod")
    return next(
        row["spec"]["nodeName"]
        for row in page.items
        if row["spec"].get("nodeName", "").startswith("edge-")
        and row["metadata"]["ownerReferences"][0]["kind"] == owner
    )


async def test_a_drain_cordons_first_and_evicts_what_no_daemon_set_brings_back(platform: Platform):
    node = await node_with(platform, owner="ReplicaSet")
    answer = await platform.call("manage_edge_nodes", action="drain", nodes=[node], grace_seconds=5)
    titles = [row["title"] for row in answer.data["steps"]]
    assert titles[0] == f"Cordon node {node}"
    evicted = {title.split()[2].split("/")[1] for title in titles[1:]}
    wanted = {
        row["metadata"]["name"]
        for row in await pods_on(platform, node)
        if row["metadata"]["ownerReferences"][0]["kind"] != "DaemonSet"
    }
    assert evicted == wanted != set()
    live = await platform.get("v1", "Node", node)
    assert live is not None and not live["spec"].get("unschedulable"), "a plan changes nothing"


async def test_a_plan_shows_each_sites_healthy_nodes_before_after_and_its_minimum(platform: Platform):
    answer = await platform.call("manage_edge_nodes", action="cordon", nodes=["edge-us-south-1-01"])
    assert answer.data["reasons"][0].startswith("1 of 47 edge nodes (3 %): us-south-1 5 → 4 healthy (minimum 3)")


async def test_a_drain_warns_of_nothing_that_is_not_so(platform: Platform):
    answer = await platform.call(
        "manage_edge_nodes", action="drain", nodes=[await node_with(platform, owner="ReplicaSet")]
    )
    told = " ".join(risk["text"] for risk in answer.data.get("risks", ()))
    assert "not-served" not in told and "takes over" not in told, told


async def test_a_rollout_by_region_is_understood_as_people_write_it_and_shows_whom_it_touches(platform: Platform):
    answer = await platform.call(
        "manage_edge_nodes", action="rollout", model="vision-v2:2", region="US South", environment="dev"
    )
    assert answer.data["targets"][0]["region"] == "us-south"
    told = " ".join(answer.data["reasons"])
    assert "14 of 47 edge nodes (30 %): us-south-1 5 of 5 healthy (minimum 3)" in told
    assert answer.data["decision"]["approvals"][0]["reason"] in answer.text, "who has to agree, and why"


async def test_a_site_never_goes_below_its_minimum(platform: Platform):
    answer = await platform.call("manage_edge_nodes", action="drain", site="us-south-1")
    assert answer.data["status"] == "denied"
    assert "site_below_minimum" in {row["code"] for row in answer.data["decision"]["violations"]}


async def test_a_drain_that_a_budget_will_stop_says_so_before(platform: Platform):
    answer = await platform.call("manage_edge_nodes", action="drain", selector="node-role.kubernetes.io/edge")
    told = " ".join(risk["text"] for risk in answer.data["risks"])
    page = await platform.readers.clusters.list("sandbox", "policy/v1", "PodDisruptionBudget")
    allowed = next(
        row["status"]["disruptionsAllowed"] for row in page.items if row["metadata"]["name"] == "edge-gateway"
    )
    assert f"edge-gateway lets {allowed} of" in told


async def test_labels_of_the_cluster_and_of_the_platform_are_refused(platform: Platform):
    for label in ("kubernetes.io/hostname=x", "node-role.kubernetes.io/edge-", "edge.aiplatform.dev/site=elsewhere"):
        with pytest.raises(InvalidInput):
            await platform.call("manage_edge_nodes", action="label", nodes=["edge-us-south-1-01"], labels=[label])
    answer = await platform.call(
        "manage_edge_nodes", action="label", nodes=["edge-us-south-1-01"], labels=["team.example/rack=r7"]
    )
    assert answer.data["steps"][0]["changes"] == [
        {"path": "/metadata/labels/team.example~1rack", "before": None, "after": "r7"}
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"action": "cordon"}, InvalidInput, "Which nodes"),
        ({"action": "cordon", "nodes": ["edge-nowhere-01"]}, NotFound, "no node"),
        ({"action": "cordon", "nodes": ["aws-a100-01"]}, InvalidInput, "no edge node"),
        ({"action": "cordon", "selector": "a in (b)"}, InvalidInput, "no label selector"),
        ({"action": "cordon", "nodes": ["edge-us-south-1-01"], "labels": ["a=b"]}, InvalidInput, "takes no labels"),
        ({"action": "uncordon", "nodes": ["edge-us-south-1-01"]}, Conflict, "schedulable already"),
        ({"action": "label", "nodes": ["edge-us-south-1-01"]}, InvalidInput, "Which labels"),
        ({"action": "rollout"}, InvalidInput, "Which model"),
        ({"action": "pause"}, InvalidInput, "Which rollout"),
        ({"action": "pause", "model": "never-rolled-out"}, NotFound, "no such rollout"),
        ({"action": "status", "model": "never-rolled-out"}, NotFound, "no such rollout"),
        ({"action": "status", "site": "nowhere"}, NotFound, "No edge node is in site nowhere"),
        ({"action": "cordon", "site": "us-south-1", "region": "us-east"}, NotFound, "fits everything"),
        ({"action": "rollout", "model": "vision-v2:2", "region": "mars"}, NotFound, "in region mars"),
        ({"action": "uncordon", "nodes": ["edge-us-south-1-01"], "reason": "health"}, InvalidInput, "takes no reason"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
async def test_a_call_that_means_nothing_certain_is_refused(
    platform: Platform, arguments: dict[str, Any], error: type[Exception], said: str
):
    with pytest.raises(error, match=said):
        await platform.call("manage_edge_nodes", **arguments)


async def test_a_release_reaches_one_site_pauses_goes_on_and_is_rolled_back(platform: Platform):
    common = {"environment": "dev", "site": "us-south-3"}
    first = await platform.call("manage_edge_nodes", action="rollout", model="vision-v2:2", **common, mode="apply")
    assert first.data["status"] == "applied", first.text
    paused = await platform.call("manage_edge_nodes", action="pause", model="vision-v2", mode="apply")
    assert paused.data["status"] == "applied", paused.text
    name = first.data["operation_id"]
    told = await platform.call("manage_edge_nodes", action="status", model="vision-v2")
    assert any(note.startswith("Rollout vision-dev/") and "vision-v2 2" in note for note in told.data["notes"])
    seen = await platform.call("inspect_platform", kind="operations", name=name)
    assert seen.data["progress"]["state"] == "paused"
    rollouts = (await platform.readers.clusters.list("sandbox", EDGE, "EdgeRollout", namespace="vision-dev")).items
    live = next(row for row in rollouts if row["spec"]["model"] == "vision-v2")
    assert live["spec"]["paused"] is True and live["spec"]["sites"] == ["us-south-3"]
    with pytest.raises(Conflict, match="names no release to return to"):
        await platform.call("control_operation", operation_id=name, action="rollback")
    resumed = await platform.call("control_operation", operation_id=name, action="resume", mode="apply")
    assert resumed.data["status"] == "applied", resumed.text
    cancelled = await platform.call("control_operation", operation_id=name, action="cancel", mode="apply")
    assert cancelled.data["status"] == "applied", cancelled.text
    assert await platform.get(EDGE, "EdgeRollout", live["metadata"]["name"], "vision-dev") is None


async def test_a_rollback_is_a_new_generation_of_the_release_before(platform: Platform):
    begun = await platform.call(
        "manage_edge_nodes", action="rollout", model="ticket-router:2", environment="dev", site="us-south-3",
        team="nlp", mode="apply",
    )  # fmt: skip
    assert begun.data["status"] == "applied", begun.text
    live = next(
        row
        for row in (await platform.readers.clusters.list("sandbox", EDGE, "EdgeRollout", namespace="nlp-dev")).items
        if row["spec"]["model"] == "ticket-router"
    )
    name, earlier = (
        live["metadata"]["name"],
        {"version": "1", "digest": f"sha256:{'1' * 64}", "storageUri": "oci://r/t:1"},
    )
    await write(
        platform, Patch(title="seed", cluster="sandbox", ref=ref_of(live), patch={"spec": {"rollbackTo": earlier}})
    )
    back = await platform.call("manage_edge_nodes", action="rollback", rollout=name, team="nlp", mode="apply")
    assert back.data["status"] == "applied", back.text
    assert await platform.get(EDGE, "EdgeRollout", name, "nlp-dev") is None
    rollouts = (await platform.readers.clusters.list("sandbox", EDGE, "EdgeRollout", namespace="nlp-dev")).items
    new = next(row for row in rollouts if row["spec"]["model"] == "ticket-router")
    assert new["spec"]["version"] == "1" and new["spec"]["digest"] == earlier["digest"]
    assert new["spec"]["generationOf"] == live["spec"]["generationOf"] + 1
    assert new["spec"]["rollbackTo"]["version"] == "2" and new["spec"]["sites"] == ["us-south-3"]
    assert new["metadata"]["labels"]["aiplatform.dev/team"] == "nlp"


async def write(platform: Platform, step: Patch) -> None:
    """Change an object behind the platform's back, as a controller or a person would."""
    writers = (await platform.app.wiring()).guard._executor._writers  # type: ignore[attr-defined]
    with open_permit(Permit("test", "s1")):
        await writers.clusters.execute(step, Stamp(operation_id="op-test", plan_digest="0" * 64))
