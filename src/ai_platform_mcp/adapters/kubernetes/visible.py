"""The shared cache, shown to each caller only as far as the cluster would let them list it themselves.

The watches are the service identity's, so what they bring is more than any one caller may see. Where a cluster knows its
callers (``impersonate``, ``token``), each kind is shown after a SelfSubjectAccessReview put as the caller: ``list`` for the
whole cluster, else for each namespace that has rows. Answers hold for half a minute; what was not answered is not shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from ai_platform_mcp.adapters.kubernetes.discovery import Discovery
from ai_platform_mcp.adapters.kubernetes.identity import Identity
from ai_platform_mcp.adapters.kubernetes.inventory import WATCHED, InventoryCache
from ai_platform_mcp.adapters.kubernetes.reader import KubernetesReader
from ai_platform_mcp.adapters.kubernetes.transport import Transport
from ai_platform_mcp.core.errors import Forbidden, PlatformError, Unavailable
from ai_platform_mcp.core.plan import ObjectRef
from ai_platform_mcp.core.rows import Inventory

_FRESH_SECONDS = 30.0
"""How long an answer of the cluster's authorizer holds: a right that is taken away is shown for so long at most."""
_OUTAGE_SECONDS = 900.0
"""How long it holds while the cluster cannot be asked: what the cache shows then is as old."""
_ASK_SECONDS = 3.0
_AT_ONCE = 16
_MOST_VERDICTS = 50_000

_WHOLE: Mapping[str, tuple[str, ...]] = {
    "nodes": ("Node",),
    "flavors": ("ClusterQueue", "ResourceFlavor"),
    "node_use": ("Node", "Pod"),
}
"""Fields of an inventory that say something of the whole cluster, and the kinds that one must be able to list for them."""
_BY_NAMESPACE: Mapping[str, str] = {
    "queues": "LocalQueue",
    "workloads": "Workload",
    "deployments": "",
    "holders": "Pod",
}
"""Fields whose rows each have a namespace, and their kind; empty where the row says it."""
_ABOUT = frozenset({"cluster", "as_of", "age_seconds", "stale", "problem", "missing"})
"""Fields that say how good the answer is. A field that is in none of the three is not shown."""

Question = tuple[str, str]
"""A kind and a namespace, empty for the whole cluster."""


@dataclass(frozen=True)
class _Verdict:
    allowed: bool
    at: float


class VisibleInventory:
    """The ``InventoryReader`` of ``core.ports``, over a cache that several callers share."""

    def __init__(self, cache: InventoryCache, callers: Transport, reader: KubernetesReader, discovery: Discovery):
        self._cache = cache
        self._callers = callers
        self._reader = reader
        self._discovery = discovery
        self._verdicts: dict[tuple[str, str, str, str], _Verdict] = {}

    async def inventory(self, cluster: str) -> Inventory:
        """Return the part of the cached state that the caller may list, with its age; ``problem`` names what is left out.

        Raises:
            InvalidInput: no cluster of this name is configured.
        """
        if self._callers.connections.config(cluster).access == "service":
            return await self._cache.inventory(cluster)
        try:
            who: Identity | None = self._callers.identity(cluster)
            refusal = ""
        except Forbidden as refused:
            who, refusal = None, refused.message
        whole = await self._cache.inventory(cluster)
        if who is None:
            return _shown(whole, frozenset(), refusal)
        view = _View(self, cluster, who.key())
        with anyio.move_on_after(_ASK_SECONDS):
            await view.ask({(kind, "") for kind in _kinds(whole)})
            await view.ask(view.by_namespace(whole))
        return _shown(whole, view.allowed, view.problem)

    async def aclose(self) -> None:
        """Stop every watch."""
        await self._cache.aclose()

    async def verdict(self, cluster: str, who: str, question: Question) -> bool | None:
        """Return whether the caller may list that, None where the cluster did not say."""
        place = (cluster, who, *question)
        known = self._verdicts.get(place)
        if known is not None and time.monotonic() - known.at < _FRESH_SECONDS:
            return known.allowed
        try:
            allowed = await self._ask(cluster, *question)
        except Unavailable:
            recent = known is not None and time.monotonic() - known.at < _OUTAGE_SECONDS
            return known.allowed if known is not None and recent else None
        except PlatformError:
            return None
        if len(self._verdicts) >= _MOST_VERDICTS:
            self._verdicts.clear()
        self._verdicts[place] = _Verdict(allowed, time.monotonic())
        return allowed

    async def _ask(self, cluster: str, kind: str, namespace: str) -> bool:
        versions = next(row.versions for row in WATCHED if row.kind == kind)
        for version in versions:
            if await self._discovery.find(cluster, version, kind) is not None:
                ref = ObjectRef(api_version=version, kind=kind, name="", namespace=namespace or None)
                return (await self._reader.allowed(cluster, "list", ref)).allowed
        return False


