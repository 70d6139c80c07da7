"""Which edge nodes a call means, and which labels it may set. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ai_platform_mcp.core.errors import InvalidInput, NotFound
from ai_platform_mcp.core.rows import NodeRow
from ai_platform_mcp.domain.fleet import spelled

OWN_DOMAINS = ("aiplatform.dev",)
"""Labels of these domains say who owns a node, which site it is in and which release it runs: rollouts move them, no one else."""
_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_KEY = rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}"
_TERM = re.compile(rf"(?P<not>!)?(?P<key>{_KEY})((?P<op>==|=|!=)(?P<value>({_NAME})?))?")


def select_nodes(
    rows: Sequence[NodeRow], *, nodes: Sequence[str], site: str, region: str, selector: str, looking: bool = False
) -> tuple[NodeRow, ...]:
    """Return the edge nodes that fit everything that is said, by name.

    Who is only ``looking`` may mean the whole fleet by saying nothing, and sees nodes without a site as well.

    Raises:
        InvalidInput: nothing is said (a whole fleet is never meant silently), a node is no edge node, or has no site.
        NotFound: a named node does not exist, or nothing fits.
    """
    if not (looking or nodes or site or region or selector):
        raise InvalidInput(
            "Which nodes?",
            remedy="Pass nodes, site, region or selector; the whole fleet is selector=node-role.kubernetes.io/edge.",
        )
    known = {row.name: row for row in rows}
    missing = [name for name in nodes if name not in known]
    if missing:
        raise NotFound(f"There is no node {', '.join(missing[:5])}.", remedy="inspect_platform kind=nodes lists them.")
    cloud = [name for name in nodes if known[name].role != "edge"]
    if cloud:
        raise InvalidInput(
            f"{', '.join(cloud[:5])} is no edge node.", remedy="Cloud nodes are managed by their autoscaler."
        )
    terms = _terms(selector)
    fleet = [row for row in rows if row.role == "edge"]
    site, region = place(fleet, site=site, region=region)
    chosen = [
        row
        for row in fleet
        if (not nodes or row.name in nodes)
        and (not site or row.site == site)
        and (not region or row.region == region)
        and all(_holds(term, row.labels) for term in terms)
    ]
    if not chosen:
        raise _nothing_fits(fleet, nodes=nodes, site=site, region=region, selector=selector)
    homeless = [row.name for row in chosen if not row.site and not looking]
    if homeless:
        raise InvalidInput(
            f"{', '.join(homeless[:5])} names no site, so its site's minimum is not known.",
            remedy="Have an administrator label it edge.aiplatform.dev/site.",
        )
    return tuple(sorted(chosen, key=lambda row: row.name))


def place(fleet: Sequence[NodeRow], *, site: str, region: str) -> tuple[str, str]:
    """Return site and region as the fleet spells them.

    Raises:
        NotFound: the fleet has no such site or region.
    """
    found: list[str] = []
    for what, asked, known in (
        ("site", site, {row.site for row in fleet if row.site}),
        ("region", region, {row.region for row in fleet if row.region}),
    ):
        name = spelled(asked, known)
        if name and name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise NotFound(f"No edge node is in {what} {name[:80]}.", remedy=f"{what.capitalize()}s: {names}.")
        found.append(name)
    return found[0], found[1]


def _nothing_fits(fleet: Sequence[NodeRow], *, nodes: Sequence[str], site: str, region: str, selector: str) -> NotFound:
    """Say which of the things that were asked for do not go together."""
    elsewhere = sorted({row.region for row in fleet if row.site == site} - {region}) if site and region else []
    if elsewhere:
        cause = f"Site {site} is in region {', '.join(elsewhere)}, not in {region}."
    elif nodes and (site or region):
        where = ", ".join(f"{row.name} is in {row.site} ({row.region})" for row in fleet if row.name in nodes[:5])
        cause = f"{where}."
    else:
        cause = f"No node there has the labels {selector}." if selector else "The fleet has no edge nodes."
    return NotFound(
        "No edge node fits everything that is asked for.",
        cause=cause,
        remedy="Leave one of them out. The labels of a node: inspect_platform kind=nodes name=<node>.",
    )


def _terms(selector: str) -> list[re.Match[str]]:
    terms: list[re.Match[str]] = []
    for text in (part.strip() for part in selector.split(",") if part.strip()):
        found = _TERM.fullmatch(text)
        if found is None or (found["not"] and found["op"]):
            raise InvalidInput(
                f"{text[:60]!r} is no label selector.", remedy="Write k=v, k!=v, k or !k, separated by commas."
            )
        terms.append(found)
    return terms


def _holds(term: re.Match[str], labels: dict[str, str]) -> bool:
    value = labels.get(term["key"])
    if term["op"] is None:
        return (value is None) if term["not"] else (value is not None)
    return (value != term["value"]) if term["op"] == "!=" else (value == term["value"])


def read_labels(texts: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read ``k=v`` (set) and ``k-`` (remove).

    Raises:
        InvalidInput: it is neither, or a label that only rollouts and administrators move.
    """
    wanted: dict[str, str] = {}
    gone: list[str] = []
    for text in texts:
        key, equals, value = text.partition("=")
        key = key if equals else text.removesuffix("-")
        if (
            not re.fullmatch(_KEY, key)
            or (not equals and not text.endswith("-"))
            or (value and not re.fullmatch(_NAME, value))
        ):
            raise InvalidInput(f"{text[:80]!r} is no label change.", remedy="Write k=v to set, k- to remove.")
        domain = key.partition("/")[0] if "/" in key else ""
        if any(domain == own or domain.endswith(f".{own}") for own in OWN_DOMAINS):
            raise InvalidInput(
                f"The label {key} belongs to the platform.",
                remedy="Releases move by action=rollout; sites are set by administrators.",
            )
        if equals:
            wanted[key] = value
        else:
            gone.append(key)
    if not texts:
        raise InvalidInput("Which labels?", remedy="Pass labels: k=v to set, k- to remove.")
    return wanted, tuple(gone)
