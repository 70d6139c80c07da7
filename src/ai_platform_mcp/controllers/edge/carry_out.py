"""A decision as writes: nodes, status, Kubernetes Events. Pure; only what changes is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from ai_platform_mcp.controllers.edge.observe import mark_annotation, mark_text
from ai_platform_mcp.controllers.edge.ports import FIELD_MANAGER, Write
from ai_platform_mcp.core.model import digest_of, type_json
from ai_platform_mcp.domain.objects import annotations_of, labels_of, metadata_of, rows, section
from ai_platform_mcp.domain.rollout.state import Counted, Next, NodePatch, Progress
from ai_platform_mcp.manifests.common import compact
from ai_platform_mcp.manifests.edge import API, release_node_label

EVENT_MESSAGE = 1024
"""Longest text of an Event's message that the API takes."""
_WARNINGS = frozenset({"Paused", "RollingBack", "RolledBack", "Stopped"})


def stamp(moment: datetime) -> str:
    """Return the moment as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def path_of(live: type_json, subresource: str = "") -> str:
    """Return the path of an EdgeRollout."""
    meta = metadata_of(live)
    path = f"/apis/{API}/namespaces/{meta['namespace']}/edgerollouts/{meta['name']}"
    return f"{path}/{subresource}" if subresource else path


def node_write(model: str, patch: NodePatch, node: type_json) -> Write | None:
    """Return the one merge patch that writes a node's mark and label; None where the node says so already.

    It holds for the node that was looked at: with another resourceVersion the server refuses it, and the next look decides.
    """
    meta, key, label = metadata_of(node), mark_annotation(model), release_node_label(model)
    text, fields = mark_text(patch.mark), dict[str, object]()
    if annotations_of(node).get(key) != text:
        fields["annotations"] = {key: text}
    if patch.release is not None and labels_of(node).get(label, "") != patch.release:
        fields["labels"] = {label: patch.release or None}
    if not fields:
        return None
    body = {"metadata": {"resourceVersion": meta["resourceVersion"], **fields}}
    return Write(verb="merge", path=f"/api/v1/nodes/{meta['name']}", body=body, why=f"mark node {meta['name']}")


# -------------------------------------------------------------------------------------------------------------- status


def status_of(live: type_json, generation: int, decided: Next, analysis: type_json, now: datetime) -> type_json:
    """Return the whole status; ``analysis`` is what measuring says of the wave, empty where none is asked for.

    What is empty is left out: an API server keeps no set or map of which an apply has taken the last item.
    """
    before, counted = section(live, "status"), decided.counted
    progress = decided.progress
    status: type_json = {
        "phase": progress.phase,
        "reason": progress.reason,
        "message": progress.message,
        "wave": progress.wave,
        "generation": generation,
        "observedGeneration": progress.observed,
        "total": counted.total,
        "healthy": counted.healthy,
        "failed": counted.failed,
        "offline": counted.offline,
        "owed": list(counted.owed),
        "nodes": counted.states,
        "failures": counted.failures,
        "analysis": analysis,
        "conditions": _conditions(rows(before, "conditions"), progress, counted, now),
    }
    for key, moment in (("waveStartedAt", progress.wave_started), ("healthySince", progress.healthy_since)):
        if moment is not None:
            status[key] = stamp(moment)
    return compact(status)


def _conditions(before: list[type_json], progress: Progress, counted: Counted, now: datetime) -> list[type_json]:
    phase, failed = progress.phase, counted.failed
    moves = phase in ("Running", "Completing", "RollingBack")
    degraded = phase in ("RollingBack", "RolledBack") or (phase == "Paused" and progress.reason != "user") or failed > 0
    converged = phase == "Succeeded" and not counted.owed and not failed and counted.healthy == counted.total
    facts = {
        "Progressing": (moves, phase, progress.message),
        "Complete": (phase == "Succeeded", phase, progress.message),
        "Degraded": (degraded, progress.reason or phase if degraded else "AsExpected", _faults(counted)),
        "Converged": (converged, "EveryNode" if converged else "NodesLeft", _left(counted)),
    }
    known = {row.get("type"): row for row in before}
    return [
        condition_row(known.get(kind, {}), kind, holds, reason, text, progress.observed, now)
        for kind, (holds, reason, text) in facts.items()
    ]


def condition_row(
    old: type_json, kind: str, holds: bool, reason: str, text: str, observed: int, now: datetime
) -> type_json:
    """Return a condition; its time of transition is the old one's where the status is the same."""
    status = "True" if holds else "False"
    since = old.get("lastTransitionTime") if old.get("status") == status else None
    return {
        "type": kind,
        "status": status,
        "reason": _word(reason),
        "message": text[:32768],
        "observedGeneration": observed,
        "lastTransitionTime": since or stamp(now),
    }


