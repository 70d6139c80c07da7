"""What an EdgeRollout asks for, and what its status remembers, in the words of the rules."""

from __future__ import annotations

from typing import get_args

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.objects import metadata_of, parse_time, rows, section, whole
from ai_platform_mcp.domain.rollout import state
from ai_platform_mcp.domain.rollout.state import Phase, Progress, Rollout, Wave
from ai_platform_mcp.manifests.common import label_value
from ai_platform_mcp.manifests.edge import GoldenInputs, Release

PHASES: tuple[str, ...] = get_args(Phase)
HELD = frozenset({"Draft", "WaitingForApproval"})
"""Phases that somebody else sets and ends: until then the controller leaves the rollout alone."""


LEAST_DEADLINE = 20
"""Seconds that a node is given in any time scale: where time runs faster, the cluster's own machinery does not."""


def rollout_of(live: type_json, generation: int, speed: float = 1.0) -> Rollout:
    """Return the rollout as the rules read it.

    Versions are compared as label values, since that is what a node's label can say. ``speed`` is how many of the spec's
    seconds pass in one: the sandbox's nodes work that much faster, so soaking and probation are shorter for it.
    """

    def span(key: str, default: int) -> int:
        return round(_number(spec, key, default) / speed)

    spec = section(live, "spec")
    back = section(spec, "rollbackTo")
    accepted = section(spec, "accepted")
    deadline = _number(spec, "progressDeadlineSeconds", 3600)
    return Rollout(
        name=str(metadata_of(live).get("name", "")),
        model=str(spec.get("model", "")),
        release=_named(spec),
        rollback_to=_named(back) if back else None,
        generation=generation,
        observed=whole(metadata_of(live).get("generation")),
        waves=tuple(_wave(row) for row in rows(spec, "waves")),
        soak=span("soakSeconds", 600),
        probation=span("probationSeconds", 60),
        quorum_percent=_number(spec, "quorumPercent", 90),
        max_failures=_number(spec, "maxFailures", 1),
        progress_deadline=max(span("progressDeadlineSeconds", 3600), min(deadline, LEAST_DEADLINE)),
        offline_grace=span("offlineGraceSeconds", 300),
        on_failure=spec.get("onFailure") or ("RollBack" if back else "Pause"),
        staged=bool(spec.get("stage")) and release_of(live).fetchable,
        paused=bool(spec.get("paused")),
        accepted_failures=whole(accepted.get("failures")),
        accepted_wave=_number(accepted, "wave", -1),
        accepted_absent_wave=_number(accepted, "absentWave", -1),
    )


def _number(fields: type_json, key: str, default: int) -> int:
    value = fields.get(key)
    return default if value is None else int(value)


def _named(fields: type_json) -> state.Release:
    return state.Release(version=label_value(str(fields.get("version", ""))), digest=str(fields.get("digest", "")))


def _wave(row: type_json) -> Wave:
    sites = tuple(row.get("sites") or ())
    return Wave(name=str(row.get("name")), sites=sites, percent=row.get("percent"), canary=bool(row.get("canary")))


def release_of(live: type_json) -> Release:
    """Return what the rollout brings."""
    return _release(live, section(live, "spec"))


def rollback_release_of(live: type_json) -> Release | None:
    """Return what the rollout returns to, None where it names nothing; it is served by the same runtime."""
    back = section(live, "spec", "rollbackTo")
    return _release(live, back) if back else None


def _release(live: type_json, fields: type_json) -> Release:
    spec = section(live, "spec")
    return Release(
        model=str(spec.get("model", "")),
        version=str(fields.get("version", "")),
        digest=str(fields.get("digest", "")),
        image=fields.get("image"),
        storage_uri=fields.get("storageUri"),
        runtime=spec.get("runtime"),
    )


def golden_of(live: type_json) -> GoldenInputs | None:
    """Return the golden inputs of the release that the rollout brings; what it returns to was judged when it came."""
    golden = section(live, "spec", "goldenInputs")
    if not golden:
        return None
    least = _number(golden, "minAgreementPercent", 99)
    return GoldenInputs(uri=str(golden["uri"]), digest=str(golden["digest"]), min_agreement_percent=least)


def progress_of(live: type_json) -> Progress:
    """Return what the last look left in the status."""
    status = section(live, "status")
    phase = status.get("phase")
    return Progress(
        observed=whole(status.get("observedGeneration")),
        phase=phase if phase in PHASES else "Ready",
        reason=str(status.get("reason") or ""),
        message=str(status.get("message") or ""),
        wave=min(whole(status.get("wave")), max(0, len(rows(live, "spec", "waves")) - 1)),
        wave_started=parse_time(status.get("waveStartedAt")),
        healthy_since=parse_time(status.get("healthySince")),
    )
