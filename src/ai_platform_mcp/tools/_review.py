"""What lint may know of a cluster, and the review of a plan's manifests by it."""

from __future__ import annotations

import logging

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.plan import Apply, Draft, Risk, Submit
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.lint.model import Around
from ai_platform_mcp.domain.lint.plans import risks_of
from ai_platform_mcp.domain.objects import metadata_of
from ai_platform_mcp.manifests.common import minor_of
from ai_platform_mcp.tools._reading import capabilities, list_if_served

log = logging.getLogger(__name__)

RUNTIMES = "serving.kserve.io/v1alpha1"


async def around_cluster(readers: Readers, cluster: str) -> Around:
    """Return what a cluster serves, for judging documents that are not planned here.

    Raises:
        PlatformError: the cluster cannot be asked.
    """
    can = await capabilities(readers, cluster)
    return Around(
        kinds=can.kinds,
        kubernetes_minor=can.kubernetes_minor,
        standard_canary=can.standard_canary,
        training_overrides=can.training_overrides,
        runtimes=await _runtimes(readers, cluster),
    )


async def _runtimes(readers: Readers, cluster: str) -> frozenset[str] | None:
    """Return the names of the serving runtimes, None where the cluster has no KServe or does not let them be listed."""
    if not await readers.clusters.serves(cluster, RUNTIMES, "ClusterServingRuntime"):
        return None
    try:
        kinds = ("ClusterServingRuntime", "ServingRuntime")
        found = [row for kind in kinds for row in await list_if_served(readers, cluster, RUNTIMES, kind)]
    except PlatformError:
        return None
    return frozenset(str(metadata_of(row).get("name", "")) for row in found)


async def review(draft: Draft, readers: Readers) -> Draft:
    """Return the draft with what lint finds in its manifests as risks.

    Lint advises: a cluster that cannot say what it serves, or a fault of a rule, never keeps a plan from being made.
    """
    steps = [step for step in draft.steps if isinstance(step, Apply | Submit)]
    if not steps:
        return draft
    trained = {step.cluster for step in steps if step.manifest.get("kind") == "TrainJob"}
    names = sorted({step.cluster for step in steps})
    try:
        found = risks_of(draft.steps, {name: await _served(readers, name, forms=name in trained) for name in names})
    except Exception:
        log.exception("Lint failed on a plan's manifests")
        found = (Risk(severity="info", text="The manifests could not be linted; the log has the reason."),)
    return draft.model_copy(update={"risks": (*draft.risks, *found)}) if found else draft


async def _served(readers: Readers, cluster: str, *, forms: bool) -> Around:
    """Return what discovery says of a cluster; runtimes are the tools' own business by then.

    ``forms``: also which form of a TrainJob it takes, which only its schema tells.
    """
    try:
        if forms:
            can = await capabilities(readers, cluster)
            return Around(
                kinds=can.kinds, kubernetes_minor=can.kubernetes_minor, training_overrides=can.training_overrides
            )
        kinds = await readers.clusters.kinds(cluster)
        return Around(kinds=kinds, kubernetes_minor=minor_of(await readers.clusters.version(cluster)))
    except PlatformError:
        return Around()
