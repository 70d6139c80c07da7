"""One look at the rollouts of one model: what is seen, what the rules say, and the writes, which may break off anywhere.

Their order is DaemonSets, nodes, Event, status. A label may name a release only when its DaemonSet is there; marks say what has
been done to a node before the status counts it; and the status, which the next look starts from, comes last.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import anyio

from ai_platform_mcp.controllers.analysis.analyst import Analyst
from ai_platform_mcp.controllers.edge import asked, carry_out, daemon_sets, observe, succession
from ai_platform_mcp.controllers.edge.analysed import analysed
from ai_platform_mcp.controllers.edge.caches import Caches, Objects
from ai_platform_mcp.controllers.edge.ports import Api, Write
from ai_platform_mcp.controllers.edge.sight import Sight
from ai_platform_mcp.controllers.turns import told
from ai_platform_mcp.core.errors import Conflict, InvalidInput, NotFound, PlatformError
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.fleet import SITES_CONFIG_MAP, SITES_NAMESPACE, site_rules
from ai_platform_mcp.domain.objects import labels_of, metadata_of, section
from ai_platform_mcp.domain.rollout.engine import advance
from ai_platform_mcp.domain.rollout.state import OVER, Next, NodeSeen, Rollout
from ai_platform_mcp.manifests.common import label_value
from ai_platform_mcp.manifests.edge import release_node_label

_log = logging.getLogger(__name__)
AT_ONCE = 8
"""Node patches under way at the same time: a wave of hundreds neither takes minutes nor floods the API server."""
UNHURRIED = 30.0
"""Seconds until the next look at a model where no rollout asks for one earlier."""


@dataclass(frozen=True)
class Views:
    """What one look works on, read once from the caches."""

    rollouts: list[type_json]
    nodes: list[type_json]
    pods: list[type_json]


class Looker:
    """Looks at models.

    ``building`` gives what DaemonSets depend on, for the rollouts at hand; ``alive`` is called with every answer, since a look
    at a large fleet may take minutes and is not hanging; ``analyst`` measures what a rollout's analysis asks for; ``speed`` is
    how many of a spec's seconds pass in one.
    """

    def __init__(
        self,
        api: Api,
        caches: Caches,
        building: Callable[[Sequence[type_json]], Awaitable[daemon_sets.Cluster]],
        now: Callable[[], datetime],
        alive: Callable[[], None],
        analyst: Analyst,
        speed: float = 1.0,
    ):
        self._api = api
        self._caches = caches
        self._building = building
        self._now = now
        self._alive = alive
        self._analyst = analyst
        self._speed = speed
        self._sight = Sight()
        self._builder = daemon_sets.Builder()

    def models(self, namespace: str) -> set[str]:
        """Return the models that have a rollout, as label values."""
        return {_model(row) for row in self._caches.rollouts.all() if namespace in ("", metadata_of(row)["namespace"])}

    async def look(self, model: str, namespace: str) -> float:
        """Look at every rollout of a model once; return the seconds after which to look again at the latest.

        Raises:
            Conflict: something changed under the look; look again.
            PlatformError: the cluster refused a write or did not answer.
        """
        views = await self._views(model, namespace)
        cluster = await self._building(views.rollouts)
        again, needed = UNHURRIED, list[type_json]()
        for live in views.rollouts:
            if not section(live, "status").get("generation"):
                continue
            again = min(again, await self._look_at(live, views, cluster, needed))
        await self._collect(model, views, needed)
        return again

    async def _views(self, model: str, namespace: str) -> Views:
        rows = [
            row
            for row in self._caches.rollouts.all()
            if _model(row) == model
            and namespace in ("", metadata_of(row)["namespace"])
            and not metadata_of(row).get("deletionTimestamp")
            and section(row, "status").get("phase") not in asked.HELD
        ]
        nodes = self._caches.nodes.all()
        rows = [await self._numbered(row, rows, nodes) for row in sorted(rows, key=succession.order_of)]
        pods = self._caches.pods.of_model(model)
        return Views(sorted(rows, key=succession.order_of, reverse=True), nodes, pods)

    async def _numbered(self, live: type_json, rows: Sequence[type_json], nodes: Sequence[type_json]) -> type_json:
        """Return the rollout with its release counter in the status, written before any node is marked with it."""
        has, wants = succession.generation_of(live), section(live, "spec").get("generationOf") or 0
        if has and has >= wants:
            return live
        name = str(section(live, "spec").get("model"))
        marks = [mark for node in nodes if (mark := observe.mark_on(node, name)) is not None]
        others = [row for row in self._known(rows) if metadata_of(row)["uid"] != metadata_of(live)["uid"]]
        number = succession.next_generation(live, others, marks)
        status = {**section(live, "status"), "generation": number}
        write = carry_out.status_write(live, status)
        return live if write is None else await self._sent(write, self._caches.rollouts)

    def _known(self, rows: Sequence[type_json]) -> list[type_json]:
        """Return the rollouts as they are now: numbering one of them changes what the next may take."""
        found = [self._caches.rollouts.get(metadata_of(row)["namespace"], metadata_of(row)["name"]) for row in rows]
        return [row for row in found if row is not None]

    async def _look_at(
        self, live: type_json, views: Views, cluster: daemon_sets.Cluster, needed: list[type_json]
    ) -> float:
        generation, now = succession.generation_of(live), self._now()
        rollout, before = asked.rollout_of(live, generation, self._speed), asked.progress_of(live)
        fresh = before.observed != rollout.observed
        nodes, places = self._sight.members(live, views.nodes)
        mine, superseded = self._mine(live, before.phase, generation, nodes, views)
        serves = before.phase == "Succeeded" and not (superseded and before.reason == "superseded")
        if not fresh and before.phase in OVER and not serves:
            return UNHURRIED
        requires = section(live, "spec", "requires")
        seen = self._sight.nodes_seen(rollout, asked.release_of(live), requires, mine, views.pods)
        config = self._caches.sites.get(SITES_NAMESPACE, SITES_CONFIG_MAP)
        sites = observe.sites_seen(site_rules(config), places, now)
        said = analysed(live, rollout, before, seen, self._analyst, now)
        decided = advance(rollout, before, seen, sites, said.verdict, now, superseded=superseded)
        try:
            manifests = [] if superseded else self._builder.wanted(live, rollout, decided.progress, seen, cluster)
        except InvalidInput as problem:
            text = f"{problem.message}: {problem.cause or problem.remedy}"
            await self._status(live, carry_out.unbuildable(live, generation, text, now))
            return UNHURRIED
        needed += manifests
        await self._carried_out(live, rollout, mine, decided, manifests)
        event = carry_out.event_write(live, before, decided.progress, said.form, now)
        if event is not None:
            await told(self._api, event)
        await self._status(live, carry_out.status_of(live, generation, decided, said.form, now))
        return min(decided.look_again, said.again)

    def _mine(
        self, live: type_json, phase: str, generation: int, nodes: Sequence[type_json], views: Views
    ) -> tuple[Sequence[type_json], bool]:
        """Return the rollout's own nodes, and whether newer ones took over all of them: it is judged by all of them then."""
        rivals = [
            succession.Rival(
                generation=succession.generation_of(row),
                phase=str(section(row, "status").get("phase") or "Ready"),
                nodes=_names(self._sight.members(row, views.nodes).nodes),
            )
            for row in views.rollouts
            if metadata_of(row)["uid"] != metadata_of(live)["uid"] and succession.generation_of(row) > generation
        ]
        if not rivals:
            return nodes, False
        names, superseded = succession.mine(phase, generation, _names(nodes), rivals)
        return [node for node in nodes if superseded or metadata_of(node)["name"] in names], superseded

    async def _carried_out(
        self,
        live: type_json,
        rollout: Rollout,
        nodes: Sequence[type_json],
        decided: Next,
        manifests: Sequence[type_json],
    ) -> None:
        there = {
            (metadata_of(row)["namespace"], metadata_of(row)["name"]): row for row in self._caches.daemon_sets.all()
        }
        for write in self._builder.writes(manifests, there):
            await self._sent(write, self._caches.daemon_sets)
        by_name = {str(metadata_of(node)["name"]): node for node in nodes} if decided.patches else {}
        writes = [carry_out.node_write(rollout.model, patch, by_name[patch.node]) for patch in decided.patches]
        await self._each([write for write in writes if write is not None])

    async def _each(self, writes: Sequence[Write]) -> None:
        """Send node writes side by side. Every one is tried; one that was refused ends the look before its status."""
        problems: list[PlatformError] = []
        limit = anyio.CapacityLimiter(AT_ONCE)

        async def send(write: Write) -> None:
            async with limit:
                try:
                    await self._sent(write, self._caches.nodes)
                except NotFound:
                    pass  # the node left; the next look sees a smaller fleet
                except PlatformError as problem:
                    problems.append(problem)

        async with anyio.create_task_group() as group:
            for write in writes:
                group.start_soon(send, write)
        if problems:
            raise problems[0]

    async def _status(self, live: type_json, status: type_json) -> None:
        write = carry_out.status_write(live, status)
        if write is not None:
            await self._sent(write, self._caches.rollouts)

    async def _sent(self, write: Write, cache: Objects) -> type_json:
        answer = await self._api.write(write)
        self._alive()
        cache.take(answer)
        return answer

    async def _collect(self, model: str, views: Views, needed: Sequence[type_json]) -> None:
        """Delete DaemonSets that nothing refers to. Those of rollouts outside of our namespace are not ours to judge."""
        there = self._caches.daemon_sets.of_model(model)
        every = [row for row in self._caches.rollouts.all() if _model(row) == model]
        asked_for = {(metadata_of(row)["namespace"], metadata_of(row)["name"]) for row in needed}
        if all((metadata_of(row)["namespace"], metadata_of(row)["name"]) in asked_for for row in there):
            return  # the marks of every node need not be read
        if any(not section(row, "status").get("generation") for row in every):
            return
        gone = ("RolledBack", "Stopped")
        live = [row for row in every if section(row, "status").get("phase") not in gone]
        names = {str(section(row, "spec").get("model")) for row in every} or {model}
        keys = [release_node_label(name) for name in names]
        labelled = {str(labels.get(key) or "") for node in views.nodes for labels in [labels_of(node)] for key in keys}
        marks = [
            mark
            for node in self._caches.nodes.all()
            for name in names
            if (mark := observe.mark_on(node, name)) is not None
        ]
        for write in daemon_sets.garbage(there, live, frozenset(labelled - {""}), marks, needed):
            try:
                await self._api.write(write)
            except (NotFound, Conflict):
                continue  # gone, or another one of the same name: not what was judged


def _model(live: type_json) -> str:
    return label_value(str(section(live, "spec").get("model")))


def _names(nodes: Sequence[type_json] | Sequence[NodeSeen]) -> frozenset[str]:
    return frozenset(row.name if isinstance(row, NodeSeen) else str(metadata_of(row)["name"]) for row in nodes)
