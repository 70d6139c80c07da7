"""The hardware-health table: every sign of trouble that is known, how bad it is, and what it proposes. Data, and its Markdown.

It only proposes. Whether anything is done, and by whom, is policy's business. A sign that is not listed is never guessed at:
an unknown XID is watched, an unknown condition is not judged, since its polarity cannot be told from its name.

XIDs go by the immediate action of NVIDIA's catalogue for Ampere and newer, not by the device plugin's list, which takes 94
(restart the application) for a fault of the device and 109 (reset the GPU) for one of the application.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Fault = Literal["application", "hardware", "software", "storage", "network", "node", "monitoring", "unknown"]
"""Whose fault it is. ``hardware``: a device must be reset, restarted or replaced before it can be trusted again."""
Severity = Literal["info", "warning", "critical"]
Proposal = Literal["none", "watch", "cordon", "drain", "replace"]
"""What the sign proposes. Each includes the ones before it."""

PROPOSALS: tuple[Proposal, ...] = ("none", "watch", "cordon", "drain", "replace")

XID_CATALOGUE = "https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html"
NPD = "node-problem-detector 1.37, config/*.json"
KUBERNETES = "https://kubernetes.io/docs/reference/node/node-status/"
EKS = "https://docs.aws.amazon.com/eks/latest/userguide/node-repair.html"
AKS = "https://learn.microsoft.com/azure/aks/node-problem-detector"
DRA = "NVIDIA DRA driver 0.4, cmd/gpu-kubelet-plugin/device_health.go"
TAINTS = "https://kubernetes.io/docs/reference/labels-annotations-taints/"


class Sign(NamedTuple):
    """One row: what it says, whose fault, how bad, what it proposes, and where that is written."""

    meaning: str
    fault: Fault
    severity: Severity
    proposal: Proposal
    source: str


class ConditionSign(NamedTuple):
    """A node condition. ``bad`` is the status that means trouble; its opposite is health, ``Unknown`` is «cannot tell»."""

    bad: Literal["True", "False"]
    sign: Sign


def _npd(meaning: str, fault: Fault, severity: Severity, proposal: Proposal) -> ConditionSign:
    return ConditionSign("True", Sign(meaning, fault, severity, proposal, NPD))


def _aks(meaning: str, fault: Fault, severity: Severity, proposal: Proposal) -> ConditionSign:
    return ConditionSign("True", Sign(meaning, fault, severity, proposal, AKS))


def _eks(meaning: str, fault: Fault, proposal: Proposal) -> ConditionSign:
    return ConditionSign("False", Sign(meaning, fault, "critical", proposal, EKS))


def _kubelet(bad: Literal["True", "False"], meaning: str, fault: Fault, severity: Severity) -> ConditionSign:
    return ConditionSign(bad, Sign(meaning, fault, severity, "watch", KUBERNETES))


CONDITIONS: dict[str, ConditionSign] = {
    # Offline is no fault of an edge site: the node is owed, and the node controller taints it by itself.
    "Ready": ConditionSign("False", Sign("kubelet reports not ready", "node", "critical", "cordon", KUBERNETES)),
    "MemoryPressure": _kubelet("True", "memory is short; the kubelet evicts pods", "node", "warning"),
    "DiskPressure": _kubelet("True", "disk is short; the kubelet evicts pods", "storage", "warning"),
    "PIDPressure": _kubelet("True", "process ids are short", "node", "warning"),
    "NetworkUnavailable": _kubelet("True", "the node's network is not set up", "network", "warning"),
    "KernelDeadlock": _npd("a kernel task hangs", "software", "critical", "drain"),
    "ReadonlyFilesystem": _npd("a file system was remounted read-only", "storage", "critical", "drain"),
    "XfsShutdown": _npd("XFS shut a file system down", "storage", "critical", "drain"),
    "DiskBadBlock": _npd("a disk has bad blocks", "hardware", "critical", "cordon"),
    "CperHardwareErrorFatal": _npd("firmware logged a fatal hardware error (CPER)", "hardware", "critical", "replace"),
    "CorruptDockerOverlay2": _npd("the container runtime's storage is corrupt", "storage", "critical", "cordon"),
    "FrequentKubeletRestart": _npd("the kubelet restarts often", "software", "warning", "watch"),
    "FrequentContainerdRestart": _npd("containerd restarts often", "software", "warning", "watch"),
    "FrequentDockerRestart": _npd("docker restarts often", "software", "warning", "watch"),
    "FrequentUnregisterNetDevice": _npd("network devices are not released", "network", "warning", "watch"),
    "KubeletUnhealthy": _npd("the kubelet does not answer", "software", "critical", "cordon"),
    "ContainerRuntimeUnhealthy": _npd("the container runtime does not answer", "software", "critical", "cordon"),
    "KubeProxyUnhealthy": _npd("kube-proxy does not answer", "network", "critical", "cordon"),
    "NTPProblem": _npd("the clock is not synchronised", "software", "warning", "watch"),
    "AcceleratedHardwareReady": _eks("the EKS agent found a fault of a GPU or Neuron device", "hardware", "drain"),
    "KernelReady": _eks("the EKS agent found a fault of the kernel", "software", "drain"),
    "NetworkingReady": _eks("the EKS agent found a fault of the network", "network", "drain"),
    "StorageReady": _eks("the EKS agent found a fault of storage", "storage", "drain"),
    "ContainerRuntimeReady": _eks("the EKS agent found a fault of the container runtime", "software", "drain"),
    "GPUMissing": _aks("fewer GPUs than the machine has by its size", "hardware", "critical", "cordon"),
    "NVLinkStatusInactive": _aks("an NVLink is inactive", "hardware", "critical", "cordon"),
    "XIDErrors": _aks("XIDs in the kernel log, not said which", "unknown", "warning", "watch"),
    "GPUXIDErrors": _aks("XIDs in the kernel log, not said which", "unknown", "warning", "watch"),
    "IBLinkFlapping": _aks("an InfiniBand link comes and goes", "network", "warning", "cordon"),
    "UnhealthyNvidiaDevicePlugin": _aks("the device plugin does not run", "software", "warning", "watch"),
    "UnhealthyNvidiaDCGMServices": _aks("DCGM does not run", "monitoring", "warning", "watch"),
    "FilesystemCorruptionProblem": _aks("a file system is corrupt", "storage", "critical", "drain"),
    "KubeletProblem": _aks("the kubelet is down", "software", "critical", "cordon"),
    "ContainerRuntimeProblem": _aks("the container runtime is down", "software", "critical", "cordon"),
    "VMEventScheduled": _aks("the cloud will restart or take the machine", "node", "warning", "cordon"),
}
"""Node conditions by type. GKE runs the upstream detector and repairs nodes whose GPUs are not allocatable."""

UNKNOWN_STATUS = Sign("the check itself cannot tell", "monitoring", "warning", "watch", KUBERNETES)
OFFLINE = Sign("the kubelet is not heard of: offline", "node", "warning", "watch", KUBERNETES)

NODE_TAINTS: dict[str, Sign] = {
    "node.kubernetes.io/out-of-service": Sign(
        "an administrator declared the node dead", "node", "critical", "replace", TAINTS
    ),
    "node.cloudprovider.kubernetes.io/shutdown": Sign(
        "the cloud shut the machine down", "node", "warning", "cordon", TAINTS
    ),
}

DEVICE_TAINTS: dict[str, Sign] = {
    "gpu.nvidia.com/gpu-lost": Sign("the driver lost the GPU", "hardware", "critical", "drain", DRA),
    "gpu.nvidia.com/unmonitored": Sign("nobody watches the GPU's health", "monitoring", "warning", "watch", DRA),
}
XID_TAINT = "gpu.nvidia.com/xid"
"""Its value is the XID, judged by the table of XIDs whatever effect the driver chose."""
OTHER_TAINT = Sign(
    "a driver tainted the device", "unknown", "warning", "watch", "resource.k8s.io/v1 DeviceTaint (KEP-5055)"
)

SOME_UNALLOCATABLE = Sign(
    "some devices are not allocatable: the device plugin holds them for unhealthy",
    "hardware",
    "warning",
    "watch",
    "Kubernetes device plugins: unhealthy devices leave allocatable, not capacity",
)
NONE_ALLOCATABLE = Sign(
    "no device is allocatable: all unhealthy, or the device plugin is not there",
    "hardware",
    "critical",
    "cordon",
    "GKE repairs nodes with GPUs that are not allocatable for 15 minutes",
)

REMAP_FAILED = Sign(
    "a memory row could not be remapped",
    "hardware",
    "critical",
    "replace",
    "DCGM_FI_DEV_ROW_REMAP_FAILURE; NVIDIA GPU memory error management: a criterion for return",
)


def _xids(action: str, fault: Fault, severity: Severity, proposal: Proposal, **names: str) -> dict[int, Sign]:
    return {
        int(code.removeprefix("x")): Sign(f"{name} ({action})", fault, severity, proposal, XID_CATALOGUE)
        for code, name in names.items()
    }


XIDS: dict[int, Sign] = {
    **_xids(
        "RESTART_APP",
        "application",
        "info",
        "none",
        x8="GPU stopped processing",
        x11="invalid push buffer",
        x13="graphics engine exception",
        x25="illegal notify",
        x31="memory page fault",
        x32="push buffer DMA error",
        x39="copy engine exception",
        x40="copy engine exception",
        x41="copy engine exception",
        x60="SEC2 error",
        x68="video decoder exception",
        x69="graphics class error",
        x70="copy engine exception",
        x71="copy engine exception",
        x72="copy engine exception",
        x75="copy engine exception",
        x76="copy engine exception",
        x77="copy engine exception",
        x80="push buffer checksum mismatch",
    ),
    **_xids("RESTART_APP", "application", "warning", "watch", x94="memory error contained to one application"),
    **_xids(
        "IGNORE",
        "application",
        "info",
        "none",
        x43="an application's channel was reset",
        x44="fault during context switch",
        x66="illegal register access",
    ),
    **_xids("follow the XID beside it", "application", "info", "none", x45="preemptive clean-up"),
    **_xids(
        "IGNORE",
        "hardware",
        "warning",
        "watch",
        x63="a memory row is marked for remapping; a reset activates it",
        x92="many corrected memory errors",
        x93="InfoROM's erase limit is exceeded",
        x121="chip-to-chip link error",
        x157="a resource could not be retired",
    ),
    **_xids("CHECK_MECHANICALS", "hardware", "warning", "watch", x54="auxiliary power is not connected"),
    **_xids("UPDATE_SWFW", "software", "warning", "watch", x78="vGPU did not start"),
    **_xids(
        "decode it first",
        "unknown",
        "warning",
        "watch",
        x144="NVLink 5 error",
        x145="NVLink 5 error",
        x146="NVLink 5 error",
        x147="NVLink 5 error",
        x148="NVLink 5 error",
        x149="NVLink 5 error",
        x150="NVLink 5 error",
        x154="the driver's recovery action changed",
    ),
    **_xids(
        "RESET_GPU",
        "hardware",
        "critical",
        "cordon",
        x46="GPU engine timeout",
        x62="power management unit halted",
        x109="context switch timeout",
        x110="security fault",
        x119="firmware (GSP) does not answer",
        x120="firmware (GSP) error",
        x136="link training failed",
        x143="GPU initialisation failed",
        x155="NVLink error defined by software",
        x156="a resource was retired",
        x158="GPU fatal timeout",
    ),
    **_xids("decode it first, often RESET_GPU", "hardware", "critical", "cordon", x74="NVLink error"),
    **_xids(
        "RESET_GPU",
        "hardware",
        "critical",
        "drain",
        x64="a memory row could not be marked for remapping",
        x95="memory error not contained: every application is hit",
        x140="unrecovered memory error",
    ),
    **_xids("reset or drain, by the XID beside it", "hardware", "critical", "drain", x48="double-bit memory error"),
    **_xids("RESTART_BM", "hardware", "critical", "drain", x79="the GPU has fallen off the bus"),
    **_xids("RESTART_VM", "hardware", "critical", "drain", x151="key rotation error"),
}
UNKNOWN_XID = Sign("not in our table", "unknown", "warning", "watch", XID_CATALOGUE)


def every_sign() -> list[tuple[str, str, Sign]]:
    """Return (where it is seen, code, sign) for every row, in the order of the documentation."""
    rows = [("Node condition", f"{kind} = {row.bad}", row.sign) for kind, row in CONDITIONS.items()]
    rows += [
        ("Node condition", "Ready = Unknown", OFFLINE),
        ("Node condition", "any of these = Unknown", UNKNOWN_STATUS),
    ]
    rows += [("Node taint", key, sign) for key, sign in NODE_TAINTS.items()]
    rows += [("Device plugin", "0 < allocatable < capacity", SOME_UNALLOCATABLE)]
    rows += [("Device plugin", "0 = allocatable < capacity", NONE_ALLOCATABLE)]
    rows += [("Device taint", f"{XID_TAINT}=N", Sign("as XID N", "unknown", "warning", "watch", DRA))]
    rows += [("Device taint", key, sign) for key, sign in DEVICE_TAINTS.items()]
    rows += [("Device taint", "any other", OTHER_TAINT), ("DCGM", "DCGM_FI_DEV_ROW_REMAP_FAILURE > 0", REMAP_FAILED)]
    rows += [("DCGM, DRA", f"XID {code}", sign) for code, sign in sorted(XIDS.items())]
    return [*rows, ("DCGM, DRA", "XID, any other", UNKNOWN_XID)]


def markdown() -> str:
    """Return the table that the documentation shows."""
    lines = ["| seen at | sign | meaning | class | severity | proposes | source |", "|---|---|---|---|---|---|---|"]
    for seen, code, sign in every_sign():
        as_read = code.startswith(f"{XID_TAINT}=")
        verdict = ("as read",) * 3 if as_read else (sign.fault, sign.severity, sign.proposal)
        lines.append(f"| {' | '.join((seen, f'`{code}`', sign.meaning, *verdict, sign.source))} |")
    return "\n".join(lines)
