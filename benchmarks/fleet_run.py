"""One run of the fleet simulator: a seed, a fleet, a rollout, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import random
import tempfile
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from ai_platform_mcp.controllers.edge.daemon_sets import EDGE_TOLERATION
from ai_platform_mcp.domain.analysis.asked import analysis_for
from ai_platform_mcp.domain.fleet import SITES_CONFIG_MAP, SITES_NAMESPACE, Member
from ai_platform_mcp.domain.waves import plan_waves, tolerated_failures, usual_canary
from ai_platform_mcp.manifests.common import Capabilities, Compute, Origin
from ai_platform_mcp.manifests.edge import (
    API,
    REGION_LABEL,
    SITE_LABEL,
    GoldenInputs,
    Release,
    Rollout,
    SiteService,
    Wave,
    edge_rollout,
    release_daemon_set,
    release_node_label,
)
from ai_platform_mcp.sandbox.kube.store import Store, Write, open_store
from ai_platform_mcp.sandbox.seed import edge_places
from ai_platform_mcp.tools._rollout import SOAK_SECONDS
from benchmarks.fleet_controllers import Process, without_jitter
from benchmarks.fleet_faults import Script, script
from benchmarks.fleet_life import Life
from benchmarks.fleet_nodes import Device
from benchmarks.fleet_pods import Json
from benchmarks.fleet_score import Score, Witness
from benchmarks.fleet_server import Server, served
from benchmarks.fleet_time import BEGIN as WORLD
from benchmarks.fleet_time import HandClock, HandLoop, by_hand
from benchmarks.fleet_traffic import Traffic, scraped
from benchmarks.fleet_windows import told

NAMESPACE, MODEL, OLD, NEW = "vision-prod", "vision", "1", "2"
BEGIN = 600.0
"""Seconds for which the fleet runs the release before, undisturbed for the first half, until the rollout is asked for."""
INPUTS = "sha256:" + hashlib.sha256(b"golden inputs").hexdigest()
ANSWER_AFTER = 1800.0
"""Seconds that a person takes to answer a pause that nobody asked for."""
CALM, LONGEST = 900.0, 48 * 3600.0
"""A run ends when nothing has been due or under way for so many seconds; one that does not come to rest is ended."""
REST = 600.0
"""Seconds at rest in which requests are counted; every node says twice in them that nothing has changed."""


def release(version: str) -> Release:
    """Return a release of the simulated model."""
    digest = "sha256:" + hashlib.sha256(f"{MODEL}-{version}".encode()).hexdigest()
    return Release(model=MODEL, version=version, digest=digest, image=f"registry.example/{MODEL}@{digest}")


def places(nodes: int) -> list[tuple[str, str, str]]:
    """Return name, site and region of every node: the sandbox's fleet, or one of sites of two to eight nodes."""
    found = list(edge_places())
    if nodes == len(found):
        return found
    found.clear()
    sizes = random.Random(f"sites-{nodes}")
    site = 0
    while len(found) < nodes:
        region = ("us-south", "us-east", "eu-west", "ap-south")[site % 4]
        size = min(sizes.randint(2, 8), nodes - len(found))
        found += [(f"edge-{region}-{site}-{number:02d}", f"{region}-{site}", region) for number in range(size)]
        site += 1
    return found


@dataclass
class World:
    """What a run works on."""

    seed: int
    store: Store
    server: Server
    life: Life
    script: Script
    clock: HandClock
    loop: HandLoop
    witness: Witness
    metrics: str = ""
    """Where the metrics store is; empty where there is none."""
    counts: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])

    @property
    def since(self) -> float:
        """Seconds since the rollout was asked for."""
        return self.loop.moment - BEGIN

    async def rollout(self) -> Json:
        """Read the rollout."""
        return await self.store.get(API, "EdgeRollout", f"{MODEL}-{NEW}", NAMESPACE)

    async def change(self, **spec: Any) -> None:
        """Change the rollout's spec, as a person does."""
        await self.store.patch(API, "EdgeRollout", f"{MODEL}-{NEW}", {"spec": spec}, NAMESPACE)


