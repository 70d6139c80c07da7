"""What the controllers of serving share: the labels of a release, and since when it has been there."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.life.world import Json, World, annotations_of

MODEL, VERSION = "aiplatform.dev/model", "aiplatform.dev/version"
STABLE_VERSION = "aiplatform.dev/stable-version"


def mark_of(body: Any) -> str:
    """Five characters that change when what is served changes."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:5]


async def first_seen(world: World, service: Json, note: str, mark: str) -> str | None:
    """When this release was first seen, kept in an annotation; None where that is only now."""
    seen = annotations_of(service).get(note, "")
    if seen.startswith(f"{mark} "):
        return seen.split(" ", 1)[1]
    await world.patch(service, {"metadata": {"annotations": {note: f"{mark} {stamp(world.now())}"}}})
    return None
