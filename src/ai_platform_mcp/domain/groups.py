"""Which flavors of a queue may admit one request, and the node labels that let in just these.

Kueue tries a ClusterQueue's flavors in their order and takes the first that fits; that order is its only preference. A job
narrows the choice by its nodeSelector: a flavor qualifies when it carries every asked-for label among those keys that any flavor
of the resource group defines, so a flavor without such a key is out. What a request must not get is ruled out that way, and
nothing else is: a job pinned to one flavor waits for it while the next one, which would do as well, stands empty.
Source: https://kueue.sigs.k8s.io/docs/concepts/resource_flavor/ and Kueue's pkg/scheduler/flavorassigner.
"""

from __future__ import annotations

from collections.abc import Sequence

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.domain.pools import Pool


class Group(Value):
    """Flavors of one queue, in its order, and the labels that they and no other flavor of the queue share."""

    pools: tuple[Pool, ...]
    selector: dict[str, str]


def group_of(seed: Pool, queue: Sequence[Pool], fitting: Sequence[Pool]) -> Group | None:
    """Return the flavors that may admit a request which is best served by ``seed``; None where one ruled out would slip in.

    The group grows in the queue's order by every fitting flavor of the same accelerator and capacity class, unless Kueue would
    then prefer a dearer one to ``seed``, or labels cannot keep out what must stay out.

    Args:
        seed: the flavor that the request is placed by.
        queue: every flavor that the seed's LocalQueue leads to for the same resource, the seed included.
        fitting: those that pass the request's filters.
    """
    selector = seed.node_labels
    members = _admitted(selector, queue)
    if any(row not in fitting for row in members):
        return None
    for row in sorted(fitting, key=_place):
        if row in members:
            continue
        wider = {key: value for key, value in selector.items() if row.node_labels.get(key) == value}
        admitted = _admitted(wider, queue)
        if all(one in members or (one in fitting and _welcome(one, seed)) for one in admitted):
            selector, members = wider, admitted
    return Group(pools=tuple(sorted(members, key=_place)), selector=dict(selector))


def _admitted(selector: dict[str, str], queue: Sequence[Pool]) -> list[Pool]:
    """Return what Kueue would try: the selector's keys all come from flavors of this queue, so none is overlooked."""
    return [row for row in queue if selector.items() <= row.node_labels.items()]


def _welcome(row: Pool, seed: Pool) -> bool:
    """Tell whether a flavor may stand in for the seed: the same hardware on the same terms, and none that costs more first."""
    if (row.accelerator, row.spot) != (seed.accelerator, seed.spot):
        return False
    if seed.device_hourly_cents is None:
        return True
    if row.device_hourly_cents is None:
        return False
    return row.order > seed.order or row.device_hourly_cents <= seed.device_hourly_cents


def _place(row: Pool) -> tuple[int, str]:
    return row.order, row.flavor