class _View:
    """What one caller may see of one cluster, as far as has been asked."""

    def __init__(self, visible: VisibleInventory, cluster: str, who: str):
        self._visible = visible
        self._cluster = cluster
        self._who = who
        self._asked: set[Question] = set()
        self._answers: dict[Question, bool | None] = {}

    @property
    def allowed(self) -> frozenset[Question]:
        """What the cluster said yes to."""
        return frozenset(question for question, answer in self._answers.items() if answer)

    @property
    def problem(self) -> str:
        """One line on what is left out and why, empty where nothing is."""
        hidden = {kind for kind, namespace in self._asked if not namespace and not self._answers.get((kind, ""))}
        partly = {kind for kind, namespace in self.allowed if namespace}
        names = [f"{kind} of other namespaces" if kind in partly else kind for kind in sorted(hidden)]
        parts = [f"Left out, because you may not list them: {', '.join(names)}."] if names else []
        if any(self._answers.get(question) is None for question in self._asked):
            parts.append("The cluster has not said yet whether you may see everything: ask again.")
        return " ".join(parts)

    async def ask(self, questions: Iterable[Question]) -> None:
        """Put the questions to the cluster, several at once."""
        limit = anyio.CapacityLimiter(_AT_ONCE)

        async def put(question: Question) -> None:
            async with limit:
                self._answers[question] = await self._visible.verdict(self._cluster, self._who, question)

        async with anyio.create_task_group() as group:
            for question in sorted(questions):
                self._asked.add(question)
                group.start_soon(put, question)

    def by_namespace(self, whole: Inventory) -> set[Question]:
        """Return what is to be asked where the whole cluster may not be listed."""
        return {
            question
            for field in _BY_NAMESPACE
            for row in getattr(whole, field, ())
            if not self._answers.get(((question := _question(field, row))[0], ""))
        }


def _question(field: str, row: Any) -> Question:
    return _BY_NAMESPACE[field] or str(row.kind), str(row.namespace)


def _kinds(whole: Inventory) -> set[str]:
    found = {kind for field, kinds in _WHOLE.items() if getattr(whole, field, ()) for kind in kinds}
    return found | {_question(field, row)[0] for field in _BY_NAMESPACE for row in getattr(whole, field, ())}


def _shown(whole: Inventory, allowed: frozenset[Question], problem: str) -> Inventory:
    """Return the inventory with nothing in it that was not allowed."""
    kept: dict[str, Any] = {name: getattr(whole, name) for name in _ABOUT}
    for name, kinds in _WHOLE.items():
        if all((kind, "") in allowed for kind in kinds):
            kept[name] = getattr(whole, name)
    for name in _BY_NAMESPACE:
        rows: tuple[Any, ...] = getattr(whole, name)
        kept[name] = tuple(row for row in rows if _may_see(_question(name, row), allowed))
    kept["problem"] = " ".join(text for text in (whole.problem, problem) if text)
    return Inventory.model_construct(**kept)  # rows are values already: looking at ten thousand again would take time


def _may_see(question: Question, allowed: frozenset[Question]) -> bool:
    return question in allowed or (question[0], "") in allowed
