"""The CanaryRollout beside an InferenceService: which steps a new version takes, and who moves it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ai_platform_mcp.core.errors import CapabilityMissing
from ai_platform_mcp.core.facts import AnalysisFacts
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Apply
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.analysis.asked import Analysis, analysis_for
from ai_platform_mcp.domain.canary.observe import keeper_of
from ai_platform_mcp.domain.canary.state import OVER
from ai_platform_mcp.domain.objects import (
    MODEL_DIGEST_ANNOTATION,
    annotations_of,
    metadata_of,
    preconditions,
    section,
)
from ai_platform_mcp.manifests.canaries import API, KIND, CanaryRollout, Step, Version, canary_rollout
from ai_platform_mcp.manifests.common import Capabilities, Origin, object_name
from ai_platform_mcp.tools._cloud import LiveService, Strategy, made_by
from ai_platform_mcp.tools._models import Chosen
from ai_platform_mcp.tools._reading import Place, list_if_served

HOLD_SECONDS = {"dev": 60, "staging": 300, "production": 600}
"""How long a share must have flowed before the next one, and how long blue/green keeps the old version."""
WARM_SECONDS = 60
"""How long the new version of blue/green must have been ready before it gets the traffic."""
_LADDER = (5, 10, 25, 50, 100)


@dataclass(frozen=True)
class Moved:
    """What moves a canary on: the rollout to apply, None where a person does it."""

    step: Apply | None
    analysis: AnalysisFacts | None
    reasons: tuple[str, ...]


def shares_from(first: int) -> tuple[int, ...]:
    """Return the shares of a canary that begins with this one: each at least half as large again as the one before."""
    found = [first]
    for share in _LADDER:
        if 2 * share >= 3 * found[-1]:
            found.append(share)
    return tuple(found if found[-1] == 100 else [*found, 100])


async def rollouts_of(readers: Readers, cluster: str, namespace: str, service: str) -> list[type_json]:
    """Return the CanaryRollouts of an InferenceService, newest first."""
    found = await list_if_served(readers, cluster, API, KIND, namespace=namespace)
    mine = [
        {"apiVersion": API, "kind": KIND, **row}
        for row in found
        if section(row, "spec").get("inferenceService") == service
    ]
    return sorted(mine, key=lambda row: str(metadata_of(row).get("creationTimestamp")), reverse=True)


def is_over(rollout: type_json) -> bool:
    """Whether a CanaryRollout moves nothing any more."""
    return section(rollout, "status").get("phase") in OVER


def under_way(rollouts: list[type_json]) -> type_json | None:
    """Return the rollout that moves the service now, None where none does."""
    return next((row for row in rollouts if not is_over(row)), None)


def moved_by(
    where: Place,
    chosen: Chosen,
    service: LiveService,
    rollouts: list[type_json],
    *,
    strategy: Strategy,
    percent: int,
    commits: bool,
    can: Capabilities,
    origin: Origin,
) -> Moved:
    """Return what moves the new version from its first step on.

    Args:
        where: the service's namespace and cluster.
        chosen: the new version.
        service: what serves now.
        rollouts: the service's CanaryRollouts.
        strategy: how traffic moves.
        percent: its first share.
        commits: the platform changes clusters by commits. Whatever applies them puts each share of a controller back, so that
            no rollout is made there.
        can: what the cluster serves.
        origin: what the rollout is marked with.

    Raises:
        CapabilityMissing: blue/green is asked for, which only the controller can do.
    """
    if commits:
        return Moved(None, None, (_by_commits(service, strategy),))
    if strategy != "blue_green" and not can.serves(API, KIND):
        text = f"A person moves it on (control_operation promote or rollback): the cluster does not serve {KIND}."
        return Moved(None, None, (text,))
    analysis = analysis_for() if where.environment == "production" else None
    rollout, live = _rollout(where, chosen, service, rollouts, origin, strategy, percent, analysis)
    manifest = canary_rollout(rollout, made_by(live, origin), can)
    step = Apply(title=_title(rollout), cluster=where.cluster.name, manifest=manifest)
    step = step.model_copy(update={"preconditions": preconditions(step, live)})
    return Moved(step, analysis.facts() if analysis else None, _reasons(rollout, service, analysis))


def _by_commits(service: LiveService, strategy: Strategy) -> str:
    """Return how a canary goes on where every change is a commit.

    The share must stay declared. Excluded from what the tool compares, as Argo CD's RespectIgnoreDifferences and Flux's ignore
    rules can, it would not be written with a new version either: in Knative mode that version begins with all the traffic, and
    in Standard mode with none.
    """
    if strategy == "blue_green":
        raise CapabilityMissing(
            "Blue/green needs the controller, which leaves alone what comes from Git.",
            remedy="Use strategy=canary: each share is a commit.",
        )
    field, back = "spec.canary[0].trafficPercent", "take spec.canary out"
    end = "its predictor as spec.predictor, without spec.canary"
    if service.knative:
        field, back = "spec.predictor.canaryTrafficPercent", "commit a share of 0 before the older predictor"
        end = "no share, which is all of the traffic"
    return (
        f"Each share is a commit, and nothing moves it on: change {field} in the committed file, and at the end commit {end}. "
        f"To go back, {back}. Leave the field in what Flux or Argo CD compares (no ignoreDifferences on it)."
    )


def _rollout(
    where: Place,
    chosen: Chosen,
    service: LiveService,
    rollouts: list[type_json],
    origin: Origin,
    strategy: Strategy,
    percent: int,
    analysis: Analysis | None,
) -> tuple[CanaryRollout, type_json | None]:
    """Return the rollout, and the live one that it takes up again: an unfinished one of the same version."""
    version, hold = chosen.version.version, HOLD_SECONDS[where.environment]
    live = next((row for row in rollouts if not is_over(row) and section(row, "spec").get("version") == version), None)
    green = strategy == "blue_green"
    name = object_name(chosen.name, "canary", version, seed=origin.operation or "", length=52)
    shares = (0,) if green else shares_from(percent)
    rollout = CanaryRollout(
        name=name if live is None else str(metadata_of(live)["name"]),
        namespace=where.namespace.name,
        model=chosen.name,
        new=Version(version=version, digest=chosen.facts.digest),
        stable=_stable(service, rollouts),
        inference_service=service.name,
        strategy="BlueGreen" if green else "Canary",
        steps=tuple(Step(percent=share, hold_seconds=WARM_SECONDS if green else hold) for share in shares),
        keep_seconds=hold,
        analysis=analysis.manifest(edge=False) if analysis else {},
    )
    return rollout, live


def _stable(service: LiveService, rollouts: list[type_json]) -> Version:
    """Return what to go back to: what serves now; behind a canary, what its own rollout would go back to."""
    version = service.current_version or "unknown"
    if service.in_canary:
        for row in rollouts:
            known = section(row, "spec", "stable")
            if known.get("version") == version:
                return Version(version=version, digest=known.get("digest"), predictor=section(known, "predictor"))
        return Version(version=version, predictor={} if service.knative else service.predictor)
    digest = annotations_of(service.live or {}).get(MODEL_DIGEST_ANNOTATION)
    return Version(version=version, digest=digest, predictor=service.predictor)


def _title(rollout: CanaryRollout) -> str:
    what = f"{rollout.model} {rollout.new.version}"
    if rollout.strategy == "BlueGreen":
        return f"Warm {what} up without traffic, then give it all, and keep {rollout.stable.version} to go back to"
    return f"Move {what} on by {', '.join(f'{step.percent} %' for step in rollout.steps)}"


def _reasons(rollout: CanaryRollout, service: LiveService, analysis: Analysis | None) -> tuple[str, ...]:
    held = keeper_of(service.live) if service.live is not None else ""
    if held:
        text = f"{held} keeps the InferenceService: the controller leaves it alone, and the steps are commits there."
        return (text,)
    seconds = rollout.steps[0].hold_seconds
    if rollout.strategy == "BlueGreen":
        how = (
            f"after {seconds} s of readiness all at once; {rollout.stable.version} is kept for {rollout.keep_seconds} s"
        )
    else:
        shares = ", ".join(str(step.percent) for step in rollout.steps)
        how = f"by {shares} %, {seconds} s each"
    told = [
        f"The controller moves it on {how}; it goes back by itself where the version fails to load or misses its deadline."
    ]
    if analysis is not None:
        checks = " and ".join(row.check for row in analysis.checks)
        told.append(f"Analysis ({checks}) against {rollout.stable.version} decides: worse goes back, undecided pauses.")
    if not rollout.stable.predictor:
        told.append("What the stable version was made of is not known: on the way back it only gets the traffic.")
    return tuple(told)


def weakest(analyses: Sequence[AnalysisFacts | None]) -> AnalysisFacts | None:
    """Return the analysis that holds wherever traffic moves: none where it moves without one."""
    found = [row for row in analyses if row is not None]
    if not found or len(found) < len(analyses):
        return None
    return AnalysisFacts(
        checks=tuple(name for name in found[0].checks if all(name in row.checks for row in found)),
        tolerated_milli=max(row.tolerated_milli for row in found),
        min_samples=min(row.min_samples for row in found),
        wait_seconds=max(row.wait_seconds for row in found),
    )