def _word(reason: str) -> str:
    """Return a reason in the form that conditions ask for: ``max_failures`` is ``MaxFailures``."""
    return "".join(part[:1].upper() + part[1:] for part in reason.split("_")) or "Unknown"


def _faults(counted: Counted) -> str:
    shown = [f"{node}: {why}" for node, why in list(counted.failures.items())[:3]]
    return f"{counted.failed} nodes failed: {'; '.join(shown)}." if counted.failed else ""


def _left(counted: Counted) -> str:
    return f"{counted.healthy} of {counted.total} nodes are healthy on the release, {len(counted.owed)} are owed it."


def status_write(live: type_json, status: type_json) -> Write | None:
    """Return the write of the status, None where the object has it already.

    An apply to the subresource: a node that is no longer failed leaves ``failures``.
    """
    if _unordered(section(live, "status")) == _unordered(status):
        return None
    meta = metadata_of(live)
    body = {
        "apiVersion": API,
        "kind": "EdgeRollout",
        "metadata": {key: meta[key] for key in ("name", "namespace", "resourceVersion", "uid")},
        "status": status,
    }
    return Write(verb="apply", path=path_of(live, "status"), body=body, why=f"write the status of {meta['name']}")


def _unordered(status: type_json) -> type_json:
    """Return the status with its set sorted: after an apply an API server keeps a set in the order in which items came."""
    return compact({**status, "owed": sorted(status.get("owed") or ())})


# -------------------------------------------------------------------------------------------------------------- events


def event_write(live: type_json, before: Progress, after: Progress, analysis: type_json, now: datetime) -> Write | None:
    """Return the Kubernetes Event of a change that a person wants to see: a wave's start, a pause, a way back, an end.

    Where analysis is why, its comparisons are in the text. The name follows from what happened, so that a controller that was
    killed after writing it does not write it twice.
    """
    if (before.phase, before.wave) == (after.phase, after.wave):
        return None
    waves, meta = rows(live, "spec", "waves"), metadata_of(live)
    begins = after.phase == "Running"
    reason = "WaveStarted" if begins else after.phase
    name = str(waves[after.wave].get("name")) if after.wave < len(waves) else str(after.wave)
    text = f"Wave {name} ({after.wave + 1} of {len(waves)}) starts." if begins else after.message or after.phase
    if not begins and after.reason in ("analysis", "inconclusive"):
        text = f"{text} {analysis.get('message') or ''}".strip()
    salt = digest_of([meta["uid"], after.observed, reason, after.wave, "" if begins else after.reason])[:16]
    return told(live, API, "EdgeRollout", reason, text, salt, now, warning=after.phase in _WARNINGS)


def told(
    live: type_json, api: str, kind: str, reason: str, text: str, salt: str, now: datetime, *, warning: bool
) -> Write:
    """Return the Event that tells something of an object; ``salt`` is the same for the same happening."""
    meta = metadata_of(live)
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name'][:200]}.{salt}", "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": api,
            "kind": kind,
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        },
        "reason": reason,
        "message": text[:EVENT_MESSAGE],
        "type": "Warning" if warning else "Normal",
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "firstTimestamp": stamp(now),
        "lastTimestamp": stamp(now),
        "count": 1,
    }
    return Write(verb="create", path=f"/api/v1/namespaces/{meta['namespace']}/events", body=body, why="tell an event")


# ------------------------------------------------------------------------------------------------------ what cannot be


def unbuildable(live: type_json, generation: int, message: str, now: datetime) -> type_json:
    """Return the status of a rollout whose release cannot be built: everything as it was, and Degraded says why."""
    before: Mapping[str, object] = section(live, "status")
    kept = {key: value for key, value in before.items() if key != "conditions"}
    known = {str(row.get("type")): row for row in rows(live, "status", "conditions")}
    observed = int(metadata_of(live).get("generation") or 0)
    known["Degraded"] = condition_row(
        known.get("Degraded", {}), "Degraded", True, "release_cannot_be_built", message, observed, now
    )
    fresh = {
        "phase": kept.get("phase") or "Ready",
        "reason": "unbuildable",
        "message": message,
        "generation": generation,
    }
    return {**kept, **fresh, "conditions": [known[kind] for kind in sorted(known)]}
