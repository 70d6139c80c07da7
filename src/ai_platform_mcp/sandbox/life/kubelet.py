"""What a node's kubelet makes of one pod of a model: its image is fetched, it starts, answers, crashes. Pure.

A look derives the next status from the pod itself, the faults that concern it and the time. Pods whose label
``app.kubernetes.io/component`` is ``edge`` or ``prepull`` take their time so; every other pod is small and there at once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ai_platform_mcp.sandbox.kube.clock import parse_stamp, stamp
from ai_platform_mcp.sandbox.life.faults import Fault, first
from ai_platform_mcp.sandbox.life.world import Json, holds, labels_of, with_condition

COMPONENT = "app.kubernetes.io/component"
PULL_SECONDS = 30.0
START_SECONDS = 10.0
GOLDEN_SECONDS = 20.0
CRASH_SECONDS = 5.0
"""Work seconds: to fetch an image, from a container's start to its readiness, for golden inputs after that, to a crash."""
BACK_OFF_SECONDS, MOST_BACK_OFF = 10.0, 300.0
"""The kubelet doubles its back-off after every crash, up to five minutes (pkg/kubelet: MaxContainerBackOff)."""
LEAST_BACK_OFF = timedelta(seconds=1)
"""Least time between two tries whatever the speed: a crash loop must not become a storm of writes."""
GOLDEN, GOLDEN_DIFFERS = "golden", 3
THROTTLED = (
    'failed to pull and unpack image "{image}": 429 Too Many Requests - Server message: '
    "toomanyrequests: You have reached your pull rate limit."
)


@dataclass(frozen=True)
class Look:
    """What a look at a pod gives: the status it has now, when the next look is due, and whether it has just cut the power."""

    status: Json
    due: datetime | None = None
    power_lost: Fault | None = None


@dataclass(frozen=True)
class Circumstances:
    """What a pod meets on its node. ``since``: from when the node could work on it; ``present``: whether it has its bytes."""

    faults: Sequence[Fault]
    since: datetime
    present: bool
    now: datetime
    speed: float

    def after(self, moment: datetime, work_seconds: float) -> datetime:
        """When work of that length is done."""
        return moment + timedelta(seconds=work_seconds / self.speed)

    def fault(self, kind: str) -> Fault | None:
        """The fault of that kind that concerns the pod."""
        return first(self.faults, kind)


def takes_time(pod: Json) -> bool:
    """Whether the pod is a model's, or fetches one."""
    return labels_of(pod).get(COMPONENT) in ("edge", "prepull")


def references(spec: Json) -> frozenset[str]:
    """Return what of a pod comes over the node's line: images and image volumes, but not what every node has."""
    rows = [*(spec.get("initContainers") or []), *spec["containers"]]
    images = {str(row.get("image")) for row in rows if row["name"] not in (GOLDEN, "hold")}
    images |= {" ".join(row["args"]) for row in rows if row["name"] == "storage-initializer" and row.get("args")}
    volumes = {str(row["image"].get("reference")) for row in spec.get("volumes") or [] if row.get("image")}
    return frozenset(images | volumes)


def has_pulled(pod: Json) -> bool:
    """Whether the pod's bytes are on its node: its container has been started at least once."""
    main = _main(pod)
    return "running" in main.get("state", {}) or "lastState" in main


def is_done(pod: Json) -> bool:
    """Whether nothing is due for the pod as long as nothing goes wrong: it is ready."""
    return holds(pod, "Ready")


def look(pod: Json, there: Circumstances) -> Look:
    """Return how a pod stands on a node that is there."""
    status: Json = pod.get("status") or {}
    main = _main(pod)
    state: Json = main.get("state") or {}
    restarts = int(main.get("restartCount") or 0)
    if "running" in state:
        return _running(pod, status, parse_stamp(state["running"]["startedAt"]), restarts, there)
    if restarts and "lastState" in main:
        ended = parse_stamp(main["lastState"]["terminated"]["finishedAt"])
        again = ended + _back_off(restarts, there)
        if there.now < again:
            return Look(status, again)
        return _running(pod, status, again, restarts, there)
    return _fetching(pod, status, there)


