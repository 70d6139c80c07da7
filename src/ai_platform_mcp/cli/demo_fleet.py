"""The demo's edge scenes: a rollout watched wave by wave, a node that comes back, and a release that is bad."""

from __future__ import annotations

import time
from typing import Any

import anyio
from rich.markup import escape

from ai_platform_mcp.cli.output import Output
from ai_platform_mcp.core.errors import Unavailable
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.objects import metadata_of, rows, section, whole
from ai_platform_mcp.sandbox import faulting
from ai_platform_mcp.sandbox.process import Status

API = "edge.aiplatform.dev/v1alpha1"
MODEL_LABEL = "aiplatform.dev/model"
LOOK_SECONDS = 0.25
PATIENCE_SECONDS = 60.0
ENDS = frozenset({"Succeeded", "RolledBack", "Stopped", "Paused"})


class Fleet:
    """Watches rollouts in the sandbox, and lets things go wrong in it."""

    def __init__(self, readers: Readers, sandbox: Status, output: Output):
        self._readers = readers
        self._sandbox = sandbox
        self._output = output

    async def newest(self, model: str, namespace: str) -> type_json | None:
        """Return the newest rollout of a model, None where there is none."""
        label = f"{MODEL_LABEL}={model}"
        page = await self._readers.clusters.list("sandbox", API, "EdgeRollout", namespace=namespace, labels=label)
        return max(page.items, key=lambda row: whole(section(row, "spec").get("generationOf")), default=None)

    async def rollout(self, model: str, namespace: str) -> type_json:
        """Return the newest rollout of a model.

        Raises:
            Unavailable: there is none.
        """
        found = await self.newest(model, namespace)
        if found is None:
            raise Unavailable(f"There is no rollout of {model} in {namespace}.")
        return found

    async def watch(self, model: str, namespace: str) -> type_json:
        """Tell a rollout wave by wave until it ends or stops; return it.

        Raises:
            Unavailable: it did neither within the demo's patience.
        """
        told, live = "", await self.rollout(model, namespace)
        with anyio.move_on_after(PATIENCE_SECONDS):
            while section(live, "status").get("phase") not in ENDS:
                line = _line(live)
                if line and line != told:
                    self._output.say(f"  {escape(line)}")
                    told = line
                await anyio.sleep(LOOK_SECONDS)
                live = await self.rollout(model, namespace)
        if section(live, "status").get("phase") not in ENDS:
            name = metadata_of(live)["name"]
            raise Unavailable(f"Rollout {name} did not end.", cause=str(section(live, "status").get("message", "")))
        return live

    def end(self, live: type_json) -> dict[str, Any]:
        """Tell how a rollout stands, with the nodes that are owed it, by name."""
        status = section(live, "status")
        owed = [str(name) for name in status.get("owed") or []]
        counts = f"{whole(status.get('healthy'))} of {whole(status.get('total'))} nodes run it"
        self._output.say(f"  [green]✓ {escape(str(status.get('phase')))}[/green]  {counts}")
        if owed:
            self._output.say(
                f"  [yellow]owed[/yellow]      {escape(', '.join(owed))}: offline; they get it when they return"
            )
        return {"phase": status.get("phase"), "healthy": whole(status.get("healthy")), "owed": owed}

    async def comes_back(self, model: str, namespace: str, node: str) -> dict[str, Any]:
        """Bring an offline node back, and wait until it has got what it is owed.

        Raises:
            Unavailable: it did not converge within the demo's patience.
        """
        began = time.monotonic()
        await faulting.on_node(self._sandbox, node, [])
        live = await self.rollout(model, namespace)
        with anyio.move_on_after(PATIENCE_SECONDS):
            while _misses(live, node):
                await anyio.sleep(LOOK_SECONDS)
                live = await self.rollout(model, namespace)
        if _misses(live, node):
            raise Unavailable(f"Node {node} came back and did not converge.")
        seconds = time.monotonic() - began
        self._output.say(f"  [green]✓[/green] {escape(node)} came back, and {seconds:.0f} s later it runs the release")
        return {"node": node, "seconds": round(seconds, 1)}

    async def break_release(self, model: str, version: str) -> None:
        """Make a release crash on every node."""
        fault = {"kind": "crash-loop", "model": model, "version": version}
        await faulting.everywhere(self._sandbox, f"demo-{model}", [fault])


def _misses(live: type_json, node: str) -> bool:
    """Whether the node lacks the release: it is owed it, or is one of those on their way."""
    status = section(live, "status")
    counts = section(status, "nodes")
    moving = sum(whole(counts.get(state)) for state in ("pending", "staged", "downloading", "verified", "activating"))
    return node in (status.get("owed") or []) or moving + whole(counts.get("probation")) > 0


def _line(live: type_json) -> str:
    """One line of a rollout under way: its wave, and how many nodes run the release healthily by now."""
    status, waves = section(live, "status"), rows(live, "spec", "waves")
    if not status.get("total") or not waves:
        return ""
    place = min(whole(status.get("wave")), len(waves) - 1)
    name = f"wave {place + 1}/{len(waves)} {waves[place].get('name')}"
    failed = f", {whole(status.get('failed'))} failed" if status.get("failed") else ""
    return f"{name:<22}{whole(status.get('healthy')):>3} of {whole(status.get('total'))} nodes run it{failed}"
