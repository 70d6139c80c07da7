"""What ails edge nodes is shown, proposed, and acted on where policy allows: through the whole path, over the sandbox."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from ai_platform_mcp.controllers.edge import observe
from ai_platform_mcp.core.errors import Conflict, InvalidInput, NotFound, Rejected, Unavailable
from ai_platform_mcp.core.permit import Permit, open_permit
from ai_platform_mcp.core.plan import Apply, Delete, ObjectRef, Patch
from ai_platform_mcp.core.rows import MetricAnswer, MetricPoint, MetricSeries, NodeRow, Stamp
from live_platform import Platform

SICK, HUNG, LOST = "edge-us-south-2-01", "edge-us-east-1-01", "edge-eu-west-1-01"


async def behind(platform: Platform, *steps: Patch | Apply | Delete) -> None:
    """Change objects behind the platform's back, as a kubelet or a driver does."""
    writers = (await platform.app.wiring()).guard._executor._writers  # type: ignore[attr-defined]
    with open_permit(Permit("test", "s1")):
        for step in steps:
            stamp = Stamp(operation_id=f"op-{uuid.uuid4().hex[:16]}", plan_digest="0" * 64)
            await writers.clusters.execute(step, stamp)


def device_taints(node: str, *taints: tuple[str, str]) -> Apply:
    """A ResourceSlice as the NVIDIA DRA driver writes it."""
    return Apply(
        title="slice",
        cluster="sandbox",
        manifest={
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceSlice",
            "metadata": {"name": f"{node}-gpu"},
            "spec": {
                "driver": "gpu.nvidia.com",
                "nodeName": node,
                "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
                "devices": [
                    {
                        "name": "gpu-0",
                        "taints": [{"key": key, "value": value, "effect": "NoSchedule"} for key, value in taints],
                    }
                ],
            },
        },
    )


def node_ref(node: str) -> ObjectRef:
    return ObjectRef(api_version="v1", kind="Node", name=node)


@asynccontextmanager
async def sick(platform: Platform, node: str, *taints: tuple[str, str]) -> AsyncIterator[None]:
    """A node whose device has these taints, and no longer afterwards; nor is it cordoned then."""
    await behind(platform, device_taints(node, *taints))
    try:
        yield
    finally:
        live = await platform.get("resource.k8s.io/v1", "ResourceSlice", f"{node}-gpu")
        ref = ObjectRef(api_version="resource.k8s.io/v1", kind="ResourceSlice", name=f"{node}-gpu")
        assert live is not None
        well = Patch(title="well", cluster="sandbox", ref=node_ref(node), patch={"spec": {"unschedulable": None}})
        gone = Delete(title="gone", cluster="sandbox", ref=ref, uid=live["metadata"]["uid"])
        await behind(platform, gone, well)
        await shown(platform, node, lambda row: row.schedulable)


def rows(answer: Any) -> list[dict[str, Any]]:
    return [dict(zip(answer.data["columns"], row, strict=True)) for row in answer.data["rows"]]


async def test_the_status_of_a_fleet_names_who_is_away_and_takes_little_room(platform: Platform):
    answer = await platform.call("manage_edge_nodes", action="status")
    assert {row["state"] for row in rows(answer)} == {"offline"} and len(rows(answer)) == 3
    assert {(row["class"], row["proposes"]) for row in rows(answer)} == {("node", "watch")}, "offline is no fault"
    assert "In all: 3 edge offline, 44 edge ready." in answer.data["notes"]
    assert any(note.startswith("Sites with nodes away: ") for note in answer.data["notes"])


async def test_status_shows_what_is_found_and_what_is_proposed(platform: Platform):
    async with sick(platform, SICK, ("gpu.nvidia.com/xid", "79")), sick(platform, HUNG, ("gpu.nvidia.com/xid", "119")):
        answer = await platform.call("manage_edge_nodes", action="status", nodes=[SICK, HUNG])
        found = {(row["node"], row["finding"], row["class"], row["severity"], row["proposes"]) for row in rows(answer)}
        assert found == {
            (SICK, "dra.xid-79", "hardware", "critical", "drain"),
            (HUNG, "dra.xid-119", "hardware", "critical", "cordon"),
        }
        assert answer.data["proposed"] == {"drain": [SICK], "cordon": [HUNG]}
        assert f"Proposed to drain: {SICK}; action=drain reason=health plans it." in answer.text


