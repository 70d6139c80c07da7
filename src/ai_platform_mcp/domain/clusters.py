"""Which cluster a call means. Its role decides where only one has it; otherwise it must be said, or be looked up by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ai_platform_mcp.core.errors import InvalidInput, Misconfigured
from ai_platform_mcp.core.rows import ClusterInfo

Role = Literal["cloud", "edge"]


def resolve_cluster(clusters: Sequence[ClusterInfo], name: str, role: Role | None = None) -> ClusterInfo:
    """Return the cluster that ``name`` means; an empty name means the only one there is, or the only one of the role.

    A named cluster of the other role is refused rather than replaced.

    Raises:
        Misconfigured: no cluster is configured.
        InvalidInput: the name is unknown, of the wrong role, or missing while several would do.
    """
    if not clusters:
        raise Misconfigured(
            "No cluster is configured.", remedy="Run `platform doctor`; name clusters in the platform file."
        )
    fitting = with_role(clusters, role)
    offered = ", ".join(row.name for row in fitting) or "none"
    if name:
        named = next((row for row in clusters if row.name == name), None)
        if named is None:
            raise InvalidInput(f"There is no cluster {name!r}.", remedy=f"Configured clusters: {offered}.")
    elif len(fitting) > 1:
        raise which_cluster(fitting)
    else:
        named = fitting[0] if fitting else clusters[0]
    if named not in fitting:
        raise InvalidInput(
            f"The cluster {named.name!r} has the role {named.role}, and this needs {role}.",
            remedy=f"Clusters that serve {role}: {offered}.",
        )
    return named


def which_cluster(fitting: Sequence[ClusterInfo], what: str = "") -> InvalidInput:
    """Return the refusal where several clusters would do; ``what`` is what they all have."""
    names = [row.name for row in fitting]
    said = f"{what} is in {', '.join(names)}." if what else f"Which cluster? {len(names)} would do."
    return InvalidInput(said, remedy=f"Pass cluster, one of: {', '.join(names)}.", details={"clusters": names})


def with_role(clusters: Sequence[ClusterInfo], role: Role | None) -> list[ClusterInfo]:
    """Return the clusters that serve a role, in the order of the platform file."""
    return [row for row in clusters if role is None or row.role in (role, "both")]


def open_to(cluster: ClusterInfo, team: str) -> bool:
    """Tell whether the platform file lets a team change anything in a cluster. Policy decides; this only spares the asking."""
    return not cluster.facts.allowed_teams or team in cluster.facts.allowed_teams
