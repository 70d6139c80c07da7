"""One look at a rollout: from what is asked for and what is observed to what is written next.

``advance`` is called again and again with fresh observations and may be stopped after any write: everything it needs to go on is
in the rollout's status and in the nodes' marks. It never waits for a node that is offline, never counts one as done that has
not proven itself, and never moves a node outside of its site's window.

Rules: success is a healthy node after probation, a wave passes with a quorum of its online members over an unbroken soak, no
failure is tolerated in a canary (Open Cluster Management's mandatory decision groups), silence has a deadline (hawkBit #693).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ai_platform_mcp.domain.rollout import reverting
from ai_platform_mcp.domain.rollout.counting import count
from ai_platform_mcp.domain.rollout.moving import keep_time, moves
from ai_platform_mcp.domain.rollout.nodes import NodeView, counted_online, view
from ai_platform_mcp.domain.rollout.state import (
    OVER,
    Mark,
    Next,
    NodePatch,
    NodeSeen,
    Progress,
    Rollout,
    SiteSeen,
    Verdict,
    Wave,
)
from ai_platform_mcp.domain.rollout.waves import wave_places

NAMED_SITES = 3
"""Sites that a message names; the rest are counted."""
LOOK_AGAIN, AT_REST = 15.0, 60.0
"""Seconds until the next look where nothing says that one is due earlier; and where the rollout is over and nothing is on its
way: a node's return is an event, and only a site's window opens by the clock."""

NOBODY_ONLINE = "nobody_online"


def advance(
    rollout: Rollout,
    before: Progress,
    nodes: Sequence[NodeSeen],
    sites: Mapping[str, SiteSeen],
    verdict: Verdict,
    now: datetime,
    *,
    superseded: bool = False,
) -> Next:
    """Return what follows from this look.

    Args:
        rollout: what is asked for.
        before: what the last look left in the status.
        nodes: the members, every one of them once.
        sites: what holds for each site; a site that is not there may be changed at any time.
        verdict: what analysis says of the wave under way.
        now: the moment of the look.
        superseded: a newer rollout of the model takes over all of these nodes.
    """
    views = [view(rollout, node, now) for node in nodes]
    places = wave_places(rollout, nodes)
    progress = _taken_up(rollout, before, views, places, now)
    if progress.phase in ("RollingBack", "RolledBack"):
        return reverting.advance(rollout, progress, views, now)
    patches = [*_kept(views, now), *_settled(rollout, views, now)]
    if superseded:
        progress = _taken_over(progress)
    if progress.phase == "Stopped" or (superseded and progress.phase == "Succeeded"):
        return _next(rollout, progress, views, patches, now)
    if progress.phase == "Completing" and (bad := _verdict_on_failures(rollout, progress, views, places)) is not None:
        progress = _stopped(rollout, progress, *bad)
        if progress.phase == "RollingBack":
            return reverting.advance(rollout, progress, views, now)
        return _next(rollout, progress, views, patches, now)
    if progress.phase in ("Completing", "Succeeded"):
        # whoever comes late fetches as it changes: there is no wave left that could wait for it
        patches += moves(rollout, views, sites, now)
        return _next(rollout, _completed(rollout, progress, views, now), views, patches, now)
    progress = _judged(rollout, progress, views, places, verdict, now)
    if progress.phase == "RollingBack":
        return reverting.advance(rollout, progress, views, now)
    if progress.phase == "Running":
        fetching = {name for name, place in places.items() if place >= progress.wave}
        reached = _reached(views, places, progress.wave)
        patches += moves(rollout, reached, sites, now, fetching)
        progress = _shut_out(progress, reached, sites)
    return _next(rollout, progress, views, patches, now)


def _next(
    rollout: Rollout, progress: Progress, views: Sequence[NodeView], patches: list[NodePatch], now: datetime
) -> Next:
    again = AT_REST if progress.phase in OVER and not any(row.in_flight for row in views) else LOOK_AGAIN
    if progress.healthy_since is not None and progress.phase == "Running":
        left = rollout.soak - (now - progress.healthy_since).total_seconds()
        again = min(again, max(1.0, left))
    if any(row.state == "probation" for row in views):
        again = min(again, max(1.0, rollout.probation / 4))
    if any(row.state == "activating" for row in views):
        again = min(again, max(1.0, rollout.progress_deadline / 4))
    serves = progress.phase == "Succeeded" and progress.reason != "superseded"
    counted = count(rollout, views, progress.wave, over=progress.phase in OVER and not serves)
    return Next(progress=progress, patches=tuple(patches), counted=counted, look_again=again)


def _taken_up(
    rollout: Rollout, before: Progress, views: Sequence[NodeView], places: Mapping[str, int], now: datetime
) -> Progress:
    """Return where the last look stopped; a changed spec begins again at the first wave that it leaves behind."""
    if before.observed == rollout.observed:
        return before
    fresh = before.model_copy(update={"observed": rollout.observed})
    if before.phase in ("RollingBack", "RolledBack"):
        return fresh
    behind = {places[row.seen.name] for row in views if row.state in ("pending", "staged")}
    wave = min([before.wave, len(rollout.waves) - 1, *behind])
    done = before.phase in OVER or before.phase == "Completing"
    phase = "Running" if before.phase == "Ready" or (done and behind) else before.phase
    started = before.wave_started if before.wave_started and wave == before.wave else now
    return fresh.model_copy(update={"phase": phase, "wave": wave, "wave_started": started})


def _taken_over(progress: Progress) -> Progress:
    """Return how a rollout ends all of whose nodes are a newer one's; what had succeeded has, and owes nobody anything."""
    text = "A newer rollout of this model has taken over its nodes."
    if progress.phase == "Succeeded":
        return progress.model_copy(update={"reason": "superseded", "message": f"It had succeeded. {text}"})
    if progress.phase in OVER:
        return progress
    return progress.model_copy(update={"phase": "Stopped", "reason": "superseded", "message": text})