async def test_an_agent_cordons_failed_hardware_in_production_at_any_hour_and_nothing_else(platform: Platform):
    async with sick(platform, SICK, ("gpu.nvidia.com/gpu-lost", "")):
        plain = await platform.call("manage_edge_nodes", action="cordon", nodes=[SICK])
        assert plain.data["decision"]["effect"] == "require_approval"
        done = await platform.call("manage_edge_nodes", action="cordon", nodes=[SICK], reason="health", mode="apply")
        assert done.data["status"] == "applied", done.text
        live = await platform.get("v1", "Node", SICK)
        assert live is not None and live["spec"]["unschedulable"] is True
        with pytest.raises(Conflict, match="cordoned already"):
            await platform.call("manage_edge_nodes", action="cordon", nodes=[SICK], reason="health", grace_seconds=None)


async def test_a_drain_for_health_says_why_what_it_touches_and_asks(platform: Platform):
    async with sick(platform, SICK, ("gpu.nvidia.com/xid", "95")):
        answer = await platform.call("manage_edge_nodes", action="drain", region="us-south", reason="health")
        assert answer.data["steps"][0]["title"] == f"Cordon node {SICK}", "of the region, only what has a finding"
        told = " ".join(answer.data["reasons"])
        assert "1 of 47 edge nodes (3 %): us-south-2" in told and "dra.xid-95" in told and "proposes drain" in told
        asked = {row["reason"] for row in answer.data["decision"]["approvals"]}
        assert (
            answer.data["decision"]["effect"] == "require_approval"
            and "This changes edge sites in production." in asked
        )


async def test_health_is_no_reason_where_nothing_is_found(platform: Platform):
    async with sick(platform, SICK, ("gpu.nvidia.com/xid", "13")):
        with pytest.raises(InvalidInput, match=f"proposes to cordon {SICK}"):
            await platform.call("manage_edge_nodes", action="cordon", nodes=[SICK], reason="health")
    async with sick(platform, SICK, ("gpu.nvidia.com/xid", "119")):
        with pytest.raises(InvalidInput, match=f"proposes to drain {SICK}"):
            await platform.call("manage_edge_nodes", action="drain", nodes=[SICK], reason="health")
    with pytest.raises(NotFound, match="any of these"):
        await platform.call("manage_edge_nodes", action="drain", region="eu-west", reason="health")


async def test_a_sites_minimum_holds_whatever_is_found(platform: Platform):
    nodes = [row["name"] for row in await fleet(platform) if row["site"] == "us-south-1"]
    for node in nodes:
        await behind(platform, device_taints(node, ("gpu.nvidia.com/xid", "79")))
    try:
        answer = await platform.call("manage_edge_nodes", action="cordon", site="us-south-1", reason="health")
        assert answer.data["status"] == "denied"
        assert "site_below_minimum" in {row["code"] for row in answer.data["decision"]["violations"]}
    finally:
        for node in nodes:
            await behind(platform, device_taints(node))


async def fleet(platform: Platform) -> list[dict[str, str]]:
    inventory = await platform.readers.inventory.inventory("sandbox")
    return [{"name": row.name, "site": row.site} for row in inventory.nodes if row.role == "edge"]


async def test_a_sick_node_that_goes_back_to_work_is_warned_of(platform: Platform):
    async with sick(platform, LOST, ("gpu.nvidia.com/gpu-lost", "")):
        away = Patch(title="away", cluster="sandbox", ref=node_ref(LOST), patch={"spec": {"unschedulable": True}})
        await behind(platform, away)
        answer = await platform.call("manage_edge_nodes", action="uncordon", nodes=[LOST])
        assert any("gpu-lost" in row["text"] and row["severity"] == "danger" for row in answer.data["risks"])


