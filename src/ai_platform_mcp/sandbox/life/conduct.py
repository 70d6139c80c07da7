"""What faults make of the answers of a release: at the edge by its pod, in the cloud by its version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ai_platform_mcp.sandbox.life.faults import Fault, Faults, first
from ai_platform_mcp.sandbox.life.world import USUAL, Conduct


def conduct_of(faults: Sequence[Fault], *, golden: bool = False) -> Conduct:
    """Return how a release answers under these faults."""
    errors, slow, differs = (first(faults, kind) for kind in ("errors", "slow", "golden-differs"))
    return Conduct(
        error_share=None if errors is None else 0.2 if errors.share is None else errors.share,
        slower=1.0 if slow is None else slow.factor or 4.0,
        golden=golden,
        differs=USUAL.differs if differs is None else 0.5 if differs.share is None else differs.share,
    )


def in_cloud(faults: Faults, model: str, versions: Iterable[str]) -> Mapping[str, Conduct]:
    """Return how versions answer in the cloud: only what is wrong everywhere reaches them."""
    return {version: conduct_of(found) for version in versions if (found := faults.everywhere(model, version))}
