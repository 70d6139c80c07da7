"""``status.analysis``: a verdict as an object remembers it, and what the next look has to know of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, get_args

from pydantic import Field

from ai_platform_mcp.controllers.analysis.measure import Measured, slow_texts
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.domain.analysis.judge import Compared, Verdict
from ai_platform_mcp.domain.analysis.proportions import Sample
from ai_platform_mcp.domain.objects import parse_time, section, whole

Place = Literal["wave", "step"]
"""What a verdict is about: a wave of an edge rollout, a step of a canary; both are counted from 0."""
MESSAGE = 4096
"""Longest message that the definitions take."""
VERDICTS: tuple[str, ...] = get_args(Verdict)


class Remembered(Value):
    """What the status says of the wave or step under way, under the spec that is asked for now."""

    verdict: Verdict = "pending"
    since: datetime | None = None
    """Since when the release could prove itself: what ``waitSeconds`` counts from."""
    measured_at: datetime | None = None
    slow: dict[str, float] = Field(default_factory=dict[str, float])

    @property
    def over(self) -> bool:
        """Whether the verdict stands: what has failed stays so, and what could not be told is a person's to decide."""
        return self.verdict in ("fail", "inconclusive")


def remembered(live: type_json, place: Place, number: int, generation: int) -> Remembered:
    """Return what ``live`` remembers: nothing where it speaks of another wave or step, or of an older spec."""
    said = section(live, "status", "analysis")
    if place not in said or whole(said.get(place)) != number or whole(said.get("observedGeneration")) != generation:
        return Remembered()
    verdict = said.get("verdict")
    return Remembered(
        verdict=verdict if verdict in VERDICTS else "pending",
        since=parse_time(said.get("since")),
        measured_at=parse_time(said.get("measuredAt")),
        slow={str(key): float(value) for key, value in section(said, "slowerThanSeconds").items()},
    )


def status_form(
    place: Place, number: int, generation: int, since: datetime | None, measured: Measured | None, before: Remembered
) -> type_json:
    """Return ``status.analysis``.

    A pass that was reached stays one until a measurement fails: its interval held at that look. Nothing passes before ``since``:
    until then it would be the waves before that are praised.
    """
    form: type_json = {place: number, "observedGeneration": generation}
    if since is not None:
        form["since"] = _stamp(since)
    if measured is None:
        return {**form, "verdict": before.verdict, "message": "Nothing is measured yet."}
    verdict = measured.judgement.verdict
    if before.verdict == "pass" and verdict != "fail":
        verdict = "pass"
    elif verdict == "pass" and since is None:
        verdict = "pending"
    text = "; ".join([measured.judgement.sentence(), *slow_texts(measured.slow)])
    form |= {"verdict": verdict, "message": text[:MESSAGE], "measuredAt": _stamp(measured.at)}
    if measured.judgement.compared:
        form["checks"] = [_check(row) for row in measured.judgement.compared]
    if measured.judgement.missing:
        form["missing"] = [row[:512] for row in measured.judgement.missing]
    if measured.slow:
        form["slowerThanSeconds"] = dict(sorted(measured.slow.items()))
    return form


def _check(row: Compared) -> type_json:
    found = row.difference
    return {
        "check": row.check,
        "against": row.against,
        "verdict": row.verdict,
        "new": _sample(row.new),
        "control": _sample(row.old),
        "points": _points(found.estimate),
        "low": _points(found.low),
        "high": _points(found.high),
    }


def _sample(sample: Sample) -> type_json:
    return {"bad": round(sample.bad), "total": round(sample.total)}


def _points(share: float) -> float:
    return round(share * 100, 2)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
