"""Which namespace a team's work in an environment belongs to, by the labels that namespaces carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ai_platform_mcp.core.errors import InvalidInput, NotFound
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.core.rows import ClusterInfo
from ai_platform_mcp.domain.objects import ENVIRONMENT_LABEL, TEAM_LABEL, labels_of, metadata_of

ENVIRONMENTS = ("dev", "staging", "production")

Environment = Literal["dev", "staging", "production"]


class NamespaceRow(Value):
    """A namespace, whose it is and what it is for. ``environment`` is empty where nothing says it."""

    name: str
    team: str
    environment: Literal["", "dev", "staging", "production"]


def read_namespaces(objects: Sequence[type_json], cluster: ClusterInfo) -> tuple[NamespaceRow, ...]:
    """Return rows from Namespace objects. The cluster's own environment, where it has one, outranks labels."""
    rows: list[NamespaceRow] = []
    for item in objects:
        labels = labels_of(item)
        said: str = cluster.environment or labels.get(ENVIRONMENT_LABEL, "")
        environment = said if said in ENVIRONMENTS else ""
        name, team = str(metadata_of(item).get("name", "")), labels.get(TEAM_LABEL, "")
        rows.append(NamespaceRow(name=name, team=team, environment=environment))
    return tuple(sorted(rows, key=lambda row: row.name))


def choose_namespace(rows: Sequence[NamespaceRow], *, team: str, environment: Environment, named: str) -> NamespaceRow:
    """Return the namespace that was named, else the only one labelled with this team and environment.

    A named namespace of another environment is refused rather than followed: a typing error must not reach production.

    Raises:
        NotFound: the named namespace does not exist, or the team has none for this environment.
        InvalidInput: the named namespace is of another or of no environment, or several would fit.
    """
    if named:
        return _named(rows, environment, named)
    own = [row for row in rows if row.team == team and row.environment == environment]
    if len(own) == 1:
        return own[0]
    if own:
        names = ", ".join(row.name for row in own)
        raise InvalidInput(
            f"The team {team!r} has several namespaces for {environment}: {names}.", remedy="Pass namespace."
        )
    others = ", ".join(row.name for row in rows if row.team == team) or "none"
    raise NotFound(
        f"The team {team!r} has no namespace for {environment}." if team else "The caller belongs to no team.",
        cause=f"No namespace carries {TEAM_LABEL}={team} and {ENVIRONMENT_LABEL}={environment}.",
        remedy=f"Pass namespace, or another environment. Namespaces of the team: {others}.",
    )


def _named(rows: Sequence[NamespaceRow], environment: Environment, named: str) -> NamespaceRow:
    found = next((row for row in rows if row.name == named), None)
    if found is None:
        known = ", ".join(row.name for row in rows if row.team) or "none"
        raise NotFound(f"There is no namespace {named!r}.", remedy=f"Namespaces of teams: {known}.")
    if not found.environment:
        raise InvalidInput(
            f"Nothing says which environment the namespace {named!r} belongs to.",
            remedy=f"Label it {ENVIRONMENT_LABEL}=dev|staging|production, or set the cluster's environment.",
        )
    if found.environment != environment:
        raise InvalidInput(
            f"The namespace {named!r} is {found.environment}, and the call says {environment}.",
            remedy=f"Pass environment={found.environment}, or leave out namespace.",
        )
    return found
