"""What steering an object comes to, and the steps that every kind of object is steered by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import ClusterStep, Delete, ObjectRef, Patch, Risk
from ai_platform_mcp.domain.objects import metadata_of, preconditions, ref_of

Action = Literal["cancel", "pause", "resume", "promote", "rollback"]


@dataclass(frozen=True)
class Steered:
    """What an action means for one object: steps, and what a person should weigh."""

    steps: tuple[ClusterStep, ...]
    risks: tuple[Risk, ...] = ()
    follow: tuple[ObjectRef, ...] = ()
    """Objects that the work goes on in, where they are new."""


@dataclass(frozen=True)
class Moment:
    """What steering knows beside the object."""

    cluster: str
    operation_id: str
    created_here: bool = False
    """Whether the operation that is steered created the object."""
    now: datetime | None = None
    """When it is planned, where deadlines are counted from then."""


def patch(live: type_json, title: str, body: type_json, moment: Moment) -> Patch:
    """Return a merge patch of a live object, bound to that very object and to the fields that it replaces."""
    step = Patch(title=title, cluster=moment.cluster, ref=ref_of(live), patch=body)
    return step.model_copy(update={"preconditions": preconditions(step, live)})


def delete(live: type_json, moment: Moment, *, orphan: bool = False) -> Delete:
    """Return the deletion of a live object, with everything that it owns unless that is to stay (``orphan``)."""
    ref = ref_of(live)
    step = Delete(
        title=f"Delete {ref}",
        cluster=moment.cluster,
        ref=ref,
        uid=str(metadata_of(live).get("uid", "")),
        propagation="Orphan" if orphan else "Background",
    )
    return step.model_copy(update={"preconditions": preconditions(step, live)})
