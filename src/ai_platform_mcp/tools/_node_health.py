"""Reading what ails nodes: from the cluster and from the metrics. What could not be read is said, never taken for health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import anyio

from ai_platform_mcp.core.errors import InvalidInput, NotFound, PlatformError
from ai_platform_mcp.core.facts import HealthFacts
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Risk
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.rows import MetricAnswer, MetricScope, NodeRow
from ai_platform_mcp.domain.hardware import (
    DeviceMetric,
    Finding,
    at_least,
    by_node,
    metric_findings,
    node_findings,
    slice_findings,
)
from ai_platform_mcp.tools._nodes import live_nodes
from ai_platform_mcp.tools._reading import list_all

METRICS_SECONDS = 5.0
"""How long the metrics are waited for: a drain must not hang because a Prometheus does."""
WINDOW_SECONDS = 300
MOST_SERIES = 200
_SLICES = ("resource.k8s.io/v1", "resource.k8s.io/v1beta2", "resource.k8s.io/v1beta1")
_XID, _REMAP = "DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_ROW_REMAP_FAILURE"
_TOLD = 8
"""Findings that a plan tells; the others are counted."""


@dataclass(frozen=True)
class Health:
    """Findings by node, and what could not be read."""

    findings: Mapping[str, tuple[Finding, ...]]
    unread: tuple[str, ...]

    def proposing(self, node: str, action: Literal["cordon", "drain"]) -> tuple[Finding, ...]:
        """Return the node's findings that propose the action or more."""
        return tuple(row for row in self.findings.get(node, ()) if at_least(row, action))


async def read_health(readers: Readers, cluster: str, chosen: Sequence[NodeRow], principal: Principal) -> Health:
    """Return what the nodes' objects, their devices' taints and DCGM say, read at the same time."""
    names = {row.name for row in chosen}
    found: dict[str, list[Finding]] = {}
    unread: list[str] = []

    async def nodes() -> None:
        live = await live_nodes(readers, cluster, chosen)
        found["node"] = [finding for name in sorted(names & set(live)) for finding in node_findings(live[name])]

    async def slices() -> None:
        try:
            found["slice"] = slice_findings(await _slices(readers, cluster))
        except PlatformError as problem:
            unread.append(f"Device taints could not be read: {problem.message}")

    async def metrics() -> None:
        rows, problem = await _metrics(readers, cluster, principal)
        found["metric"] = rows
        if problem:
            unread.append(f"GPU metrics could not be read: {problem}")

    async with anyio.create_task_group() as group:
        for read in (nodes, slices, metrics):
            group.start_soon(read)
    told = [row for part in ("node", "slice", "metric") for row in found.get(part, ()) if row.node in names]
    return Health(by_node(told), tuple(sorted(unread)))


async def _slices(readers: Readers, cluster: str) -> list[type_json]:
    for version in _SLICES:
        if await readers.clusters.serves(cluster, version, "ResourceSlice"):
            return await list_all(readers, cluster, version, "ResourceSlice")
    return []


async def _metrics(readers: Readers, cluster: str, principal: Principal) -> tuple[list[Finding], str]:
    """Return findings of the metrics, and why there are none where that is no answer."""
    scope = MetricScope(team=principal.team, roles=principal.roles)
    answers: dict[str, MetricAnswer] = {}
    problems: list[str] = []

    async def ask(metric: str) -> None:
        try:
            answers[metric] = await readers.metrics.promql(
                f"{metric} > 0", scope, window_seconds=WINDOW_SECONDS, max_series=MOST_SERIES
            )
        except PlatformError as problem:
            problems.append(problem.message)

    with anyio.move_on_after(METRICS_SECONDS) as limit:
        async with anyio.create_task_group() as group:
            group.start_soon(ask, _XID)
            group.start_soon(ask, _REMAP)
    if limit.cancelled_caught:
        problems.append(f"no answer within {METRICS_SECONDS:g} s.")
    problems += [f"{answer.absence}." for answer in answers.values() if answer.absence.startswith("not ")]
    problems += [
        f"{answer.omitted_series} series were left out." for answer in answers.values() if answer.omitted_series
    ]
    rows = {metric: _devices(answer, cluster) for metric, answer in answers.items()}
    return metric_findings(rows.get(_XID, []), rows.get(_REMAP, [])), " ".join(sorted(set(problems)))


def _devices(answer: MetricAnswer, cluster: str) -> list[DeviceMetric]:
    """Return the newest value of each device. The exporter names the node ``Hostname``, relabelling mostly ``node``."""
    found: list[DeviceMetric] = []
    for row in answer.series:
        node = row.labels.get("node") or row.labels.get("Hostname", "")
        value = row.points[-1].value if row.points else None
        if node and value is not None and row.labels.get("cluster", cluster) == cluster:
            gpu = row.labels.get("gpu", "")
            device = row.labels.get("device") or (f"gpu{gpu}" if gpu else "")
            found.append(DeviceMetric(node=node, device=device, value=int(value)))
    return found


# --- acting for health's sake ----------------------------------------------------------------------------------------


def narrowed(
    chosen: Sequence[NodeRow], health: Health, action: Literal["cordon", "drain"], named: Sequence[str]
) -> tuple[NodeRow, ...]:
    """Return the nodes that findings propose to cordon or drain.

    Raises:
        InvalidInput: a node that was named has no such finding.
        NotFound: none has.
    """
    kept = tuple(row for row in chosen if health.proposing(row.name, action))
    without = sorted({row.name for row in chosen if row.name in named} - {row.name for row in kept})
    unread = " ".join(health.unread)
    if without:
        raise InvalidInput(
            f"No finding of hardware health proposes to {action} {', '.join(without[:5])}.",
            cause=unread,
            remedy="action=status shows what is known; leave reason out where you know better.",
        )
    if not kept:
        raise NotFound(
            f"No finding of hardware health proposes to {action} any of these {len(chosen)} nodes.",
            cause=unread,
            remedy="action=status shows what is known.",
        )
    return kept


def health_facts(chosen: Sequence[NodeRow], health: Health, action: Literal["cordon", "drain"]) -> HealthFacts:
    """Return the facts policy judges the action by."""
    proposing = [health.proposing(row.name, action) for row in chosen]
    hardware = [rows for rows in proposing if any(row.fault == "hardware" for row in rows)]
    return HealthFacts(proposed=sum(map(bool, proposing)), hardware=len(hardware))


def told(chosen: Sequence[NodeRow], health: Health) -> tuple[str, ...]:
    """Return the findings that stand behind a plan, the gravest of each node first, and what could not be read."""
    rows = [row for node in chosen for row in health.findings.get(node.name, ()) if row.proposal != "none"]
    more = (f"{len(rows) - _TOLD} more findings: action=status.",) if len(rows) > _TOLD else ()
    return (*(row.told() for row in rows[:_TOLD]), *more, *health.unread)


def still_ailing(chosen: Sequence[NodeRow], health: Health) -> tuple[Risk, ...]:
    """Return the warning that a node goes back to work with findings that propose to keep it out."""
    rows = [finding for node in chosen for finding in health.proposing(node.name, "cordon")]
    return tuple(Risk(severity="danger", text=f"{row.told()}.") for row in rows[:_TOLD])