async def test_a_drain_says_where_requests_can_go_and_which_have_nowhere_to_go(platform: Platform):
    first, second = (row["name"] for row in (await fleet(platform))[:2])
    shared, lonely = "edge.aiplatform.dev/release.shared", "edge.aiplatform.dev/release.lonely"
    labels = {first: {shared: "1", lonely: "1"}, second: {shared: "1"}}
    try:
        for node, wanted in labels.items():
            await behind(platform, labelled(node, wanted))
            await shown(platform, node, lambda row, wanted=wanted: wanted.items() <= row.labels.items())
        answer = await platform.call("manage_edge_nodes", action="drain", nodes=[first])
        assert "Requests for shared can spill to 1 node of the same site." in answer.data["reasons"]
        alone = "Nothing else serves lonely: its requests there fail until the nodes return."
        assert {"severity": "danger", "text": alone} in answer.data["risks"]
    finally:
        for node, wanted in labels.items():
            await behind(platform, labelled(node, dict.fromkeys(wanted)))


async def shown(platform: Platform, node: str, fits: Callable[[NodeRow], bool]) -> None:
    """Wait until the inventory, which a watch feeds, shows the node so."""
    with anyio.fail_after(20):
        while True:
            inventory = await platform.readers.inventory.inventory("sandbox")
            if any(row.name == node and fits(row) for row in inventory.nodes):
                return
            await anyio.sleep(0.02)


async def test_a_node_of_an_openyurt_pool_is_one_of_the_fleet_and_its_pool_its_site(platform: Platform):
    node, pool = "yurt-01", {"apps.openyurt.io/nodepool": "hangzhou", "openyurt.io/is-edge-worker": "true"}
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": pool}}
    await behind(platform, Apply(title="join", cluster="sandbox", manifest=manifest))
    try:
        await shown(platform, node, lambda row: row.site == "hangzhou")
        answer = await platform.call("manage_edge_nodes", action="cordon", site="hangzhou")
        assert [row["title"] for row in answer.data["steps"]] == [f"Cordon node {node}"]
    finally:
        live = await platform.get("v1", "Node", node)
        assert live is not None
        await behind(
            platform, Delete(title="leave", cluster="sandbox", ref=node_ref(node), uid=live["metadata"]["uid"])
        )


async def test_the_nodes_that_a_plan_counts_are_those_that_its_rollout_concerns(platform: Platform):
    node, ours = "edge-us-east-1-02", {"node-role.kubernetes.io/edge": "", "edge.aiplatform.dev/site": "us-east-1"}
    pool = {"apps.openyurt.io/nodepool": "hangzhou", "openyurt.io/is-edge-worker": "true"}
    await behind(platform, labelled(node, dict.fromkeys(ours) | pool))
    try:
        await shown(platform, node, lambda row: row.site == "hangzhou")
        answer = await platform.call(
            "deploy_model", team="nlp", model="ticket-router:2", target="edge", sites=["hangzhou"]
        )
        stored = await platform.readers.journal.plan(answer.data["plan_id"])
        assert stored is not None and isinstance(stored.plan.steps[0], Apply)
        rollout = stored.plan.steps[0].manifest
        live = await platform.get("v1", "Node", node)
        assert live is not None and observe.members(rollout, [live]) == [live]
    finally:
        await behind(platform, labelled(node, dict.fromkeys(pool) | ours))


def labelled(node: str, labels: dict[str, Any]) -> Patch:
    return Patch(title="label", cluster="sandbox", ref=node_ref(node), patch={"metadata": {"labels": labels}})


async def test_the_list_shows_the_nodes_that_are_meant_and_goes_on_where_it_was_cut(platform: Platform):
    answer = await platform.call("manage_edge_nodes", action="list", region="us-south")
    assert answer.data["total"] == 14 and {row["region"] for row in rows(answer)} == {"us-south"}
    seen: set[str] = set()
    token, pages = "", 0
    while pages < 10 and (token or not pages):
        answer = await platform.call("manage_edge_nodes", action="list", token=token)
        seen |= {row["node"] for row in rows(answer)}
        token, pages = answer.data.get("next", ""), pages + 1
    assert len(seen) == 47


