"""Which of several controllers looks: the one that holds a Lease.

A Lease and not kopf's peering: peering needs a CRD of its own and access to it, and decides by priorities that every process
announces; a Lease is built in, is what client-go's controllers use, and shows with ``kubectl get lease``. The rules are
client-go's: a holder counts until its record has not changed for the lease's duration *as seen from here*, so that clocks that
differ do not matter. Source: https://pkg.go.dev/k8s.io/client-go/tools/leaderelection
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

import anyio

from ai_platform_mcp.controllers.edge.ports import Api, Write
from ai_platform_mcp.core.errors import Conflict, NotFound, PlatformError
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.objects import metadata_of, section, whole

_log = logging.getLogger(__name__)
DURATION, RENEW, RETRY = 15.0, 10.0, 2.0
"""Seconds: how long a lease holds, within which it must have been renewed, and between attempts (client-go's defaults)."""


class Election:
    """Tries to hold the lease. ``leads`` turns false before anybody else may take it."""

    def __init__(self, api: Api, namespace: str, name: str, identity: str, clock: Callable[[], float] = time.monotonic):
        self._api = api
        self._namespace, self._name, self._identity = namespace, name, identity
        self._clock = clock
        self._renewed = float("-inf")
        self._record: object = None
        self._record_seen = 0.0
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"

    @property
    def leads(self) -> bool:
        """Whether the lease is held, with the time a request takes to spare."""
        return self._clock() - self._renewed < RENEW

    async def run(self, elected: Callable[[], None]) -> None:
        """Hold or wait for the lease until cancelled, then give it back; ``elected`` is called whenever it has been won."""
        try:
            while True:
                led = self.leads
                await self.attempt()
                if self.leads and not led:
                    _log.warning("%s leads", self._identity)
                    elected()
                elif led and not self.leads:
                    _log.warning("%s leads no longer", self._identity)
                await anyio.sleep(RETRY)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(RETRY):
                await self._give_back()

    async def attempt(self) -> None:
        """Take or renew the lease if it may be had now."""
        began = self._clock()
        try:
            with anyio.fail_after(RENEW / 2):
                if await self._took():
                    self._renewed = began
                else:
                    self._renewed = float("-inf")
        except Conflict:
            self._renewed = float("-inf")
        except (PlatformError, TimeoutError) as problem:
            _log.info("the lease could not be renewed: %s", problem)

    async def _took(self) -> bool:
        try:
            lease = await self._api.read(f"{self._path}/{self._name}")
        except NotFound:
            await self._api.write(Write(verb="create", path=self._path, body=self._lease({}), why="take the lease"))
            return True
        spec = section(lease, "spec")
        record = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != self._record:
            self._record, self._record_seen = record, self._clock()
        holder = spec.get("holderIdentity")
        holds = self._clock() - self._record_seen < whole(spec.get("leaseDurationSeconds") or DURATION)
        if holder and holder != self._identity and holds:
            return False
        path = f"{self._path}/{self._name}"
        await self._api.write(Write(verb="replace", path=path, body=self._lease(lease), why="hold the lease"))
        return True

    def _lease(self, before: type_json) -> type_json:
        spec, now = section(before, "spec"), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        stays = spec.get("holderIdentity") == self._identity
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata_of(before) or {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": int(DURATION),
                "acquireTime": spec.get("acquireTime") if stays else now,
                "renewTime": now,
                "leaseTransitions": whole(spec.get("leaseTransitions")) + (0 if stays or not spec else 1),
            },
        }

    async def _give_back(self) -> None:
        """Let the next one take over at once."""
        if not self.leads:
            return
        self._renewed = float("-inf")
        try:
            lease = await self._api.read(f"{self._path}/{self._name}")
            if section(lease, "spec").get("holderIdentity") == self._identity:
                free = {**lease, "spec": {**section(lease, "spec"), "holderIdentity": "", "leaseDurationSeconds": 1}}
                path = f"{self._path}/{self._name}"
                await self._api.write(Write(verb="replace", path=path, body=free, why="give the lease back"))
        except PlatformError as problem:
            _log.info("the lease could not be given back: %s", problem)