def _kept(views: Sequence[NodeView], now: datetime) -> list[NodePatch]:
    """Keep the count of online time where a node on its way came or went."""
    return [patch for row in views if (patch := keep_time(row, now)) is not None]


def _settled(rollout: Rollout, views: Sequence[NodeView], now: datetime) -> list[NodePatch]:
    """Write down what a node has proven, or take a failed release off it again at once."""
    found: list[NodePatch] = []
    for row in views:
        mark = row.seen.mark
        if mark is None or mark.generation != rollout.generation:
            continue
        if row.commit:
            found.append(
                NodePatch(node=row.seen.name, mark=mark.model_copy(update={"state": "committed", "seen": now}))
            )
        elif row.state == "failed" and mark.state != "failed":
            found.append(NodePatch(node=row.seen.name, mark=_failed(mark, row.reason, now), release=mark.previous))
    return found


def _failed(mark: Mark, reason: str, now: datetime) -> Mark:
    return mark.model_copy(update={"state": "failed", "reason": reason[:200], "seen": now})


def _shut_out(progress: Progress, reached: Sequence[NodeView], sites: Mapping[str, SiteSeen]) -> Progress:
    """Name the sites whose nodes wait for a maintenance window: nothing else that is shown says why nothing happens."""
    waiting = {row.seen.site for row in reached if row.state in ("pending", "staged") and row.seen.online}
    closed = sorted(site for site in waiting if site in sites and not sites[site].window_open)
    if not closed:
        return progress
    more = f" and {len(closed) - NAMED_SITES} more" if len(closed) > NAMED_SITES else ""
    text = f"{progress.message} Outside of their maintenance windows: {', '.join(closed[:NAMED_SITES])}{more}."
    return progress.model_copy(update={"message": text.strip()})


def _reached(views: Sequence[NodeView], places: Mapping[str, int], wave: int) -> list[NodeView]:
    """Return the nodes of the waves up to this one: those of earlier waves may have come back."""
    return [row for row in views if places[row.seen.name] <= wave]


# ------------------------------------------------------------------------------------------------------------- judging


