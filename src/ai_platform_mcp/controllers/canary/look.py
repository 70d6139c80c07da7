"""One look at one CanaryRollout: what is seen, what the rules say, and the writes, which may break off anywhere.

Their order is status, InferenceService, Event: what is going to be done stands in the status before it is done, so that whoever
takes over can tell its own half-done work from somebody else's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from ai_platform_mcp.controllers.analysis.analyst import Analyst
from ai_platform_mcp.controllers.canary import asked, carry_out
from ai_platform_mcp.controllers.canary.analysed import analysed
from ai_platform_mcp.controllers.canary.caches import Caches
from ai_platform_mcp.controllers.edge.caches import Objects, key_of
from ai_platform_mcp.controllers.edge.ports import Api, Write
from ai_platform_mcp.controllers.turns import told
from ai_platform_mcp.core.errors import CapabilityMissing, Forbidden, NotFound
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.canary.engine import advance
from ai_platform_mcp.domain.canary.observe import seen_of
from ai_platform_mcp.domain.canary.state import OVER, Canary, Next, Progress, Seen
from ai_platform_mcp.domain.objects import metadata_of, section
from ai_platform_mcp.domain.progress import knative_mode

_log = logging.getLogger(__name__)
UNHURRIED = 300.0
"""Seconds until the next look at what is over."""


class Looker:
    """Looks at CanaryRollouts; ``wake`` is called with a namespace when a measurement is there."""

    def __init__(self, api: Api, caches: Caches, now: Callable[[], datetime], analyst: Analyst, speed: float = 1.0):
        self._api = api
        self._caches = caches
        self._now = now
        self._analyst = analyst
        self._speed = speed

    async def look(self, live: type_json) -> float:
        """Look at a rollout once; return the seconds after which to look again at the latest.

        Raises:
            Conflict: something changed under the look; look again.
            PlatformError: the cluster refused a write or did not answer.
        """
        before, now = asked.progress_of(live), self._now()
        if before.phase in OVER:
            return UNHURRIED
        canary, service = asked.canary_of(live, self._speed), self._service(live)
        said = analysed(live, canary, before, self._analyst, str(metadata_of(live)["namespace"]), now)
        seen = None if service is None else await self._seen(live, service, before)
        newer = self._newer(live)
        decided = _left(canary, before, newer) if newer else advance(canary, before, seen, said.verdict, now)
        status = carry_out.status_of(live, service, decided.progress, said.form, now)
        if (write := carry_out.status_write(live, status)) is not None:
            await self._sent(write, self._caches.rollouts)
        if service is not None and (write := carry_out.service_write(service, live, decided)) is not None:
            _log.info("%s for %s", write.why, key_of(live).replace("\0", "/"))
            await self._sent(write, self._caches.services)
        event = carry_out.event_write(live, canary, before, decided.progress, said.form, now)
        if event is not None:
            await told(self._api, event)
        return min(decided.look_again, said.again)

    def _service(self, live: type_json) -> type_json | None:
        name = str(section(live, "spec").get("inferenceService"))
        found = self._caches.services.get(str(metadata_of(live)["namespace"]), name)
        return None if found is None or metadata_of(found).get("deletionTimestamp") else found

    def _siblings(self, live: type_json) -> list[type_json]:
        """Return the rollouts of the same service, this one among them."""
        namespace, name = metadata_of(live)["namespace"], section(live, "spec").get("inferenceService")
        return [
            row
            for row in self._caches.rollouts.all()
            if metadata_of(row).get("namespace") == namespace and section(row, "spec").get("inferenceService") == name
        ]

    def _newer(self, live: type_json) -> str:
        """Return the name of a later rollout of the same service, empty where there is none: the last one asked for counts."""
        mine = _age_of(live)
        newest = max(map(_age_of, self._siblings(live)), default=mine)
        return newest[1] if newest > mine else ""

    async def _seen(self, live: type_json, service: type_json, before: Progress) -> Seen:
        deployment = None
        if not knative_mode(service) and before.phase in ("Promoting", "RollingBack"):
            deployment = await self._deployment(service)
        kept_by = self._caches.services.keeper(service)
        others = self._of_others(live)
        return seen_of(service, revision=before.revision, deployment=deployment, kept_by=kept_by, others=others)

    def _of_others(self, live: type_json) -> frozenset[str]:
        """Return the revisions that rollouts of other versions have seen as theirs."""
        mine = section(live, "spec").get("version")
        found = (row for row in self._siblings(live) if section(row, "spec").get("version") != mine)
        return frozenset(str(section(row, "status").get("revision") or "") for row in found) - {""}

    async def _deployment(self, service: type_json) -> type_json | None:
        """Return the Deployment of the predictor, which says how far its replicas are replaced."""
        meta, named = metadata_of(service), section(service, "spec", "predictor").get("name")
        name = "-".join(str(part) for part in (meta["name"], named, "predictor") if part)
        try:
            return await self._api.read(f"/apis/apps/v1/namespaces/{meta['namespace']}/deployments/{name}")
        except (NotFound, CapabilityMissing, Forbidden):
            return None

    async def _sent(self, write: Write, cache: Objects) -> None:
        cache.take(await self._api.write(write))


def _age_of(rollout: type_json) -> tuple[str, str]:
    """Return what rollouts are in the order of: creation, which the API tells in whole seconds, and the name."""
    meta = metadata_of(rollout)
    return str(meta.get("creationTimestamp")), str(meta.get("name"))


def _left(canary: Canary, before: Progress, newer: str) -> Next:
    fields = {"phase": "Stopped", "reason": "superseded", "observed": canary.observed}
    return Next(progress=before.model_copy(update={**fields, "message": f"CanaryRollout {newer} has taken over."}))


def waits_for(live: type_json) -> bool:
    """Whether a rollout has anything left to do."""
    return section(live, "status").get("phase") not in OVER and not metadata_of(live).get("deletionTimestamp")
