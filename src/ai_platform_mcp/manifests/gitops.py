"""GitOps: the objects a plan would apply become files on a branch, for whoever reconciles the repository.

Only configuration goes through Git: what a plan applies. Work (jobs, evictions), node patches and the registry are effects of
the moment and stay direct. Flux and Argo CD read plain manifests in folders, one object per file.
"""

from __future__ import annotations

from typing import Any

import yaml

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
    return draft.model_copy(update={"steps": tuple(steps), "risks": (*draft.risks, note)})


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
