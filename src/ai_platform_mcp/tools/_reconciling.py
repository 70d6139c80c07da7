"""Whether anything applies what a plan commits: in clusters with Flux, a Kustomization must read the folder."""

from __future__ import annotations

import yaml

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import AnyStep, Commit, Draft, Risk
from ai_platform_mcp.core.ports import ClusterReader
from ai_platform_mcp.manifests import flux
from ai_platform_mcp.manifests.common import Capabilities, minor_of


async def with_reconciler(draft: Draft, clusters: ClusterReader, gitops: type_json) -> Draft:
    """Return the draft, its commit with a Kustomization for each cluster of the plan whose folder no other one applies.

    The Kustomization is a file like the others: whoever merges the branch applies it once, and from then on Flux keeps it.
    """
    if not any(isinstance(step, Commit) for step in draft.steps):
        return draft
    files: dict[str, str] = {}
    risks: list[Risk] = []
    for cluster in dict.fromkeys(target.cluster for target in draft.targets):
        found, note = await _missing(cluster, clusters, gitops)
        files |= found
        risks += [Risk(severity="warning", text=note)] if note else []
    steps: list[AnyStep] = [
        step.model_copy(update={"files": {**step.files, **files}}) if isinstance(step, Commit) else step
        for step in draft.steps
    ]
    return draft.model_copy(update={"steps": tuple(steps), "risks": (*draft.risks, *risks)})


async def _missing(cluster: str, clusters: ClusterReader, gitops: type_json) -> tuple[dict[str, str], str]:
    """Return the file that is missing and the sentence about it, both empty where nothing is missing."""
    repository, path = str(gitops["repository"]), str(gitops["path"])
    try:
        if not await clusters.serves(cluster, flux.API, flux.KIND):
            return {}, ""
        sources = (await clusters.list(cluster, flux.SOURCE_API, "GitRepository")).items
        present = (await clusters.list(cluster, flux.API, flux.KIND)).items
        version = await clusters.version(cluster)
        can = Capabilities(kinds=await clusters.kinds(cluster), kubernetes_minor=minor_of(version))
    except PlatformError as problem:
        return {}, f"Whether Flux applies this in {cluster} cannot be told: {problem.message}"
    source = flux.source_of(repository, sources)
    if source is None:
        return (
            {},
            f"{cluster} runs Flux, and no GitRepository there fetches {repository}: once merged, nothing applies it.",
        )
    if flux.applies(present, source, path, cluster):
        return {}, ""
    made = flux.kustomization(path, cluster, source, can)
    file = f"{path.strip('/')}/{cluster}/flux-kustomization.yaml".lstrip("/")
    text = f"No Kustomization in {cluster} applies this folder yet: after the merge, apply {file} once."
    return {file: yaml.safe_dump(made, sort_keys=False)}, text