def _judged(
    rollout: Rollout,
    progress: Progress,
    views: Sequence[NodeView],
    places: Mapping[str, int],
    verdict: Verdict,
    now: datetime,
) -> Progress:
    """Return how the wave under way stands: stopped, soaking, passed."""
    reached = _reached(views, places, progress.wave)
    bad = _verdict_on_failures(rollout, progress, views, places) or _verdict_of_analysis(rollout, progress, verdict)
    if bad is not None:
        return _stopped(rollout, progress, *bad)
    if rollout.paused:
        return _at(progress, "Paused", "user", "Paused by its spec.").model_copy(update={"healthy_since": None})
    if progress.phase == "Paused" and verdict == "inconclusive" and progress.wave > rollout.accepted_wave:
        return progress
    current = [row for row in reached if places[row.seen.name] == progress.wave]
    wave = rollout.waves[progress.wave]
    counted = [row for row in current if counted_online(rollout, row, now)]
    healthy = [row for row in counted if row.state == "committed" and row.healthy]
    running = _at(progress, "Running", "wave", "")
    if not counted:
        if wave.canary or not any(row.healthy for row in reached):
            return _unwatched(rollout, progress, wave, current, now).model_copy(update={"healthy_since": None})
        return _passed(rollout, running, now)
    if not _has_quorum(rollout, healthy, counted):
        held = _without_hope(rollout, wave, counted, current, _unfetched(rollout, progress, counted, now))
        if held is not None:
            return _at(progress, "Paused", *held).model_copy(update={"healthy_since": None})
        text = f"Wave {wave.name}: {len(healthy)} of {len(counted)} online nodes are committed."
        return running.model_copy(update={"message": text, "healthy_since": None})
    since = progress.healthy_since or now
    left = rollout.soak - (now - since).total_seconds()
    text = f"Wave {wave.name} soaks: {len(healthy)} of {len(counted)} online nodes are committed."
    running = running.model_copy(update={"healthy_since": since, "message": text})
    if left > 0:
        return running
    if verdict == "pending" and progress.wave > rollout.accepted_wave:
        return running.model_copy(update={"reason": "analysis", "message": f"Wave {wave.name} waits for its analysis."})
    return _passed(rollout, running, now)


def _unwatched(
    rollout: Rollout, progress: Progress, wave: Wave, current: Sequence[NodeView], now: datetime
) -> Progress:
    """Return how a wave stands that nobody is there to prove: it waits, but not for ever without a person knowing of it."""
    if progress.wave <= rollout.accepted_absent_wave:
        return _passed(rollout, _at(progress, "Running", "wave", ""), now)
    gone = [row.seen.since for row in current if not row.seen.online]
    text = f"Wave {wave.name} has nobody {'online ' if gone else ''}that could prove the release"
    if (now - max([progress.wave_started or now, *gone])).total_seconds() <= rollout.progress_deadline:
        return _at(progress, "Running", "wave", f"{text}.")
    told = f"{text}, for over {rollout.progress_deadline} s. It goes on when one of its nodes can, or resumed without them."
    return _at(progress, "Paused", NOBODY_ONLINE, told)


def _has_quorum(rollout: Rollout, healthy: Sequence[NodeView], counted: Sequence[NodeView]) -> bool:
    """Whether enough of those who have a say are committed; failures that a person accepted have none, even if all are."""
    failed = sum(row.state == "failed" for row in counted)
    voices = len(counted) - min(rollout.accepted_failures, failed)
    if not voices:
        return True
    return bool(healthy) and len(healthy) * 100 >= rollout.quorum_percent * voices


def _unfetched(rollout: Rollout, progress: Progress, counted: Sequence[NodeView], now: datetime) -> frozenset[str]:
    """Return the nodes that were online for the whole deadline, since the wave began, and could not fetch the release."""
    began = progress.wave_started
    if not rollout.staged or began is None:
        return frozenset()
    return frozenset(
        row.seen.name
        for row in counted
        if row.state == "pending"
        and row.seen.schedulable
        and row.seen.online
        and (now - max(began, row.seen.since)).total_seconds() > rollout.progress_deadline
    )


