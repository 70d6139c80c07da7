"""A simple controller for EdgeRollouts: waves in order, soak between them, offline nodes owed until they return.

A node runs a release when it carries the label ``edge.aiplatform.dev/release.<model>`` with the release's version; that
label is all the state a node has, so the controller can stop at any moment and go on.
"""

from __future__ import annotations

from ai_platform_mcp.manifests.edge import release_node_label as release_label
from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.life.pods import ready
from ai_platform_mcp.sandbox.life.world import Json, Place, World, labels_of, with_condition

EDGE = "edge.aiplatform.dev/v1alpha1"
SITE = "edge.aiplatform.dev/site"
REGION = "topology.kubernetes.io/region"
ROLE = "node-role.kubernetes.io/edge"
OVER = frozenset({"Succeeded", "RolledBack", "Stopped"})


async def step(world: World) -> None:
    """Move every rollout on, and say what the nodes answer."""
    nodes = await world.all("v1", "Node")
    for node in nodes:
        world.signals.node(node["metadata"]["name"], ready(node))
    fleet = [node for node in nodes if ROLE in labels_of(node)]
    rollouts = [row for row in await world.all(EDGE, "EdgeRollout") if not row["metadata"].get("deletionTimestamp")]
    taken: dict[str, set[str]] = {}  # by model: nodes that a newer rollout has taken over
    for rollout in sorted(rollouts, key=rank, reverse=True):
        model = rollout["spec"]["model"]
        chosen = members(rollout["spec"], fleet)
        mine = [node for node in chosen if node["metadata"]["name"] not in taken.get(model, set())]
        await world.each([rollout], lambda row, chosen=chosen, mine=mine: _move(world, row, chosen, mine))
        _signal(world, rollout, mine)
        taken.setdefault(model, set()).update(node["metadata"]["name"] for node in chosen)


def rank(rollout: Json) -> tuple[int, str, str]:
    """The order of releases of a model: a higher generation is newer, then the later object."""
    meta = rollout["metadata"]
    return int(rollout["spec"].get("generationOf") or 0), meta["creationTimestamp"], meta["name"]


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


async def _move(world: World, rollout: Json, chosen: list[Json], mine: list[Json]) -> None:
    """Take a rollout on by what is due; ``mine`` are those of its members that no newer rollout has taken over."""
    spec, status = rollout["spec"], dict(rollout.get("status") or {})
    fresh = status.get("observedGeneration") != rollout["metadata"]["generation"]
    if status.get("phase") in OVER and not fresh:
        await _late(world, rollout, status, mine)
        return
    waves = wave_members(spec, chosen)
    names = {node["metadata"]["name"] for node in mine}
    waves = [[node for node in wave if node["metadata"]["name"] in names] for wave in waves]
    if fresh:
        status = _restart(world, rollout, status, waves)
    if chosen and not mine:
        text = "A newer rollout of this model has taken over all of its nodes."
        status |= {"phase": "Stopped", "reason": "superseded", "message": text}
    elif spec.get("paused"):
        status |= {"phase": "Paused", "reason": "user", "message": "Paused by its spec."}
    else:
        if status.get("phase") == "Paused":
            status["waveStartedAt"] = stamp(world.now())  # nobody watched it soak while it was paused
        status = await _advance(world, rollout, status, waves)
    await world.status(rollout, _counted(world, rollout, status, mine))


def _restart(world: World, rollout: Json, status: Json, waves: list[list[Json]]) -> Json:
    """Begin, or after a change of the spec go back to the first wave that it leaves behind."""
    behind = [number for number, wave in enumerate(waves) if any(_lacks(rollout, node) for node in wave if ready(node))]
    wave = min([int(status.get("wave", 0)), len(waves) - 1, *behind])
    moved = "waveStartedAt" not in status or wave != status.get("wave") or wave in behind
    started = stamp(world.now()) if moved else status["waveStartedAt"]
    phase = "Running" if status.get("phase") in OVER else status.get("phase", "Running")
    generation = rollout["metadata"]["generation"]
    return {**status, "observedGeneration": generation, "wave": wave, "waveStartedAt": started, "phase": phase}


