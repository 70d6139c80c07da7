"""KServe: LLMInferenceServices become ready, and those of one routing group share their model's traffic by weight.

Every member is alike: a weight is a share of the sum of the ready members' weights, and each member's status lists the group
(KServe v0.20). A new weight moves traffic and restarts nothing.
"""

from __future__ import annotations

from ai_platform_mcp.sandbox.life.conduct import in_cloud
from ai_platform_mcp.sandbox.life.faults import Faults
from ai_platform_mcp.sandbox.life.release import MODEL, VERSION, first_seen, mark_of
from ai_platform_mcp.sandbox.life.world import Json, Place, World, labels_of, with_condition

API = "serving.kserve.io/v1alpha2"
KIND = "LLMInferenceService"
START_SECONDS = 180
SEEN = "sandbox.aiplatform.dev/predictor-seen"
GROUP_LABEL = "serving.kserve.io/routing-group"
ALONE = 100
"""The weight that counts for a service in no group."""


async def step(world: World, faults: Faults) -> None:
    """Bring every language model to where KServe would have it by now."""
    services = [row for row in await world.all(API, KIND) if not row["metadata"].get("deletionTimestamp")]
    groups: dict[tuple[str, str], list[Json]] = {}
    for service in services:
        groups.setdefault((service["metadata"]["namespace"], _group(service)), []).append(service)
    ready: set[str] = set()
    for (_, name), members in groups.items():

        async def move(service: Json, name: str = name, members: list[Json] = members) -> None:
            if await _is_up(world, service, name, members):
                ready.add(service["metadata"]["uid"])

        await world.each(members, move)
    _signal(world, services, ready, faults)


def _route(service: Json) -> Json:
    return (service["spec"].get("router") or {}).get("route") or {}


def _group(service: Json) -> str:
    """The group a service is in; one that is in none stands for itself under a name that no group can have."""
    return _route(service).get("group") or f"/{service['metadata']['name']}"


def _weight(service: Json) -> int:
    return int(_route(service).get("weight", ALONE))


async def _is_up(world: World, service: Json, group: str, members: list[Json]) -> bool:
    """Move one service on, and tell whether it answers by now."""
    meta, now = service["metadata"], world.now()
    pods = {key: value for key, value in service["spec"].items() if key != "router"}
    status: Json = {**(service.get("status") or {}), "observedGeneration": meta["generation"]}
    status.pop("router", None)
    if not group.startswith("/"):
        await _labelled(world, service, group)
        rows = [{"name": row["metadata"]["name"], "weight": _weight(row)} for row in members]
        status["router"] = {"group": {"name": group, "members": sorted(rows, key=lambda row: row["name"])}}
        status = with_condition(status, "GroupReady", True, "", "", now)
    since = await first_seen(world, service, SEEN, mark_of(pods))
    up = since is not None and world.passed(since, START_SECONDS)
    if not up:
        for kind in ("WorkloadsReady", "Ready"):
            status = with_condition(status, kind, False, "WorkloadNotReady", "The model is loading", now)
    else:
        status["url"] = f"http://{meta['name']}.{meta['namespace']}.sandbox.local"
        status["addresses"] = [{"url": status["url"]}]
        for kind in ("WorkloadsReady", "RouterReady", "Ready"):
            status = with_condition(status, kind, True, "", "", now)
    await world.status(service, status)
    return up


async def _labelled(world: World, service: Json, group: str) -> None:
    """Set the label that KServe's webhook sets, by which members find each other."""
    if labels_of(service).get(GROUP_LABEL) != group:
        await world.patch(service, {"metadata": {"labels": {GROUP_LABEL: group}}})


def _signal(world: World, services: list[Json], ready: set[str], faults: Faults) -> None:
    """Say which version gets which share of each model's traffic; one that is being replaced goes on with what it had."""
    places: dict[Place, list[Json]] = {}
    for service in services:
        if MODEL in labels_of(service):
            place = Place(labels_of(service)[MODEL], service["metadata"]["namespace"])
            places.setdefault(place, []).append(service)
    for place, members in places.items():
        up = [row for row in members if row["metadata"]["uid"] in ready]
        replaced = [row for row in members if row not in up and "url" in (row.get("status") or {})]
        total = sum(_weight(row) for row in up)
        if replaced or not total:
            world.signals.keeps(place)
            continue
        shares: dict[str, float] = {}
        for row in up:
            version = labels_of(row).get(VERSION, "unknown")
            shares[version] = shares.get(version, 0.0) + _weight(row) / total
        world.signals.serves(place, shares, in_cloud(faults, place.model, shares))
