"""Signs of trouble become findings; health, and what is not known, does not become a fault."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.domain.hardware import (
    DeviceMetric,
    at_least,
    by_node,
    metric_findings,
    node_findings,
    proposal_of,
    slice_findings,
)
from ai_platform_mcp.domain.hardware_table import CONDITIONS, PROPOSALS, XIDS, every_sign


def node(
    *conditions: tuple[str, str], taints: tuple[str, ...] = (), gpus: tuple[str, str | None] | None = None
) -> dict[str, Any]:
    has, free = gpus or (None, None)
    return {
        "metadata": {"name": "n1"},
        "spec": {"taints": [{"key": key, "effect": "NoSchedule"} for key in taints]},
        "status": {
            "conditions": [{"type": kind, "status": status} for kind, status in conditions],
            "capacity": {"nvidia.com/gpu": has} if has else {},
            "allocatable": {"nvidia.com/gpu": free} if free else {},
        },
    }


def proposals(live: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(row.code, row.fault, row.proposal) for row in node_findings(live)]


@pytest.mark.parametrize("kind", sorted(CONDITIONS))
def test_each_condition_is_bad_in_its_own_polarity_and_healthy_in_the_other(kind: str) -> None:
    bad = CONDITIONS[kind].bad
    good = {"True": "False", "False": "True"}[bad]
    [finding] = node_findings(node((kind, bad)))
    assert (finding.node, finding.code) == ("n1", f"condition.{kind}={bad}")
    assert node_findings(node((kind, good))) == []


def test_the_detector_says_true_and_the_eks_agent_says_false_for_trouble() -> None:
    for kind in ("KernelDeadlock", "ReadonlyFilesystem", "FrequentKubeletRestart", "GPUMissing"):
        assert CONDITIONS[kind].bad == "True"
    for kind in ("Ready", "KernelReady", "StorageReady", "AcceleratedHardwareReady"):
        assert CONDITIONS[kind].bad == "False"


def test_a_check_that_cannot_tell_is_watched_and_an_offline_node_is_no_fault_of_hardware() -> None:
    assert proposals(node(("KernelDeadlock", "Unknown"))) == [
        ("condition.KernelDeadlock=Unknown", "monitoring", "watch")
    ]
    assert proposals(node(("Ready", "Unknown"))) == [("condition.Ready=Unknown", "node", "watch")]


@given(st.text(max_size=20).filter(lambda kind: kind not in CONDITIONS), st.sampled_from(["True", "False", "Unknown"]))
def test_a_condition_of_unknown_polarity_is_not_judged(kind: str, status: str) -> None:
    assert node_findings(node((kind, status))) == []


def test_the_eks_agents_reason_names_the_xid() -> None:
    live = node(("AcceleratedHardwareReady", "False"))
    live["status"]["conditions"][0]["reason"] = "NvidiaXID79Error"
    assert proposals(live) == [("condition.AcceleratedHardwareReady=False, XID 79", "hardware", "drain")]


def test_devices_that_are_not_allocatable_are_found() -> None:
    assert node_findings(node(gpus=("8", "8"))) == []
    assert proposals(node(gpus=("8", "7"))) == [("device-plugin.nvidia.com/gpu 7 of 8", "hardware", "watch")]
    assert proposals(node(gpus=("8", None))) == [("device-plugin.nvidia.com/gpu 0 of 8", "hardware", "cordon")]
    live = node()
    live["status"] = {"capacity": {"cpu": "8", "memory": "32Gi"}, "allocatable": {"cpu": "7", "memory": "30Gi"}}
    assert node_findings(live) == [], "what the kubelet reserves is no fault"


def test_taints_of_nodes_that_are_declared_dead_or_shut_down_are_found() -> None:
    taints = ("node.kubernetes.io/out-of-service", "node.cloudprovider.kubernetes.io/shutdown", "team.example/own")
    assert [row[2] for row in proposals(node(taints=taints))] == ["replace", "cordon"]


def a_slice(*taints: tuple[str, str], node_name: str = "n1", old: bool = False) -> dict[str, Any]:
    listed = [{"key": key, "value": value, "effect": "NoSchedule"} for key, value in taints]
    device = {"name": "gpu-0", "basic": {"taints": listed}} if old else {"name": "gpu-0", "taints": listed}
    return {"spec": {"nodeName": node_name, "driver": "gpu.nvidia.com", "devices": [device]}}


@pytest.mark.parametrize("old", [False, True])
def test_device_taints_of_the_dra_driver_are_read_in_both_forms(old: bool) -> None:
    live = a_slice(
        ("gpu.nvidia.com/xid", "95"), ("gpu.nvidia.com/gpu-lost", ""), ("gpu.nvidia.com/unmonitored", ""), ("x.example/hot", "1"),
        old=old,
    )  # fmt: skip
    found = [(row.code, row.device, row.fault, row.proposal) for row in slice_findings([live])]
    assert found == [
        ("dra.xid-95", "gpu-0", "hardware", "drain"),
        ("dra.gpu.nvidia.com/gpu-lost", "gpu-0", "hardware", "drain"),
        ("dra.gpu.nvidia.com/unmonitored", "gpu-0", "monitoring", "watch"),
        ("dra.x.example/hot", "gpu-0", "unknown", "watch"),
    ]


def test_a_slice_of_no_single_node_answers_for_none_and_a_broken_xid_is_watched() -> None:
    assert slice_findings([a_slice(("gpu.nvidia.com/xid", "79"), node_name="")]) == []
    [finding] = slice_findings([a_slice(("gpu.nvidia.com/xid", "seventy-nine"))])
    assert (finding.fault, finding.proposal) == ("unknown", "watch")


@pytest.mark.parametrize(
    ("xids", "fault", "proposal"),
    [
        ((13, 31, 43, 45, 68), "application", "none"),
        ((94,), "application", "watch"),
        ((63, 92), "hardware", "watch"),
        ((62, 74, 109, 119, 120), "hardware", "cordon"),
        ((48, 64, 79, 95, 140), "hardware", "drain"),
        ((9999,), "unknown", "watch"),
    ],
)
def test_xids_are_judged_by_the_catalogues_immediate_action(xids: tuple[int, ...], fault: str, proposal: str) -> None:
    for xid in xids:
        [finding] = metric_findings([DeviceMetric(node="n1", device="gpu0", value=xid)])
        assert (finding.fault, finding.proposal) == (fault, proposal), xid


def test_zero_is_health_and_a_row_that_cannot_be_remapped_means_a_new_device() -> None:
    zero = DeviceMetric(node="n1", device="gpu0", value=0)
    assert metric_findings([zero], [zero]) == []
    [finding] = metric_findings([], [DeviceMetric(node="n1", device="gpu0", value=1)])
    assert (finding.fault, finding.proposal) == ("hardware", "replace")


@given(
    st.lists(
        st.builds(DeviceMetric, node=st.sampled_from("ab"), device=st.sampled_from("01"), value=st.integers(0, 200))
    )
)
def test_findings_are_told_once_by_node_and_the_gravest_first(metrics: list[DeviceMetric]) -> None:
    grouped = by_node(metric_findings([*metrics, *metrics]))
    assert set(grouped) == {row.node for row in metrics if row.value}
    for found in grouped.values():
        assert len({(row.code, row.device) for row in found}) == len(found)
        ranks = [PROPOSALS.index(row.proposal) for row in found]
        assert ranks == sorted(ranks, reverse=True) and proposal_of(found) == found[0].proposal
        assert at_least(found[0], "none") and at_least(found[0], proposal_of(found))


def test_nothing_proposes_to_touch_a_node_for_an_applications_fault_or_for_what_is_not_known() -> None:
    for _, code, sign in every_sign():
        if sign.fault in ("application", "unknown", "monitoring"):
            assert sign.proposal in ("none", "watch"), code
        assert sign.source and sign.meaning
    assert proposal_of(()) == "none" and len(XIDS) > 50
