"""Planning asks the cluster itself: every Kubernetes step of a draft is dry-run and access-checked before it is sealed.

The diff of a step is therefore the server's own, and schema, quota and admission speak before a person is asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from ai_platform_mcp.core.access import better_told, check_access
from ai_platform_mcp.core.elsewhere import gitops_facts, held_elsewhere
from ai_platform_mcp.core.errors import FieldConflict, Forbidden, PlatformError
from ai_platform_mcp.core.facts import ObjectChange
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import (
    Apply,
    CancelOperation,
    ClusterStep,
    Commit,
    Delete,
    Diff,
    Draft,
    ObjectRef,
    Patch,
    RegistryStep,
    Risk,
    Step,
    Submit,
)
from ai_platform_mcp.core.ports import ClusterReader
from ai_platform_mcp.core.redact import untrusted

TEAM_LABEL = "aiplatform.dev/team"
_OWNERS = 3
"""How many owners up a team is looked for: Workload, Job, and what made the Job."""


@dataclass(frozen=True)
class _Seen:
    step: Step
    change: ObjectChange | None
    risks: tuple[Risk, ...]


async def refine(draft: Draft, clusters: ClusterReader, *, commits: bool = False) -> Draft:
    """Return the draft with the servers' diffs, warnings as risks, one ObjectChange per step, and the clusters' facts.

    ``commits``: what the draft applies will go through Git. Reconcilers take their fields, so other managers are no conflict.

    Raises:
        Rejected, FieldConflict, Forbidden, CapabilityMissing, Unavailable: what a server said of a step.
    """
    seen: list[_Seen | None] = [None] * len(draft.steps)

    async def look(place: int, step: Step) -> None:
        seen[place] = await _look(step, clusters, commits=commits and isinstance(step, Apply))

    try:
        async with anyio.create_task_group() as group:
            for place, step in enumerate(draft.steps):
                group.start_soon(look, place, step)
    except BaseExceptionGroup as problems:
        raise _first_cause(problems) from None
    rows = [row for row in seen if row is not None]
    facts = {row.name: row.facts for row in await clusters.clusters()} if draft.targets else {}
    changes = tuple(row.change for row in rows if row.change is not None)
    return draft.model_copy(
        update={
            "steps": tuple(row.step for row in rows),
            "targets": tuple(
                target.model_copy(update={"cluster_facts": facts.get(target.cluster)}) for target in draft.targets
            ),
            "risks": (*draft.risks, *(risk for row in rows for risk in row.risks)),
            "facts": draft.facts.model_copy(update={"changes": (*draft.facts.changes, *changes)}),
        }
    )


def _first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the most telling of several failures: one that a caller can act on before a bug or a cancellation."""
    leaves: list[BaseException] = []
    stack: list[BaseException] = [group]
    while stack:
        problem = stack.pop()
        if isinstance(problem, BaseExceptionGroup):
            stack.extend(problem.exceptions)  # pyright: ignore[reportUnknownArgumentType]  # groups are untyped
        else:
            leaves.append(problem)
    return next((leaf for leaf in leaves if isinstance(leaf, PlatformError)), leaves[0])


async def _look(step: Step, clusters: ClusterReader, *, commits: bool) -> _Seen:
    if not isinstance(step, Apply | Patch | Delete | Submit):
        return _Seen(step, _outside_change(step), ())
    ref = ref_of(step)
    unless_there = await check_access(step, ref, clusters)
    try:
        answer = await clusters.dry_run(step.model_copy(update={"force": True}) if commits else step)
    except FieldConflict as conflict:
        conflict.details.setdefault("step", step.title)
        raise
    except Forbidden as refused:
        raise better_told(refused, unless_there) from None
    if unless_there is not None and answer.live is None:
        raise unless_there
    warned = tuple(
        Risk(severity="warning", text=f"The API server warns: {untrusted(text)}") for text in answer.warnings
    )
    risks = (*warned, *held_elsewhere(ref, answer, commits=commits, forced=isinstance(step, Apply) and step.force))
    change = ObjectChange(
        action=answer.diff.action,
        system="kubernetes",
        kind=ref.kind,
        name=ref.name,
        namespace=ref.namespace,
        owner_team=await _team(step.cluster, answer.live, clusters),
        replicas_removed=_replicas_removed(step, answer.diff, answer.live),
        forced=isinstance(step, Apply) and step.force,
        **gitops_facts(answer.gitops, commits=commits),
    )
    return _Seen(step.model_copy(update={"diff": answer.diff}), change, risks)


def ref_of(step: ClusterStep) -> ObjectRef:
    """Return the object a cluster step acts on (for a subresource, its parent)."""
    if isinstance(step, Patch | Delete):
        return step.ref
    if isinstance(step, Submit) and step.parent is not None:
        return step.parent
    metadata: type_json = step.manifest.get("metadata", {})
    return ObjectRef(
        api_version=str(step.manifest.get("apiVersion", "")),
        kind=str(step.manifest.get("kind", "")),
        name=str(metadata.get("name", "")),
        namespace=metadata.get("namespace"),
    )


async def _team(cluster: str, live: type_json | None, clusters: ClusterReader) -> str | None:
    """Return the team that an object names, else the one that its controller names: a Workload belongs to its Job's team."""
    for _ in range(_OWNERS):
        if live is None:
            return None
        metadata: type_json = live.get("metadata", {})
        team = (metadata.get("labels") or {}).get(TEAM_LABEL)
        if team:
            return str(team)
        owner = next((row for row in metadata.get("ownerReferences") or [] if row.get("controller")), None)
        live = None if owner is None else await _owner(cluster, owner, metadata.get("namespace"), clusters)
    return None


async def _owner(
    cluster: str, reference: type_json, namespace: str | None, clusters: ClusterReader
) -> type_json | None:
    """Return the very object that a reference means, None where it is gone or may not be read."""
    kind, name = str(reference.get("kind", "")), str(reference.get("name", ""))
    try:
        found = await clusters.get(cluster, str(reference.get("apiVersion", "")), kind, name, namespace)
    except PlatformError:
        return None
    same = found is not None and found.get("metadata", {}).get("uid") == reference.get("uid")
    return found if same else None


def _replicas_removed(step: Step, diff: Diff, live: type_json | None) -> int:
    """Count serving replicas that the step takes away: all on deletion, the difference where a minimum shrinks."""
    if isinstance(step, Delete):
        spec: type_json = (live or {}).get("spec", {})
        predictor: type_json = spec.get("predictor") or {}
        return int(spec.get("replicas") or predictor.get("minReplicas") or 0)
    removed = 0
    for change in diff.changes:
        if change.path.endswith(("/replicas", "/minReplicas")) and isinstance(change.before, int):
            after = change.after if isinstance(change.after, int) else 0
            removed += max(0, change.before - after)
    return removed


def _outside_change(step: Step) -> ObjectChange | None:
    if isinstance(step, Apply | Patch | Delete | Submit):
        return None
    return ObjectChange(
        action="create" if step.kind == "create_version" else "update",
        system="git" if step.kind == "commit" else "registry",
        kind=step.kind,
        name=_outside_name(step),
        namespace=None,
        owner_team=None,
    )


def _outside_name(step: RegistryStep | Commit | CancelOperation) -> str:
    if isinstance(step, CancelOperation):
        return step.operation_id
    return step.repository if isinstance(step, Commit) else step.model
