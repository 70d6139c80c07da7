"""In which order an edge release reaches its sites: a small canary first, then growing waves that span the regions.

A site is never split: its nodes back each other up, so they change together or not at all, and a wave's size is the nearest
that whole sites allow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.domain.fleet import Member, share_percent

GROWTH = 3
"""Each wave after the canary reaches this many times the share reached before it: 10, 30, 90, 100 %."""


CANARY_PERCENT, CANARY_NODES = 10, 20
"""What a canary takes of a fleet where nobody says: so much of it, but no more nodes than are needed to see what is wrong."""
TOLERATED_PERCENT = 1
"""Share of the members that may fail beyond the canary before a release counts as bad."""


def tolerated_failures(members: int) -> int:
    """Return how many members may fail beyond the canary: one in a hundred, at least one.

    In every large fleet some nodes are broken for whatever is new: a full disk, a driver that does not fit. A fixed number that
    is right for fifty nodes takes a good release back from a thousand.
    """
    return max(1, members * TOLERATED_PERCENT // 100)


def usual_canary(members: int) -> int:
    """Return the share of a fleet, in percent, that a canary takes where nobody says.

    None of a canary's nodes may fail. With a tenth of a thousand nodes, a fleet in which one of 250 is broken for whatever is
    new would take back a third of all good releases; twenty nodes show a bad one as well.
    """
    return max(1, min(CANARY_PERCENT, CANARY_NODES * 100 // max(1, members)))


class Wave(Value):
    """Sites that change together. In a canary wave one failure is too many."""

    name: str
    sites: tuple[str, ...]
    canary: bool


def plan_waves(members: Sequence[Member], canary_percent: int) -> tuple[Wave, ...]:
    """Return waves whose sites are exactly the members' sites, each site once.

    The canary wave reaches about ``canary_percent`` of the members and has a member online (a canary that nobody can watch
    proves nothing); 0 or 100 puts everything into a single wave. Sites that are wholly offline come last.
    """
    sites = _sites(members)
    if not sites:
        return ()
    everything = tuple(sorted(sites))
    if not 0 < canary_percent < 100 or len(sites) == 1:
        return (Wave(name="all", sites=everything, canary=False),)
    order = _order(sites)
    waves: list[Wave] = []
    goal, taken, reached = canary_percent, 0, 0
    while taken < len(order):
        end = taken + 1
        reached += len(sites[order[taken]])
        while end < len(order) and share_percent(reached + len(sites[order[end]]), len(members)) <= goal:
            reached += len(sites[order[end]])
            end += 1
        first = not waves
        name = "canary" if first else f"wave-{len(waves)}"
        waves.append(Wave(name=name, sites=tuple(sorted(order[taken:end])), canary=first))
        taken, goal = end, min(100, max(goal * GROWTH, canary_percent))
    return tuple(waves)


def wave_share(wave: Wave, members: Sequence[Member]) -> int:
    """Return the share of all members that a wave touches, in whole percent rounded up."""
    return share_percent(sum(row.site in wave.sites for row in members), len(members))


def describe(waves: Sequence[Wave], members: Sequence[Member]) -> str:
    """Return the waves in one line, such as ``canary (1 site, 4 nodes), wave-1 (3 sites, 12 nodes)``."""
    parts: list[str] = []
    for wave in waves:
        nodes = sum(row.site in wave.sites for row in members)
        parts.append(f"{wave.name} ({_count(len(wave.sites), 'site')}, {_count(nodes, 'node')})")
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _sites(members: Sequence[Member]) -> dict[str, list[Member]]:
    sites: defaultdict[str, list[Member]] = defaultdict(list)
    for row in members:
        sites[row.site].append(row)
    return dict(sites)


def _order(sites: dict[str, list[Member]]) -> list[str]:
    """Order sites: best watched and smallest first, taking the regions in turn so that each wave sees all of them."""
    by_region: defaultdict[str, list[str]] = defaultdict(list)
    for site in sorted(sites, key=lambda name: _exposure(name, sites[name])):
        by_region[sites[site][0].region].append(site)
    regions = sorted(by_region, key=lambda region: _exposure(by_region[region][0], sites[by_region[region][0]]))
    rounds = max(len(queue) for queue in by_region.values())
    turns = [by_region[region][turn] for turn in range(rounds) for region in regions if turn < len(by_region[region])]
    return sorted(turns, key=lambda site: not any(row.online for row in sites[site]))


def _exposure(name: str, rows: list[Member]) -> tuple[bool, int, int, str]:
    online = sum(row.online for row in rows)
    return (online == 0, len(rows) - online, len(rows), name)
