"""A simple controller for EdgeRollouts: waves in order, soak between them, offline nodes owed until they return.

A node runs a release when it carries the label ``edge.aiplatform.dev/release.<model>`` with the release's version; that
label is all the state a node has, so the controller can stop at any moment and go on.
"""

from __future__ import annotations

from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.life.pods import ready
from ai_platform_mcp.sandbox.life.world import Json, World, labels_of, with_condition

EDGE = "edge.aiplatform.dev/v1alpha1"
SITE = "edge.aiplatform.dev/site"
REGION = "topology.kubernetes.io/region"
ROLE = "node-role.kubernetes.io/edge"
OVER = frozenset({"Succeeded", "RolledBack", "Stopped"})


async def step(world: World) -> None:
    """Move every rollout on."""
    nodes = [node for node in await world.all("v1", "Node") if ROLE in labels_of(node)]
    rollouts = await world.all(EDGE, "EdgeRollout")
    for rollout in rollouts:
        if not rollout["metadata"].get("deletionTimestamp"):
            await _move(world, rollout, nodes)


def release_label(model: str) -> str:
    """The node label that says which release of a model runs there."""
    return f"edge.aiplatform.dev/release.{model}"


def members(spec: Json, nodes: list[Json]) -> list[Json]:
    """The nodes a rollout concerns: its selector, narrowed by sites and regions, in a stable order."""
    wanted: dict[str, str] = (spec.get("selector") or {}).get("matchLabels") or {}
    sites, regions = spec.get("sites") or [], spec.get("regions") or []
    chosen = [
        node
        for node in nodes
        if all(labels_of(node).get(key) == value for key, value in wanted.items())
        and (not sites or labels_of(node).get(SITE) in sites)
        and (not regions or labels_of(node).get(REGION) in regions)
    ]
    return sorted(chosen, key=lambda node: (labels_of(node).get(SITE, ""), node["metadata"]["name"]))


def wave_members(spec: Json, chosen: list[Json]) -> list[list[Json]]:
    """The nodes of each wave: those of its sites, or as many as reach its percentage by its end."""
    waves: list[list[Json]] = []
    left = list(chosen)
    for wave in spec["waves"]:
        if wave.get("sites"):
            mine = [node for node in left if labels_of(node).get(SITE) in wave["sites"]]
        else:
            reach = -(-len(chosen) * int(wave["percent"]) // 100)
            mine = left[: max(0, reach - (len(chosen) - len(left)))]
        names = {node["metadata"]["name"] for node in mine}
        left = [node for node in left if node["metadata"]["name"] not in names]
        waves.append(mine)
    if left and waves:
        waves[-1] += left
    return waves


async def _move(world: World, rollout: Json, nodes: list[Json]) -> None:
    spec, status = rollout["spec"], dict(rollout.get("status") or {})
    generation = rollout["metadata"]["generation"]
    if status.get("phase") in OVER and status.get("observedGeneration") == generation:
        await _late(world, rollout, members(spec, nodes))
        return
    now = world.now()
    chosen = members(spec, nodes)
    waves = wave_members(spec, chosen)
    if status.get("observedGeneration") != generation or "waveStartedAt" not in status:
        status |= {"observedGeneration": generation, "waveStartedAt": status.get("waveStartedAt", stamp(now))}
        status.setdefault("wave", 0)
    if spec.get("paused"):
        status |= {"phase": "Paused", "reason": "user", "message": "Paused by its spec."}
    else:
        status = await _advance(world, rollout, status, waves)
    await world.status(rollout, _counted(world, rollout, status, chosen))
    _signal(world, rollout, chosen)


async def _advance(world: World, rollout: Json, status: Json, waves: list[list[Json]]) -> Json:
    spec, wave = rollout["spec"], int(status["wave"])
    version = spec["version"]
    label = release_label(spec["model"])
    mine = waves[wave] if wave < len(waves) else []
    online = [node for node in mine if ready(node)]
    for node in online:
        if labels_of(node).get(label) != version:
            await world.patch(node, {"metadata": {"labels": {label: version}}})
            node["metadata"].setdefault("labels", {})[label] = version
    status |= {"phase": "Running", "reason": "wave", "message": f"Wave {spec['waves'][wave]['name']} is soaking."}
    if not world.passed(status["waveStartedAt"], float(spec.get("soakSeconds", 600))):
        return status
    if wave + 1 < len(waves):
        return {**status, "wave": wave + 1, "waveStartedAt": stamp(world.now())}
    owed = [node["metadata"]["name"] for wave_nodes in waves for node in wave_nodes if not ready(node)]
    text = f"Every online node runs {version}" + (f"; {len(owed)} offline nodes are owed it." if owed else ".")
    return {**status, "phase": "Succeeded", "reason": "complete", "message": text}


async def _late(world: World, rollout: Json, chosen: list[Json]) -> None:
    """Bring a finished release to nodes that were away, unless another rollout has moved them on."""
    status: Json = dict(rollout["status"])
    owed = set(status.get("owed") or [])
    label, version = release_label(rollout["spec"]["model"]), rollout["spec"]["version"]
    back = [node for node in chosen if node["metadata"]["name"] in owed and ready(node)]
    for node in back:
        await world.patch(node, {"metadata": {"labels": {label: version}}})
        node["metadata"].setdefault("labels", {})[label] = version
    if back:
        await world.status(rollout, _counted(world, rollout, status, chosen))


def _counted(world: World, rollout: Json, status: Json, chosen: list[Json]) -> Json:
    label, version = release_label(rollout["spec"]["model"]), rollout["spec"]["version"]
    running = [node for node in chosen if labels_of(node).get(label) == version]
    away = [node for node in chosen if not ready(node) and labels_of(node).get(label) != version]
    healthy = sum(1 for node in running if ready(node))
    status |= {
        "total": len(chosen),
        "healthy": healthy,
        "failed": 0,
        "offline": sum(1 for node in chosen if not ready(node)),
        "owed": sorted(node["metadata"]["name"] for node in away),
        "nodes": {"committed": healthy, "pending": len(chosen) - len(running) - len(away), "offlinePending": len(away)},
    }
    done = status.get("phase") == "Succeeded"
    reason = "Complete" if done else str(status.get("phase", "Running"))
    status = with_condition(status, "Progressing", not done, reason, str(status.get("message", "")), world.now())
    return with_condition(status, "Complete", done, reason, str(status.get("message", "")), world.now())


def _signal(world: World, rollout: Json, chosen: list[Json]) -> None:
    model, version = rollout["spec"]["model"], rollout["spec"]["version"]
    for node in chosen:
        if ready(node) and labels_of(node).get(release_label(model)) == version:
            world.signals.traffic(
                model, rollout["metadata"]["namespace"], "edge", node["metadata"]["name"], {version: 1.0}
            )
