"""KubeRay: versions, and clusters that outlive their job."""

from __future__ import annotations

from collections.abc import Iterable

from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.rules.kueue_queues import LABEL
from ai_platform_mcp.domain.lint.subject import Subject

OTHERWISE = ("clusterSelector", "deletionStrategy")
"""Fields of a RayJob that runs on a cluster of its own keeping, or says itself what is deleted when."""
KINDS = ("ray.io/RayJob", "ray.io/RayCluster", "ray.io/RayService")


@rule(
    "ray.old-version",
    "warning",
    "KubeRay object in v1alpha1",
    source="KubeRay CRDs: ray.io/v1alpha1 is deprecated, v1 since 1.0",
    fix="certain",
    kinds=KINDS,
)
def old_version(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the deprecated version; its base64 runtimeEnv became text and is left to a person."""
    if subject.version == "v1alpha1" and around.serves("ray.io/v1", subject.kind):
        yield Hit(
            path="/apiVersion",
            message="ray.io/v1alpha1 is deprecated and goes away with a coming release.",
            remedy="Write apiVersion: ray.io/v1"
            + (", and runtimeEnvYAML (text) for runtimeEnv (base64)." if "runtimeEnv" in subject.spec else "."),
            edits=(Edit(op="set", path="/apiVersion", value="ray.io/v1"),),
            certain="runtimeEnv" not in subject.spec,
        )


@rule(
    "ray.cluster-stays",
    "warning",
    "RayJob that leaves its cluster behind",
    source="KubeRay RayJob: shutdownAfterJobFinishes is false by default; Kueue's webhook demands true",
    fix="certain",
    kinds=("ray.io/RayJob",),
)
def cluster_stays(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find jobs whose cluster keeps its GPUs when they end."""
    if subject.spec.get("shutdownAfterJobFinishes") is True or any(key in subject.spec for key in OTHERWISE):
        return
    queued = LABEL in subject.labels
    yield Hit(
        path="/spec/shutdownAfterJobFinishes" if "shutdownAfterJobFinishes" in subject.spec else "/spec",
        message="The RayCluster stays when the job has ended and holds its GPUs"
        + ("; Kueue refuses such a job." if queued else "."),
        remedy="Write shutdownAfterJobFinishes: true.",
        edits=(Edit(op="set", path="/spec/shutdownAfterJobFinishes", value=True),),
        certain=queued,
        severity="error" if queued else "warning",
    )
