"""Lint as part of plans: what a plan would apply or create is read like any other manifest, and findings become risks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ai_platform_mcp.core.plan import AnyStep, Apply, Risk, Submit
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.domain.lint.engine import check, peers_of
from ai_platform_mcp.domain.lint.model import Around, Finding

MOST = 8
"""How many findings a plan shows; a plan is read by people and paid for by the token."""


def risks_of(steps: Iterable[AnyStep], around: Mapping[str, Around]) -> tuple[Risk, ...]:
    """Return the errors and warnings of every manifest that the steps apply or submit, by what each cluster serves.

    What is sent to a subresource (an Eviction) is no object of its own: discovery does not list its kind, and the dry run
    has asked for it. One defect at several places of an object is told once. Hints (``info``) are left to ``platform lint``.
    """
    written = [step for step in steps if isinstance(step, Apply) or (isinstance(step, Submit) and not step.subresource)]
    told: dict[tuple[str, str, str, str], tuple[Finding, int]] = {}
    for step in written:
        peers = peers_of(other.manifest for other in written if other is not step and other.cluster == step.cluster)
        context = around.get(step.cluster, Around()).model_copy(update={"peers": peers})
        for finding in check(step.manifest, context):
            if finding.severity != "info":
                key = (finding.code, finding.kind, finding.name, finding.message)
                first, count = told.get(key, (finding, 0))
                told[key] = (first, count + 1)
    risks = [_risk(finding, count) for finding, count in told.values()]
    if len(risks) > MOST:
        more = Risk(severity="warning", text=f"{len(risks) - MOST} more findings of lint are left out here.")
        return (*risks[:MOST], more)
    return tuple(risks)


def _risk(finding: Finding, count: int) -> Risk:
    places = f" (and {count - 1} more places)" if count > 1 else ""
    text = (
        f"[{finding.code}] {finding.kind} {finding.name} at {finding.path}{places}: {finding.message} {finding.remedy}"
    )
    return Risk(severity="danger" if finding.severity == "error" else "warning", text=untrusted(text, 600))