@pytest.mark.parametrize("action", ["list", "status"])
async def test_looking_is_no_change_takes_no_plan_and_is_audited_as_a_read(platform: Platform, action: str):
    for wrong in ({"mode": "apply"}, {"plan_id": "plan-1"}, {"idempotency_key": "k"}, {"labels": ["a=b"]}):
        with pytest.raises(InvalidInput):
            await platform.call("manage_edge_nodes", action=action, **wrong)
    await platform.call("manage_edge_nodes", action=action, site="us-south-1")
    [row] = await platform.readers.journal.audit(limit=1)
    assert (row.tool, row.outcome) == ("manage_edge_nodes", "read")


async def test_metrics_that_cannot_be_read_are_said_not_taken_for_health(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
):
    before = await platform.call("manage_edge_nodes", action="status", site="us-south-1")
    assert "could not be read" not in before.text

    async def down(*_: Any, **__: Any) -> Any:
        raise Unavailable("Prometheus does not answer.")

    monkeypatch.setattr((await platform.app.wiring()).guard.readers.metrics, "promql", down)
    answer = await platform.call("manage_edge_nodes", action="status", site="us-south-1")
    assert "GPU metrics could not be read: Prometheus does not answer." in answer.data["notes"]


async def test_an_xid_that_only_the_metrics_know_is_found(platform: Platform, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    async def told(query: str, *_: Any, **__: Any) -> MetricAnswer:
        asked.append(query)
        now = platform.readers.clock.now()
        hits = {"node": SICK, "gpu": "0"}, {"Hostname": HUNG, "device": "nvidia1"}, {"node": LOST, "cluster": "another"}
        series = tuple(MetricSeries(labels=row, points=(MetricPoint(time=now, value=79.0),)) for row in hits)
        return MetricAnswer(
            question=query, unit="", promql=query, backend="", series=series if "XID" in query else (), sample_count=3
        )

    monkeypatch.setattr((await platform.app.wiring()).guard.readers.metrics, "promql", told)
    answer = await platform.call("manage_edge_nodes", action="status", nodes=[SICK, HUNG, LOST])
    assert {(row["node"], row["device"], row["finding"]) for row in rows(answer)} == {
        (SICK, "gpu0", "dcgm.xid-79"),
        (HUNG, "nvidia1", "dcgm.xid-79"),
    }
    assert sorted(asked) == ["DCGM_FI_DEV_ROW_REMAP_FAILURE > 0", "DCGM_FI_DEV_XID_ERRORS > 0"]


async def test_a_drain_that_a_budget_forbids_is_refused_and_nothing_is_forced(platform: Platform):
    page = await platform.readers.clusters.list("sandbox", "policy/v1", "PodDisruptionBudget")
    budget = next(row for row in page.items if row["metadata"]["name"] == "edge-gateway")
    space, wanted = budget["metadata"]["namespace"], budget["spec"]["selector"]["matchLabels"]
    pods = (await platform.readers.clusters.list("sandbox", "v1", "Pod", namespace=space)).items
    pod = next(row for row in pods if wanted.items() <= row["metadata"]["labels"].items())
    ref = ObjectRef(api_version="policy/v1", kind="PodDisruptionBudget", name="edge-gateway", namespace=space)
    strict = {"minAvailable": "100%", "maxUnavailable": None}
    before = {key: budget["spec"].get(key) for key in strict}
    await behind(platform, Patch(title="strict", cluster="sandbox", ref=ref, patch={"spec": strict}))
    try:
        await no_disruption(platform, space)
        with pytest.raises(Rejected, match="PodDisruptionBudget"):
            await platform.call("manage_edge_nodes", action="drain", nodes=[pod["spec"]["nodeName"]])
        live = await platform.get("v1", "Pod", pod["metadata"]["name"], space)
        assert live is not None and not live["metadata"].get("deletionTimestamp")
        node = await platform.get("v1", "Node", pod["spec"]["nodeName"])
        assert node is not None and not node["spec"].get("unschedulable")
    finally:
        await behind(platform, Patch(title="as before", cluster="sandbox", ref=ref, patch={"spec": before}))


async def no_disruption(platform: Platform, space: str) -> None:
    """Wait until the budget's controller has counted anew."""
    with anyio.fail_after(20):
        while True:
            live = await platform.get("policy/v1", "PodDisruptionBudget", "edge-gateway", space)
            if live is not None and not live["status"].get("disruptionsAllowed"):
                return
            await anyio.sleep(0.05)
