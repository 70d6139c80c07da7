"""What the watches have brought so far: CanaryRollouts and InferenceServices, and which rollouts something has changed for."""

from __future__ import annotations

from collections.abc import Callable

from ai_platform_mcp.controllers.edge.caches import Objects, key_of
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.canary.observe import keeper_of
from ai_platform_mcp.domain.objects import metadata_of


class Services(Objects):
    """InferenceServices, and which GitOps tool keeps each: ``managedFields`` tell, which are not kept."""

    def __init__(self, changed: Callable[[type_json], None]):
        super().__init__(_of_service, changed)
        self._keepers: dict[str, str] = {}

    def put(self, key: str, live: type_json) -> None:
        """Take a service."""
        self._keepers[key] = keeper_of(live)
        super().put(key, live)

    def drop(self, key: str) -> None:
        """Forget a service."""
        self._keepers.pop(key, None)
        super().drop(key)

    def keeper(self, live: type_json) -> str:
        """Return the GitOps tool that would put back what is changed in a service, empty where there is none."""
        return self._keepers.get(key_of(live), "")


class Caches:
    """Both kinds. ``changed`` hears which namespace something has changed in."""

    def __init__(self, changed: Callable[[str], None]):
        def of(live: type_json) -> None:
            changed(str(metadata_of(live).get("namespace") or ""))

        self.rollouts = Objects(_of_rollout, of)
        self.services = Services(of)


def _of_service(live: type_json) -> object:
    meta = metadata_of(live)
    return meta.get("uid"), meta.get("labels"), meta.get("annotations"), live.get("spec"), live.get("status")


def _of_rollout(live: type_json) -> object:
    meta = metadata_of(live)
    return meta.get("uid"), meta.get("generation"), meta.get("deletionTimestamp"), live.get("status")