def run(seed: int, nodes: int) -> Score:
    """Run a seed over a fleet of so many nodes."""
    logging.getLogger("ai_platform_mcp").setLevel(logging.CRITICAL)  # what fails here is made to fail
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        score = anyio.run(_run, seed, nodes, Path(folder), backend_options={"loop_factory": HandLoop})
    score.wall_seconds = time.perf_counter() - began
    return score


async def _run(seed: int, nodes: int, folder: Path) -> Score:
    with by_hand() as (loop, clock), without_jitter():
        async with open_store(None, clock) as store, served(store, folder) as server:
            where = places(nodes)
            asked = WORLD.hour * 60 + WORLD.minute + round(BEGIN / 60)
            fates = script(seed, [name for name, _, _ in where], sorted({site for _, site, _ in where}), asked)
            life = Life(store, loop, clock, NAMESPACE, fates, seed, BEGIN)
            witness = Witness(life, store, loop, MODEL, release(NEW), BEGIN, fates.windows)
            world = World(seed, store, server, life, fates, clock, loop, witness)
            living = [asyncio.create_task(step) for step in (life.run(), life.leases())]
            await _furnish(world, where)
            try:
                async with _measured(world, living) as world.metrics:
                    await anyio.sleep(BEGIN / 2)
                    life.befall()
                    await anyio.sleep(BEGIN / 2)
                    return await _rolled(world, where)
            finally:
                for task in living:
                    task.cancel()


@contextlib.asynccontextmanager
async def _measured(world: World, living: list[asyncio.Task[None]]) -> AsyncGenerator[str]:
    """Have calls counted and a metrics store answer, where the rollout is going to ask for analysis."""
    if not world.script.analysed:
        yield ""
        return
    labels = {"model": MODEL, "namespace": NAMESPACE, "target": "edge"}
    traffic = Traffic(world.loop, world.life.devices, labels, NEW, world.script.bad, world.seed)
    living.append(asyncio.create_task(traffic.run()))
    async with scraped(traffic, world.loop, world.clock) as url:
        yield url


async def _furnish(world: World, where: list[tuple[str, str, str]]) -> None:
    """A fleet that runs the release before."""
    store, life = world.store, world.life
    await store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for name, site, region in where:
        fate = world.script.fates[name]
        chance = random.Random(f"node-{world.seed}-{name}")
        device = life.devices[name] = Device(name, site, fate, life, NEW, world.script.bad, chance)
        device.images.add(release(OLD).image or "")
        life.labels[name] = {
            "node-role.kubernetes.io/edge": "",
            "kubernetes.io/hostname": name,
            SITE_LABEL: site,
            REGION_LABEL: region,
        }
        await life.register(name, **{release_node_label(MODEL): OLD})
    if world.script.windows:
        meta = {"name": SITES_CONFIG_MAP, "namespace": SITES_NAMESPACE}
        rules = {site: json.dumps({"maintenance_window_utc": told(*row)}) for site, row in world.script.windows.items()}
        await store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SITES_NAMESPACE}})
        await store.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": rules})
    service = SiteService(release=release(OLD), namespace=NAMESPACE, compute=Compute(tolerations=(EDGE_TOLERATION,)))
    origin = Origin(model=MODEL, version=OLD, model_digest=release(OLD).digest)
    await store.apply(release_daemon_set(service, origin), Write(manager="ai-platform-mcp-controller"))


