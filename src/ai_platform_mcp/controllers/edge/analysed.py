"""What analysis says of the wave under way of an edge rollout, and how the status remembers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf

from ai_platform_mcp.controllers.analysis.analyst import Analyst, cadence
from ai_platform_mcp.controllers.analysis.measure import Question
from ai_platform_mcp.controllers.analysis.status import remembered, status_form
from ai_platform_mcp.controllers.edge.sides import comparisons_of, new_side
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.analysis.asked import analysis_of
from ai_platform_mcp.domain.objects import metadata_of, section
from ai_platform_mcp.domain.rollout.state import NodeSeen, Progress, Rollout, Verdict
from ai_platform_mcp.manifests.common import label_value

_JUDGED = frozenset({"Ready", "Running", "Paused"})
"""Phases in which a wave is judged; in all others the status keeps what was said last."""


@dataclass(frozen=True)
class Analysed:
    """The verdict, ``status.analysis`` (empty where no analysis is asked for), and the seconds until the next measurement."""

    verdict: Verdict
    form: type_json
    again: float = inf


def analysed(
    live: type_json,
    rollout: Rollout,
    before: Progress,
    nodes: Sequence[NodeSeen],
    analyst: Analyst,
    now: datetime,
) -> Analysed:
    """Return what analysis says now. What is measured comes from the analyst; this never waits.

    Its seconds are the clock's also where a platform's time runs faster: nobody calls the more often for that.

    Args:
        live: the rollout.
        rollout: the same, as the rules read it.
        before: what the last look left.
        nodes: the members.
        analyst: who measures.
        now: the moment of the look.
    """
    asked = analysis_of(section(live, "spec"))
    if asked is None:
        return Analysed("none", {})
    said = section(live, "status", "analysis")
    known = remembered(live, "wave", before.wave, rollout.observed)
    if before.phase not in _JUDGED or known.over:
        return Analysed(known.verdict, said)
    # The clock of a wave starts with its first quorum and does not stop: a wave that comes and goes is told, too. What a person
    # paused waits for nothing, and going on is another spec, under which it starts afresh.
    since = None if rollout.paused else known.since or (now if before.healthy_since is not None else None)
    new = new_side(rollout, str(section(live, "spec").get("version")), str(metadata_of(live).get("namespace")), nodes)
    every = cadence(asked.wait_seconds)
    question = Question(
        asked=asked,
        new=new,
        comparisons=comparisons_of(new, rollout, asked, nodes, timedelta(seconds=asked.wait_seconds)),
        waited=(now - since).total_seconds() if since is not None else 0.0,
        slow=known.slow,
    )
    about = (before.wave, rollout.observed)
    uid, model = str(metadata_of(live).get("uid")), label_value(rollout.model)
    served = bool(new.spans) or question.waited >= asked.wait_seconds
    measured = analyst.latest(uid, about, question, every, model) if served else None
    if measured is None and known.measured_at is not None:  # this process is new: what the last one measured stands
        return Analysed(known.verdict, said, every)
    form = status_form("wave", before.wave, rollout.observed, since, measured, known)
    return Analysed(form["verdict"], form, every)
