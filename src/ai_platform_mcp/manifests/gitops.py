"""GitOps: the objects a plan would apply become files on a branch, for whoever reconciles the repository.

Only configuration goes through Git: what a plan applies. Work (jobs, evictions), node patches and the registry are effects of
the moment and stay direct. Flux and Argo CD read plain manifests in folders, one object per file.

An object that a reconciler already keeps from another repository is not committed to ours: two sources would undo each other.
"""

from __future__ import annotations

from typing import Any

import yaml

from ai_platform_mcp.core.elsewhere import holds_file, same_repository
from ai_platform_mcp.core.facts import ObjectChange
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import AnyStep, Apply, Commit, Diff, Draft, Risk


def as_commit(draft: Draft, operation_id: str, gitops: type_json) -> Draft:
    """Return the draft with all its Apply steps replaced by one Commit at the place of the first.

    ``gitops`` has ``repository``, ``base`` (the branch to start from) and ``path`` (the folder in the repository).
    """
    applied = [step for step in draft.steps if isinstance(step, Apply)]
    if not applied:
        return draft
    commit = _commit(draft, applied, operation_id, gitops)
    steps: list[AnyStep] = []
    for step in draft.steps:
        if not isinstance(step, Apply):
            steps.append(step)
        elif step is applied[0]:
            steps.append(commit)
    note = Risk(severity="info", text=f"Nothing runs until branch {commit.branch} is merged and reconciled.")
    files = {_object(step): file_of(step, str(gitops["path"])) for step in applied}
    changes, told = _settled(draft.facts.changes, files, str(gitops["repository"]))
    return draft.model_copy(
        update={
            "steps": tuple(steps),
            "risks": (*draft.risks, *told, note),
            "facts": draft.facts.model_copy(update={"changes": changes}),
        }
    )


_Key = tuple[str, str | None, str]


def _object(step: Apply) -> _Key:
    metadata: dict[str, Any] = step.manifest.get("metadata", {})
    return str(step.manifest.get("kind", "")), metadata.get("namespace"), str(metadata.get("name", ""))


def _settled(
    changes: tuple[ObjectChange, ...], files: dict[_Key, str], repository: str
) -> tuple[tuple[ObjectChange, ...], list[Risk]]:
    """Return the changes with what becomes of those that a reconciler keeps, and what a person should know of them."""
    settled: list[ObjectChange] = []
    told: list[Risk] = []
    for change in changes:
        file = files.get((change.kind, change.namespace, change.name))
        if change.gitops != "committed" or file is None:
            settled.append(change)
            continue
        ours = change.gitops_repository is None or same_repository(change.gitops_repository, repository)
        settled.append(change if ours else change.model_copy(update={"gitops": "reverted"}))
        told.append(_told(change, file, repository, ours=ours))
    return tuple(settled), told


def _told(change: ObjectChange, file: str, repository: str, *, ours: bool) -> Risk:
    what = f"{change.kind} {change.name}"
    if not ours:
        text = f"{what} comes from {change.gitops_repository}; commits go to {repository}, so the two would undo each other."
        return Risk(severity="danger", text=text)
    if not holds_file(change.gitops_path, file):
        text = f"{change.gitops_owner} reads {change.gitops_path}, not {file}: move the file there, or it is not reconciled."
        return Risk(severity="warning", text=text)
    text = f"The commit goes to {file}, which {change.gitops_owner} reads. Where {what} is in another file, take it out there."
    return Risk(severity="info", text=text)


def _commit(draft: Draft, applied: list[Apply], operation_id: str, gitops: type_json) -> Commit:
    changes = tuple(change for step in applied if step.diff for change in step.diff.changes)
    action = "none" if all(step.diff and step.diff.action == "none" for step in applied) else "update"
    return Commit(
        title=f"Commit {len(applied)} manifest{'s' if len(applied) > 1 else ''} for {draft.summary}",
        repository=str(gitops["repository"]),
        branch=f"aiplatform/{operation_id}",
        base=str(gitops["base"]),
        files={file_of(step, str(gitops["path"])): _text(step.manifest) for step in applied},
        message=draft.summary,
        preconditions=tuple(row for step in applied for row in step.preconditions),
        diff=Diff(action=action, changes=changes, omitted=sum(step.diff.omitted for step in applied if step.diff)),
    )


def file_of(step: Apply, folder: str) -> str:
    """Return where a manifest lives in the repository: folder, cluster, namespace, kind and name."""
    metadata: dict[str, Any] = step.manifest.get("metadata", {})
    namespace = str(metadata.get("namespace") or "cluster-wide")
    kind = str(step.manifest.get("kind", "object")).lower()
    return f"{folder.strip('/')}/{step.cluster}/{namespace}/{kind}-{metadata['name']}.yaml"


def _text(manifest: type_json) -> str:
    return yaml.safe_dump(manifest, sort_keys=False)
