"""What ails a node: from its object, its devices' taints and its metrics to findings with a proposal. Pure; it never acts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.domain.hardware_table import (
    CONDITIONS,
    DEVICE_TAINTS,
    NODE_TAINTS,
    NONE_ALLOCATABLE,
    OFFLINE,
    OTHER_TAINT,
    PROPOSALS,
    REMAP_FAILED,
    SOME_UNALLOCATABLE,
    UNKNOWN_STATUS,
    UNKNOWN_XID,
    XID_TAINT,
    XIDS,
    Fault,
    Proposal,
    Severity,
    Sign,
)
from ai_platform_mcp.domain.objects import metadata_of, rows, section, whole

_DEVICES = re.compile(
    r"(nvidia\.com/(gpu|mig-).*|google\.com/tpu|amd\.com/gpu|aws\.amazon\.com/neuron.*|habana\.ai/gaudi)"
)
_EKS_XID = re.compile(r"NvidiaXID(\d{1,4})Error")
"""How the EKS agent names an XID in the reason of ``AcceleratedHardwareReady``."""
_TOLD = 60
"""Characters of a text from the cluster that a finding repeats."""


class Finding(Value):
    """One sign of trouble at one node, or at one device of it."""

    code: str
    node: str
    device: str = ""
    fault: Fault
    severity: Severity
    proposal: Proposal
    meaning: str
    source: str

    def told(self) -> str:
        """Return it as one line for people."""
        where = f"{self.node}/{self.device}" if self.device else self.node
        return f"{where}: {self.code}, {self.meaning}; {self.fault}, {self.severity}, proposes {self.proposal}"


def _finding(code: str, node: str, sign: Sign, device: str = "") -> Finding:
    return Finding(
        code=code,
        node=node,
        device=device[:_TOLD],
        fault=sign.fault,
        severity=sign.severity,
        proposal=sign.proposal,
        meaning=sign.meaning,
        source=sign.source,
    )


def node_findings(node: type_json) -> list[Finding]:
    """Return what a Node's conditions, taints and device counts say."""
    name = str(metadata_of(node).get("name", ""))
    found = [finding for row in rows(node, "status", "conditions") if (finding := _condition(name, row)) is not None]
    for taint in rows(node, "spec", "taints"):
        sign = NODE_TAINTS.get(str(taint.get("key")))
        if sign is not None:
            found.append(_finding(f"taint.{taint['key']}", name, sign))
    return [*found, *_unallocatable(name, section(node, "status"))]


def _condition(node: str, row: type_json) -> Finding | None:
    kind, status = str(row.get("type")), str(row.get("status"))
    known = CONDITIONS.get(kind)
    if known is None or status not in (known.bad, "Unknown"):
        return None
    code = f"condition.{kind}={status}"
    if status == "Unknown":
        return _finding(code, node, OFFLINE if kind == "Ready" else UNKNOWN_STATUS)
    xid = _EKS_XID.fullmatch(str(row.get("reason") or ""))
    if xid and kind == "AcceleratedHardwareReady":
        return _finding(f"{code}, XID {int(xid[1])}", node, _worse(known.sign, XIDS.get(int(xid[1]), UNKNOWN_XID)))
    return _finding(code, node, known.sign)


def _worse(one: Sign, other: Sign) -> Sign:
    return max(one, other, key=lambda sign: PROPOSALS.index(sign.proposal))


def _unallocatable(node: str, status: type_json) -> Iterable[Finding]:
    allocatable = section(status, "allocatable")
    for resource, amount in sorted(section(status, "capacity").items()):
        has = whole(amount)
        free = whole(allocatable.get(resource))
        if not _DEVICES.fullmatch(resource) or free >= has:
            continue
        sign = SOME_UNALLOCATABLE if free else NONE_ALLOCATABLE
        yield _finding(f"device-plugin.{resource} {free} of {has}", node, sign)


def slice_findings(slices: Iterable[type_json]) -> list[Finding]:
    """Return what the device taints of ResourceSlices say (``resource.k8s.io/v1``; ``basic.taints`` in v1beta1).

    Slices that belong to no single node are left out: their devices are not one node's to answer for.
    """
    found: list[Finding] = []
    for live in slices:
        node = str(section(live, "spec").get("nodeName") or "")
        for device in rows(live, "spec", "devices") if node else []:
            taints = rows(device, "taints") or rows(device, "basic", "taints")
            found += [_device_taint(node, str(device.get("name", "")), taint) for taint in taints]
    return found


def _device_taint(node: str, device: str, taint: type_json) -> Finding:
    key, value = str(taint.get("key") or ""), str(taint.get("value") or "")
    if key == XID_TAINT and value.isascii() and value.isdigit():
        return xid_finding(node, device, int(value), "dra")
    sign = DEVICE_TAINTS.get(key, OTHER_TAINT)
    return _finding(f"dra.{key[:_TOLD]}", node, sign, device)


def xid_finding(node: str, device: str, xid: int, seen: str) -> Finding:
    """Return what an XID says. ``seen`` names who told: ``dcgm`` or ``dra``."""
    return _finding(f"{seen}.xid-{xid}", node, XIDS.get(xid, UNKNOWN_XID), device)


class DeviceMetric(Value):
    """One device's metric now: the last XID (a gauge, not a count; it stays until the driver is loaded anew), or remapping."""

    node: str
    device: str = ""
    value: int


def metric_findings(xids: Iterable[DeviceMetric], remap_failures: Iterable[DeviceMetric] = ()) -> list[Finding]:
    """Return what DCGM says: of ``DCGM_FI_DEV_XID_ERRORS`` and of ``DCGM_FI_DEV_ROW_REMAP_FAILURE``. Zero is health."""
    found = [xid_finding(row.node, row.device, row.value, "dcgm") for row in xids if row.value > 0]
    failed = [row for row in remap_failures if row.value > 0]
    return found + [_finding("dcgm.row-remap-failure", row.node, REMAP_FAILED, row.device) for row in failed]


def at_least(finding: Finding, proposal: Proposal) -> bool:
    """Tell whether a finding proposes this or more."""
    return PROPOSALS.index(finding.proposal) >= PROPOSALS.index(proposal)


def by_node(findings: Iterable[Finding]) -> Mapping[str, tuple[Finding, ...]]:
    """Return findings by node, the gravest first; one sign of one device is told once."""
    seen: dict[str, dict[tuple[str, str], Finding]] = {}
    for row in findings:
        seen.setdefault(row.node, {}).setdefault((row.code, row.device), row)
    return {
        node: tuple(sorted(rows.values(), key=lambda row: (-PROPOSALS.index(row.proposal), row.code, row.device)))
        for node, rows in sorted(seen.items())
    }


def proposal_of(findings: Sequence[Finding]) -> Proposal:
    """Return the gravest proposal, ``none`` where there is no finding."""
    return PROPOSALS[max((PROPOSALS.index(row.proposal) for row in findings), default=0)]