def _without_hope(
    rollout: Rollout,
    wave: Wave,
    counted: Sequence[NodeView],
    current: Sequence[NodeView],
    unfetched: frozenset[str],
) -> tuple[str, str] | None:
    """Return why nobody is left who could still bring the quorum, None while somebody is."""
    if any(row.state != "failed" and row.seen.name not in unfetched for row in counted if not row.healthy):
        return None
    if unfetched:
        text = f"{len(unfetched)} nodes of wave {wave.name} did not fetch the release within {rollout.progress_deadline} s."
        return "no_progress", text
    if any(row.stalled for row in current):
        text = f"Nodes of wave {wave.name} were online for {rollout.progress_deadline} s and did not get there."
        return "no_progress", text
    failed = sum(row.state == "failed" for row in counted)
    return "no_quorum", f"Wave {wave.name} lost its quorum: {failed} of {len(counted)} online nodes failed."


def _verdict_on_failures(
    rollout: Rollout, progress: Progress, views: Sequence[NodeView], places: Mapping[str, int]
) -> tuple[str, str] | None:
    """Return why there are too many failures, None where there are not. Of a canary's nodes none may fail, also later."""
    failed = [row for row in _reached(views, places, progress.wave) if row.state == "failed"]
    canaries = [row for row in failed if rollout.waves[places[row.seen.name]].canary]
    first = (canaries or failed or [None])[0]
    limit = 0 if canaries else rollout.max_failures
    if first is None or len(failed) - rollout.accepted_failures <= limit:
        return None
    where = "of a canary, where none is tolerated" if canaries else f"where {limit} are tolerated"
    return "max_failures", f"{len(failed)} nodes failed, {where}; {first.seen.name}: {first.reason or 'failed'}."


def _verdict_of_analysis(rollout: Rollout, progress: Progress, verdict: Verdict) -> tuple[str, str] | None:
    if progress.wave <= rollout.accepted_wave:
        return None
    name = rollout.waves[progress.wave].name
    if verdict == "fail":
        return "analysis", f"Analysis of wave {name}: the release is worse than what it replaces."
    if verdict == "inconclusive":
        return "inconclusive", f"Analysis of wave {name} could not tell; a person decides."
    return None


def _stopped(rollout: Rollout, progress: Progress, reason: str, text: str) -> Progress:
    """Return the rollout held up. What could not be told waits for a person; what is bad goes back, where policy says so."""
    back = rollout.on_failure == "RollBack" and reason in ("max_failures", "analysis")
    phase = "RollingBack" if back else "Paused"
    return _at(progress, phase, reason, text).model_copy(update={"healthy_since": None})


def _at(progress: Progress, phase: str, reason: str, message: str) -> Progress:
    return progress.model_copy(update={"phase": phase, "reason": reason, "message": message})


def _passed(rollout: Rollout, progress: Progress, now: datetime) -> Progress:
    name = rollout.waves[progress.wave].name
    fresh = {"wave_started": now, "healthy_since": None}
    if progress.wave + 1 < len(rollout.waves):
        text = f"Wave {name} passed."
        return progress.model_copy(update={**fresh, "wave": progress.wave + 1, "message": text})
    return progress.model_copy(
        update={**fresh, "phase": "Completing", "reason": "waves", "message": "Every wave passed."}
    )


def _completed(rollout: Rollout, progress: Progress, views: Sequence[NodeView], now: datetime) -> Progress:
    """Return a rollout whose waves passed: complete once only nodes that are long gone are left."""
    open_rows = [row for row in views if row.in_flight or row.state in ("pending", "staged", "offlinePending")]
    owed = [row for row in open_rows if not row.seen.online]
    waiting = [row for row in open_rows if counted_online(rollout, row, now) or row.stalled]
    waiting += [row for row in views if row.state == "committed" and row.seen.online and not row.healthy]
    tail = f"; {len(owed)} offline nodes are owed it" if owed else ""
    if progress.phase == "Completing" and waiting:
        text = f"Every wave passed; {len(waiting)} nodes are still on their way{tail}."
        return progress.model_copy(update={"message": text})
    if not any(row.healthy for row in views) and progress.phase == "Completing":
        return progress.model_copy(update={"message": "Every wave passed, and no node answers now."})
    text = f"Every online node runs {rollout.release.version}{tail}."
    return progress.model_copy(update={"phase": "Succeeded", "reason": "complete", "message": text})
