"""What a pod's status means for the release on its node."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.domain.golden.agreement import DIFFERS, UNUSABLE
from ai_platform_mcp.domain.objects import condition, labels_of, metadata_of, parse_time, rows, section, whole
from ai_platform_mcp.domain.rollout.state import PodSeen
from ai_platform_mcp.manifests.common import VERSION_LABEL
from ai_platform_mcp.manifests.edge import RELEASE_LABEL, Release, release_name
from ai_platform_mcp.manifests.edge_golden import GOLDEN_CONTAINER

MODEL_CONTAINER = "model"
_PULLING = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
_CRASHED = "CrashLoopBackOff"
"""Of the check of golden inputs this is no news: its exit code says more, and is read on its own."""
_LOST = frozenset({"Unknown", "ContainerStatusUnknown"})
"""Reasons of an end that nobody saw: containerd's for a container whose process is gone when it starts itself (exit code 255),
and the kubelet's for one of which the runtime knows nothing."""
_WAITING_AS_USUAL = frozenset({"", "PodInitializing", "ContainerCreating"})
_HELD_UP = re.compile(
    r"toomanyrequests|too many requests|\b429\b|rate limit|pull qps exceeded|\b50[234]\b|service unavailable|i/o timeout"
    r"|tls handshake timeout|deadline exceeded|connection (?:reset|refused)|no route to host|network is unreachable"
    r"|no such host|temporary failure in name resolution|unexpected eof",
    re.IGNORECASE,
)
"""What runtimes and registries say when they, or the line to them, are asked too much or not there: Docker Hub's
``toomanyrequests``, the kubelet's ``pull QPS exceeded`` (registryPullQPS), and Go's network errors."""


def pod_seen(pod: type_json, release: Release) -> PodSeen:
    """Return the pod as the rules see it, for a rollout that brings ``release``."""
    status = section(pod, "status")
    main = _named(rows(status, "containerStatuses"), MODEL_CONTAINER)
    first = rows(status, "initContainerStatuses")
    golden = _named([*first, *rows(status, "containerStatuses")], GOLDEN_CONTAINER)
    waits = [
        section(row, "state", "waiting")
        for row in [*first, *rows(status, "containerStatuses")]
        if row.get("name") != GOLDEN_CONTAINER or section(row, "state", "waiting").get("reason") != _CRASHED
    ]
    waiting = next((row for row in waits if str(row.get("reason") or "") not in _WAITING_AS_USUAL), {})
    reason = str(waiting.get("reason") or "")
    started = _started(main)
    return PodSeen(
        version=labels_of(pod).get(VERSION_LABEL, ""),
        ready_since=_ready_since(pod),
        started_at=started,
        waiting=untrusted(reason, 80),
        throttled=reason in _PULLING and bool(_HELD_UP.search(str(waiting.get("message") or ""))),
        pulled=started is not None or bool(main.get("imageID")),
        created_at=parse_time(metadata_of(pod).get("creationTimestamp")),
        restarts=whole(main.get("restartCount")),
        crashed_at=_crashed_at(main),
        golden=_golden(pod, golden),
        golden_told=_golden_told(golden),
        digest_matches=_digest_matches(pod, main, release),
    )


def _named(statuses: Sequence[type_json], name: str) -> type_json:
    return next((row for row in statuses if row.get("name") == name), {})


def _ready_since(pod: type_json) -> datetime | None:
    ready = condition(pod, "Ready")
    return parse_time(ready.get("lastTransitionTime")) if ready.get("status") == "True" else None


def _started(main: type_json) -> datetime | None:
    """Return when the container began to run; for one that crashed, when the try before this one did."""
    times = [
        parse_time(section(main, *path).get("startedAt"))
        for path in (("lastState", "terminated"), ("state", "terminated"), ("state", "running"))
    ]
    return min((time for time in times if time is not None), default=None)


def _crashed_at(main: type_json) -> datetime | None:
    """Return when the container last ended by itself; the end that a runtime finds after a reboot is none of its own."""
    ends = [section(main, state, "terminated") for state in ("state", "lastState")]
    last = next((end for end in ends if end), {})
    return None if last.get("reason") in _LOST else parse_time(last.get("finishedAt"))


def _golden(pod: type_json, status: type_json) -> Literal["none", "running", "pass", "fail", "unusable"]:
    names = {row.get("name") for key in ("initContainers", "containers") for row in rows(pod, "spec", key)}
    if GOLDEN_CONTAINER not in names:
        return "none"
    ends = [section(status, state, "terminated").get("exitCode") for state in ("state", "lastState")]
    if DIFFERS in ends:
        return "fail"
    if UNUSABLE in ends:
        return "unusable"
    return "pass" if status.get("ready") else "running"


def _golden_told(status: type_json) -> str:
    """Return why the check ended, in few words: its termination message is JSON of ours, or of nobody."""
    texts = [section(status, state, "terminated").get("message") for state in ("state", "lastState")]
    try:
        said = section(json.loads(next((str(text) for text in texts if text), "")))
    except (ValueError, RecursionError):
        return ""
    first = next(iter(rows(said, "first")), {})
    if "agreement_percent" in said:
        tail = f", such as input {first.get('id')}: {first.get('why')}" if first else ""
        return untrusted(
            f"{said['agreement_percent']} % agree of {said.get('min_agreement_percent')} % asked for{tail}", 160
        )
    return untrusted(str(said.get("message") or ""), 160)


def _digest_matches(pod: type_json, main: type_json, release: Release) -> bool | None:
    """Return whether the release's bytes run here; None while nobody can tell.

    The pod names its release and its image by digest, and a runtime that pulls by digest checks it. ``imageID`` confirms that
    where it repeats the digest; where it does not it proves nothing, since runtimes also report a platform's manifest
    (CRI-O) or another reference of the same layers (containerd lists the first it knows).
    """
    if labels_of(pod).get(RELEASE_LABEL) != release_name(release):
        return False
    pinned = (release.image or "").rpartition("@")[2]
    image = str(_named(rows(pod, "spec", "containers"), MODEL_CONTAINER).get("image") or "")
    if not release.image:
        return None
    if image.rpartition("@")[2] != pinned:
        return False
    return True if pinned in str(main.get("imageID") or "") else None
