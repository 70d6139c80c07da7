"""What a named target does not serve at all."""

from __future__ import annotations

from collections.abc import Iterable

from ai_platform_mcp.domain.lint.model import Around, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Subject
from ai_platform_mcp.domain.objects import section


@rule(
    "cluster.not-served",
    "error",
    "kind that the named cluster does not serve",
    source="the cluster's own discovery",
    fix="none",
)
def not_served(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find objects that an apply would fail on, unless the same input brings their definition."""
    if around.kinds is None or around.serves(subject.api_version, subject.kind) or _defined(subject, around):
        return
    others = sorted(
        row for row in around.kinds if row.endswith(f"/{subject.kind}") and row.startswith(f"{subject.group}/")
    )
    served = [row.rpartition("/")[0] for row in others]
    yield Hit(
        path="/apiVersion",
        message=f"The cluster does not serve {subject.kind} in {subject.api_version}"
        + (f"; it serves {', '.join(served)}." if served else ": what would act on it is not installed."),
        remedy=f"Write it in {served[-1]}."
        if served
        else "Install the system it belongs to, or choose another cluster.",
    )


def _defined(subject: Subject, around: Around) -> bool:
    return any(
        peer.get("kind") == "CustomResourceDefinition"
        and section(peer, "spec").get("group") == subject.group
        and section(peer, "spec", "names").get("kind") == subject.kind
        for peer in around.peers
    )