def _back_off(restarts: int, there: Circumstances) -> timedelta:
    seconds = min(MOST_BACK_OFF, BACK_OFF_SECONDS * 2 ** min(restarts - 1, 10))
    return max(LEAST_BACK_OFF, timedelta(seconds=seconds / there.speed))


def _main(pod: Json) -> Json:
    rows = (pod.get("status") or {}).get("containerStatuses") or []
    return next((row for row in rows if row["name"] != GOLDEN), {})


def _fetching(pod: Json, status: Json, there: Circumstances) -> Look:
    slow, throttled = there.fault("slow-link"), there.fault("pull-throttled")
    pull = 0.0 if there.present else PULL_SECONDS * ((slow.factor or 20.0) if slow else 1.0)
    begins = there.since
    if throttled is not None and not there.present:
        free = None if throttled.seconds is None else there.after(begins, throttled.seconds)
        if free is None or there.now < free:
            return Look(_waiting(pod, status, "ErrImagePull", there), free)
        begins = free
    done = there.after(begins, pull)
    if there.now < done:
        return Look(_waiting(pod, status, "ContainerCreating", there), done)
    lost = there.fault("power-loss")
    if lost is not None:
        return Look(_shown(pod, status, there, started=there.now, restarts=0, ready=False), None, lost)
    return _running(pod, status, done, 0, there)


def _running(pod: Json, status: Json, started: datetime, restarts: int, there: Circumstances) -> Look:
    """A container that was started then: it crashes, hangs, proves itself or becomes ready when it is time for that."""
    crash = there.fault("crash-loop")
    if crash is not None and (crash.times is None or restarts < crash.times):
        ends = there.after(started, CRASH_SECONDS)
        if there.now >= ends:
            told = _crashed(pod, status, there, started, restarts + 1)
            return Look(told, there.now + _back_off(restarts + 1, there))
        return Look(_shown(pod, status, there, started=started, restarts=restarts, ready=False), ends)
    if there.fault("hangs") is not None:
        return Look(_shown(pod, status, there, started=started, restarts=restarts, ready=False))
    golden = _golden_of(pod) is not None
    answers = there.after(started, START_SECONDS)
    proven = there.after(answers, GOLDEN_SECONDS) if golden else answers
    if there.now < answers:
        return Look(_shown(pod, status, there, started=started, restarts=restarts, ready=False), answers)
    if golden and there.now < proven:
        told = _shown(pod, status, there, started=started, restarts=restarts, ready=True, golden="running")
        return Look(told, proven)
    differs = golden and there.fault("golden-differs")
    said = "differs" if differs else "agrees" if golden else ""
    return Look(_shown(pod, status, there, started=started, restarts=restarts, ready=True, golden=said))


# ------------------------------------------------------------------------------------------------------ statuses


def _golden_of(pod: Json) -> Json | None:
    rows = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    return next((row for row in rows if row["name"] == GOLDEN), None)


def _row(container: Json, **fields: object) -> Json:
    image = str(container.get("image", ""))
    usual: Json = {"name": container["name"], "image": image, "imageID": "", "ready": False, "restartCount": 0}
    return {**usual, "started": False, **fields}


def _waiting(pod: Json, status: Json, reason: str, there: Circumstances) -> Json:
    """The pod has not started: its image is on its way, or is refused by the registry."""
    spec = pod["spec"]
    first_pull = next((row for row in spec.get("initContainers") or [] if row["name"] != GOLDEN), None)

    def waits(container: Json) -> Json:
        pulls = container is first_pull or (first_pull is None and container["name"] != GOLDEN)
        if pulls and reason != "ContainerCreating":
            image = next(iter(sorted(references(spec))), "")
            return {"waiting": {"reason": reason, "message": THROTTLED.format(image=image)}}
        return {"waiting": {"reason": "PodInitializing" if first_pull and not pulls else "ContainerCreating"}}

    told = {
        **status,
        "phase": "Pending",
        "startTime": status.get("startTime") or stamp(there.since),
        "containerStatuses": [_row(row, state=waits(row)) for row in spec["containers"]],
    }
    if spec.get("initContainers"):
        told["initContainerStatuses"] = [_row(row, state=waits(row)) for row in spec["initContainers"]]
    return _conditions(told, there, initialized=first_pull is None, ready=False)


