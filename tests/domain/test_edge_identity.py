"""Nodes of every edge platform are told from cloud nodes by their labels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.adapters.kubernetes.mapping import node_row
from ai_platform_mcp.core.rows import ClusterInfo
from ai_platform_mcp.domain.edge_identity import (
    AGENT_ROLE,
    EDGE_ROLE,
    POOL_LABEL,
    POOL_TYPE_LABEL,
    SITE_LABEL,
    WORKER_LABELS,
    EdgeIdentity,
    edge_identity,
)

K3S = {"node.kubernetes.io/instance-type": "k3s"}
SITE = {SITE_LABEL: "berlin-1"}


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ({}, EdgeIdentity(False)),
        ({EDGE_ROLE: "", **SITE}, EdgeIdentity(True, "berlin-1", "kubernetes")),
        ({EDGE_ROLE: ""}, EdgeIdentity(True, "", "kubernetes")),
        ({AGENT_ROLE: ""}, EdgeIdentity(False)),
        ({AGENT_ROLE: "", **SITE}, EdgeIdentity(True, "berlin-1", "kubernetes")),
        ({AGENT_ROLE: "", EDGE_ROLE: "", **SITE}, EdgeIdentity(True, "berlin-1", "kubeedge")),
        (K3S, EdgeIdentity(False, "", "k3s")),
        ({**K3S, **SITE}, EdgeIdentity(True, "berlin-1", "k3s")),
        ({**K3S, **SITE, "node-role.kubernetes.io/control-plane": "true"}, EdgeIdentity(False, "berlin-1", "k3s")),
        ({**K3S, **SITE, "node-role.kubernetes.io/control-plane": "true", EDGE_ROLE: ""}, EdgeIdentity(True, "berlin-1", "k3s")),
        ({POOL_LABEL: "hangzhou"}, EdgeIdentity(True, "hangzhou", "openyurt")),
        ({POOL_LABEL: "hangzhou", **SITE}, EdgeIdentity(True, "berlin-1", "openyurt")),
        ({POOL_LABEL: "core", POOL_TYPE_LABEL: "cloud"}, EdgeIdentity(False, "core", "openyurt")),
        ({POOL_LABEL: "core", "openyurt.io/is-edge-worker": "false"}, EdgeIdentity(False, "core", "openyurt")),
        ({POOL_LABEL: "p", POOL_TYPE_LABEL: "cloud", "openyurt.io/is-edge-worker": "true"}, EdgeIdentity(True, "p", "openyurt")),
        ({"alibabacloud.com/is-edge-worker": "true"}, EdgeIdentity(True, "", "openyurt")),
        ({"alibabacloud.com/is-edge-worker": "false"}, EdgeIdentity(False, "", "openyurt")),
    ],
)  # fmt: skip
def test_labels_tell_edge_site_and_platform(labels: dict[str, str], wanted: EdgeIdentity) -> None:
    assert edge_identity(labels) == wanted
    row = node_row(ClusterInfo(name="c", role="both"), {"metadata": {"name": "n", "labels": labels}})
    assert (row.role == "edge", row.site) == (wanted.edge, wanted.site)


def test_every_node_of_an_edge_cluster_is_an_edge_node() -> None:
    row = node_row(ClusterInfo(name="c", role="edge"), {"metadata": {"name": "n"}})
    assert row.role == "edge"


@given(
    st.dictionaries(
        st.sampled_from([EDGE_ROLE, AGENT_ROLE, POOL_LABEL, POOL_TYPE_LABEL, SITE_LABEL, *WORKER_LABELS]),
        st.sampled_from(["", "true", "false", "edge", "cloud", "somewhere"]),
    )
)
def test_the_edge_role_is_never_outweighed(labels: dict[str, str]) -> None:
    assert edge_identity({**labels, EDGE_ROLE: ""}).edge
