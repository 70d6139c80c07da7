"""Flux: versions that its current controllers no longer serve."""

from __future__ import annotations

from collections.abc import Iterable

from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Subject

SOURCE = "source.toolkit.fluxcd.io"
KUSTOMIZE = "kustomize.toolkit.fluxcd.io"
KINDS = ("GitRepository", "OCIRepository", "HelmRepository", "HelmChart", "Bucket")
GONE = {
    "Kustomization": ("patchesStrategicMerge", "patchesJson6902", "validation"),
    "GitRepository": ("gitImplementation", "accessFrom"),
    "HelmChart": ("valuesFile", "accessFrom"),
    "HelmRepository": ("accessFrom",),
    "Bucket": ("accessFrom",),
}
"""Fields of v1beta2 that v1 does not have."""


@rule(
    "flux.old-version",
    "error",
    "Flux source or Kustomization before v1",
    source="Flux CRDs (kustomize-controller 1.9, source-controller 1.9): only v1 is served",
    fix="certain",
    kinds=(f"{KUSTOMIZE}/Kustomization", *(f"{SOURCE}/{kind}" for kind in KINDS)),
)
def old_version(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find versions that v1 replaces, where the target serves v1."""
    if subject.version == "v1" or around.lacks(f"{subject.group}/v1", subject.kind):
        return
    gone = [key for key in GONE.get(subject.kind, ()) if key in subject.spec]
    yield Hit(
        path="/apiVersion",
        message=f"{subject.api_version} is not served by current Flux: nothing is reconciled any more.",
        remedy=f"Write apiVersion: {subject.group}/v1" + (f"; {', '.join(gone)} is gone there." if gone else "."),
        edits=(Edit(op="set", path="/apiVersion", value=f"{subject.group}/v1"),),
        certain=subject.version == "v1beta2" and not gone,
    )