def _shown(
    pod: Json,
    status: Json,
    there: Circumstances,
    *,
    started: datetime,
    restarts: int,
    ready: bool,
    golden: str = "",
) -> Json:
    """The pod runs. ``golden``: what its golden container says so far (running, agrees, differs), empty before it can."""
    running = {"running": {"startedAt": stamp(started)}}
    before = {row["name"]: row for row in status.get("containerStatuses") or []}
    whole = ready and golden in ("", "agrees")
    rows: dict[str, Json] = {}
    for container in pod["spec"]["containers"]:
        last = {"lastState": kept} if (kept := before.get(container["name"], {}).get("lastState")) else {}
        rows[container["name"]] = _row(
            container,
            imageID=str(container.get("image", "")),
            ready=ready,
            started=True,
            restartCount=restarts,
            state=running,
            **last,
        )
    ended = {row["name"]: row for row in status.get("initContainerStatuses") or [] if "terminated" in row["state"]}
    initial = {
        row["name"]: ended.get(row["name"]) or _initial(row, there, started)
        for row in pod["spec"].get("initContainers") or []
    }
    for table in (rows, initial):
        if GOLDEN in table:
            table[GOLDEN] = _golden(_golden_of(pod) or {}, golden, started, there)
    told = {
        **status,
        "phase": "Running",
        "startTime": status.get("startTime") or stamp(there.since),
        "containerStatuses": list(rows.values()),
    }
    if initial:
        told["initContainerStatuses"] = list(initial.values())
    return _conditions(told, there, initialized=True, ready=whole)


def _initial(container: Json, there: Circumstances, started: datetime) -> Json:
    ended = {"exitCode": 0, "reason": "Completed", "startedAt": stamp(there.since), "finishedAt": stamp(started)}
    return _row(container, imageID=str(container.get("image", "")), ready=True, state={"terminated": ended})


def _golden(container: Json, said: str, started: datetime, there: Circumstances) -> Json:
    image = str(container.get("image", ""))
    if said != "differs":
        state = {"running": {"startedAt": stamp(started)}}
        return _row(container, imageID=image, ready=said == "agrees", started=True, state=state)
    fault = there.fault("golden-differs")
    share = 0.5 if fault is None or fault.share is None else fault.share
    message = json.dumps({"agreement_percent": round(100 * (1 - share), 1)})
    ended = {"exitCode": GOLDEN_DIFFERS, "reason": "Error", "message": message, "startedAt": stamp(started)}
    ended["finishedAt"] = stamp(there.after(started, START_SECONDS + GOLDEN_SECONDS))
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}
    row = _row(container, imageID=image, restartCount=1, state={"waiting": waiting})
    return {**row, "lastState": {"terminated": ended}}


def _crashed(pod: Json, status: Json, there: Circumstances, started: datetime, restarts: int) -> Json:
    told = _shown(pod, status, there, started=started, restarts=restarts, ready=False)
    ended = {"exitCode": 1, "reason": "Error", "startedAt": stamp(started), "finishedAt": stamp(there.now)}
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}
    for row in told["containerStatuses"]:
        if row["name"] != GOLDEN:
            row |= {"started": False, "state": {"waiting": waiting}, "lastState": {"terminated": ended}}
    return told


def restarted(pod: Json, now: datetime) -> Json:
    """Return the status of a pod whose node has come back from a loss of power: its containers are started anew."""
    status: Json = pod.get("status") or {}
    rows: list[Json] = []
    for row in status.get("containerStatuses") or []:
        began = (row.get("state") or {}).get("running")
        if began:
            ended = {"exitCode": 255, "reason": "Unknown", **began, "finishedAt": stamp(now)}
            fresh = {"state": {"running": {"startedAt": stamp(now)}}, "lastState": {"terminated": ended}}
            row = {**row, **fresh, "ready": False, "restartCount": row["restartCount"] + 1}
        rows.append(row)
    return {**status, "containerStatuses": rows} if rows else status


def _conditions(status: Json, there: Circumstances, *, initialized: bool, ready: bool) -> Json:
    values = {"PodScheduled": True, "Initialized": initialized, "ContainersReady": ready, "Ready": ready}
    for kind, value in values.items():
        reason = "" if value else "ContainersNotReady" if kind != "Initialized" else "ContainersNotInitialized"
        status = with_condition(status, kind, value, reason, "", there.now)
    return status