def _lacks(rollout: Json, node: Json) -> bool:
    return labels_of(node).get(release_label(rollout["spec"]["model"])) != rollout["spec"]["version"]


async def _bring(world: World, rollout: Json, nodes: list[Json]) -> None:
    """Bring the release to those of the nodes that are there and lack it."""
    label, version = release_label(rollout["spec"]["model"]), rollout["spec"]["version"]
    for node in nodes:
        if (
            ready(node)
            and _lacks(rollout, node)
            and await world.patch(node, {"metadata": {"labels": {label: version}}})
        ):
            node["metadata"].setdefault("labels", {})[label] = version


async def _advance(world: World, rollout: Json, status: Json, waves: list[list[Json]]) -> Json:
    spec, wave = rollout["spec"], int(status["wave"])
    reached = [node for nodes in waves[: wave + 1] for node in nodes]  # nodes of earlier waves may have come back
    await _bring(world, rollout, reached)
    name = spec["waves"][wave]["name"]
    status = {**status, "phase": "Running", "reason": "wave", "message": f"Wave {name} is soaking."}
    if any(ready(node) and _lacks(rollout, node) for node in reached):
        return {**status, "message": f"Wave {name} waits for nodes.", "waveStartedAt": stamp(world.now())}
    if not world.passed(status["waveStartedAt"], float(spec.get("soakSeconds", 600))):
        return status
    if wave + 1 < len(waves):
        world.wake(world.now())
        return {**status, "wave": wave + 1, "waveStartedAt": stamp(world.now())}
    owed = sum(1 for node in reached if _lacks(rollout, node))
    text = f"Every online node runs {spec['version']}" + (f"; {owed} offline nodes are owed it." if owed else ".")
    return {**status, "phase": "Succeeded", "reason": "complete", "message": text}


async def _late(world: World, rollout: Json, status: Json, mine: list[Json]) -> None:
    """Bring a finished release to nodes that were away, as long as no newer rollout has taken them over."""
    if status["phase"] != "Succeeded" or not mine:
        return
    owed = set(status.get("owed") or [])
    await _bring(world, rollout, [node for node in mine if node["metadata"]["name"] in owed])
    await world.status(rollout, _counted(world, rollout, status, mine))


def _counted(world: World, rollout: Json, status: Json, mine: list[Json]) -> Json:
    total = len(mine)
    running = [node for node in mine if not _lacks(rollout, node)]
    away = [node for node in mine if not ready(node) and _lacks(rollout, node)]
    healthy = sum(1 for node in running if ready(node))
    over = status["phase"] in OVER and status["phase"] != "Succeeded"
    status = {
        **status,
        "total": total,
        "healthy": healthy,
        "failed": 0,
        "offline": sum(1 for node in mine if not ready(node)),
        "owed": [] if over else sorted(node["metadata"]["name"] for node in away),
        "nodes": {"committed": healthy, "pending": total - len(running) - len(away), "offlinePending": len(away)},
    }
    done = status["phase"] == "Succeeded"
    reason, text = "Complete" if done else str(status["phase"]), str(status.get("message", ""))
    status = with_condition(status, "Progressing", not done and not over, reason, text, world.now())
    return with_condition(status, "Complete", done, reason, text, world.now())


def _signal(world: World, rollout: Json, mine: list[Json]) -> None:
    """Say what the nodes answer: a node that this rollout has not reached goes on with the release it has."""
    model, namespace = rollout["spec"]["model"], rollout["metadata"]["namespace"]
    for node in mine:
        version = labels_of(node).get(release_label(model))
        if ready(node) and version:
            world.signals.serves(Place(model, namespace, "edge", node["metadata"]["name"]), {version: 1.0})
