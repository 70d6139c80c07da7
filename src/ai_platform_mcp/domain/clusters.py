"""Which cluster a call means. With several configured it must be said: there is no silent default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ai_platform_mcp.core.errors import InvalidInput, Misconfigured
from ai_platform_mcp.core.rows import ClusterInfo


def resolve_cluster(
    clusters: Sequence[ClusterInfo], name: str, role: Literal["cloud", "edge"] | None = None
) -> ClusterInfo:
    """Return the cluster that ``name`` means; an empty name means the only one there is.

    ``role`` narrows what is offered in an error and refuses a cluster of the other role; it never picks one of several.

    Raises:
        Misconfigured: no cluster is configured.
        InvalidInput: the name is unknown, of the wrong role, or missing while several are configured.
    """
    if not clusters:
        raise Misconfigured(
            "No cluster is configured.", remedy="Run `platform doctor`; name clusters in the platform file."
        )
    fitting = [row for row in clusters if role is None or row.role in (role, "both")]
    offered = ", ".join(row.name for row in fitting) or "none"
    if not name:
        if len(clusters) > 1:
            raise InvalidInput(
                f"Which cluster? {len(clusters)} are configured.",
                remedy=f"Pass cluster, one of: {offered}.",
                details={"clusters": [row.name for row in fitting]},
            )
        found = clusters[0]
    else:
        named = next((row for row in clusters if row.name == name), None)
        if named is None:
            raise InvalidInput(f"There is no cluster {name!r}.", remedy=f"Configured clusters: {offered}.")
        found = named
    if found not in fitting:
        raise InvalidInput(
            f"The cluster {found.name!r} has the role {found.role}, and this needs {role}.",
            remedy=f"Clusters that serve {role}: {offered}.",
        )
    return found