def _asked(world: World, where: list[tuple[str, str, str]]) -> Json:
    """Return the rollout that deploy_model applies in production, but for what differs by seed: whether there is analysis."""
    devices = world.life.devices
    members = [
        Member(node=name, site=site, region=region, online=devices[name].reached) for name, site, region in where
    ]
    waves = plan_waves(members, usual_canary(len(members)))
    asked = Rollout(
        name=f"{MODEL}-{NEW}",
        namespace=NAMESPACE,
        release=release(NEW),
        waves=tuple(Wave(name=row.name, sites=row.sites, canary=row.canary) for row in waves),
        sites=tuple(sorted({site for _, site, _ in where})),
        soak_seconds=SOAK_SECONDS["production"],
        generation=1,
        rollback_to=release(OLD),
        golden_inputs=GoldenInputs(uri=f"oci://registry.example/{MODEL}-golden@{INPUTS}", digest=INPUTS),
        analysis=analysis_for(("errors", "slow")).manifest() if world.script.analysed else None,
        stage=world.script.staged,
        max_failures=tolerated_failures(len(members)),
    )
    can = Capabilities(kinds=frozenset({f"{API}/EdgeRollout"}), kubernetes_minor=36)
    origin = Origin(model=MODEL, version=NEW, model_digest=release(NEW).digest, environment="production")
    return edge_rollout(asked, origin, can)


async def _rolled(world: World, where: list[tuple[str, str, str]]) -> Score:
    """Ask for the rollout, let everything happen, and score what came of it."""
    live = await world.store.create(_asked(world, where))
    world.witness.begin(live)
    world.server.dies = world.script.api_restart
    first = Process(world.server.kubeconfig, NAMESPACE, world.clock, world.script.kills, world.metrics)
    async with anyio.create_task_group() as group:
        group.start_soon(first.run)
        group.start_soon(_second, world)
        group.start_soon(_person, world)
        await _at_rest(world)
        world.counts["rollout"] = dict(world.server.counts)
        await _heartbeats(world)
        world.counts["all"] = dict(world.server.counts)
        group.cancel_scope.cancel()
    return world.witness.score(world.seed, world.script, world.counts, first.killed, world.server.deaths)


async def _second(world: World) -> None:
    """A second controller that believes that it is the only one, for a while."""
    if world.script.second is None:
        return
    begin, end = world.script.second
    await anyio.sleep(begin)
    with anyio.move_on_after(end - begin):
        await Process(world.server.kubeconfig, NAMESPACE, world.clock, (), world.metrics).run()


async def _person(world: World) -> None:
    """Pauses and resumes where the script says so, and answers pauses: what is good goes on, what is bad stays held."""
    if world.script.pause is not None:
        begin, end = world.script.pause
        await anyio.sleep(begin)
        await world.change(paused=True)
        await anyio.sleep(end - begin)
        await world.change(paused=False)
    while True:
        await anyio.sleep(ANSWER_AFTER)
        status = (await world.rollout()).get("status") or {}
        if status.get("phase") == "Paused" and status.get("reason") != "user" and world.script.bad is None:
            world.witness.answers += 1
            await world.change(accepted={"failures": status.get("failed", 0), "wave": status.get("wave", 0)})


async def _at_rest(world: World) -> None:
    """Return when nothing more comes: every absence is over, nothing is under way, and the rollout stays as it is."""
    least = max(world.script.last, world.script.pause[1] if world.script.pause else 0.0, 600.0)
    calm = 0.0
    seen = ""
    while calm < CALM and world.since < LONGEST:
        await anyio.sleep(60.0)
        status = (await world.rollout()).get("status") or {}
        text = json.dumps(status, sort_keys=True)
        held = status.get("phase") == "Paused" and world.script.bad is None
        over = status.get("phase") in ("Succeeded", "RolledBack", "Stopped", "Paused") and not held
        quiet = over and text == seen and world.since > least and not any(world.life.busy())
        calm, seen = (calm + 60.0 if quiet else 0.0), text


async def _heartbeats(world: World) -> None:
    """Ten minutes at rest in which nodes say what kubelets say when nothing happens."""
    names = sorted(world.life.devices)
    for place, name in enumerate(names):
        for turn in range(2):
            world.life.after((place / len(names) + turn) * REST / 2, lambda name=name: world.life.heartbeat(name))
    await anyio.sleep(REST)
