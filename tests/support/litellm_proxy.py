"""A real LiteLLM proxy on loopback with what route_model writes for it; skipped, with its reason, where there is none."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

import httpx
import pytest
import yaml

from ai_platform_mcp.core.plan import Apply, Draft
from ai_platform_mcp.domain.routing.conversations import LITELLM_HEADER
from ai_platform_mcp.domain.routing.facts import Request
from ai_platform_mcp.domain.routing.observed import Observed
from ai_platform_mcp.manifests.common import Capabilities
from ai_platform_mcp.tools import route_model
from real_servers import free_port, process, wait_for
from real_targets import absent, command, met
from support.in_memory import context, readers, version_row
from support.model_servers import ModelServer
from support.routing_facts import routing_facts

MALWARE = ("1.82.7", "1.82.8")
KEY = "sk-only-for-this-test"


@dataclass(frozen=True)
class Answer:
    by: str
    seconds: float


class Proxy:
    """The running proxy, and the model servers behind it."""

    def __init__(self, url: str, servers: Mapping[str, ModelServer]) -> None:
        self.url, self.servers = url, servers
        headers = {"Authorization": f"Bearer {KEY}"}
        self._client = httpx.Client(timeout=60, trust_env=False, headers=headers, follow_redirects=True)

    def ask(self, model: str, text: str = "hello", talk: str = "") -> Answer:
        began = time.perf_counter()
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        headers = {LITELLM_HEADER: talk} if talk else {}
        answer = self._client.post(f"{self.url}/v1/chat/completions", json=body, headers=headers)
        taken = time.perf_counter() - began
        assert answer.status_code == 200, answer.text[:500]
        return Answer(answer.json()["choices"][0]["message"]["content"], taken)

    def metrics(self) -> str:
        """What the proxy exports, to who has its key."""
        return self._client.get(f"{self.url}/metrics").raise_for_status().text

    def usual(self) -> float:
        """The seconds that a request may take where nothing is wrong: 100 ms, or twice what a healthy edge takes on this
        machine now, where that is more.
        """
        return max(0.1, 2 * statistics.median(self.ask("fine").seconds for _ in range(5)))

    def close(self) -> None:
        self._client.close()


async def config_of(wanted: Mapping[str, Sequence[Observed]], keys: Sequence[str], slo: Mapping[str, float]) -> Any:
    """What route_model writes for a proxy that serves these models, one plan after another. ``keys`` are the targets that have
    one; ``slo`` is what is promised of a model, by default under the empty name."""
    config: dict[str, Any] | None = None
    for model, rows in wanted.items():
        draft = await planned(model, rows, slo.get(model, slo[""]), keys, [config] if config else [])
        step = draft.steps[0]
        assert isinstance(step, Apply)
        config = step.manifest
    return yaml.safe_load(config["data"]["config.yaml"]) if config else {}


async def planned(
    model: str, rows: Sequence[Observed], slo: float, keys: Sequence[str] = (), live: Sequence[dict[str, Any]] = ()
) -> Draft:
    """What route_model plans for a model of these targets, where those objects are there."""
    can = Capabilities(kinds=frozenset(("v1/Namespace", "v1/ConfigMap")), kubernetes_minor=36)
    world = readers(can, [version_row(model, "1")], objects=list(live))
    routing = {"proxy": {"keys": dict.fromkeys(keys, "SERVER_KEY")}}
    world = replace(world, platform=replace(world.platform, routing=routing))
    facts = routing_facts(model, *rows, slo=slo).model_copy(update={"typical": Request()})
    with patch.object(route_model, "read_routing_facts", AsyncMock(return_value=facts)):
        params = route_model.RouteModelParams(model=model, gateway="litellm")
        return await route_model.RouteModel().plan(params, world, context())


def installed(program: str, package: str = "litellm") -> str:
    """A package's version by the names of the environment's folders: the malware ran as soon as its Python started."""
    found = Path(program).resolve().parent.parent.glob(f"lib/python*/site-packages/{package}-*.dist-info")
    return next((folder.name.removeprefix(f"{package}-").removesuffix(".dist-info") for folder in found), "")


def program() -> str:
    """The proxy to start."""
    named = command("LITELLM_COMMAND")
    if named is None:
        absent("litellm", "LITELLM_COMMAND names no LiteLLM proxy")
    version = installed(named)
    if not version or version in MALWARE:
        pytest.fail(f"litellm {version or 'of unknown version'} is not run: {' and '.join(MALWARE)} were malware")
    if not installed(named, "prometheus_client"):
        absent("litellm", "the environment of LITELLM_COMMAND has no prometheus-client")
    met("litellm", f"litellm {version}")
    return named


@contextlib.contextmanager
def running_proxy(folder: Path, config: Any, servers: Mapping[str, ModelServer]) -> Iterator[Proxy]:
    """Start the proxy with a configuration, and end it."""
    named = program()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    line = [named, "--config", folder / "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    keys = {"LITELLM_MASTER_KEY": KEY, "SERVER_KEY": "any"}
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "DISABLE_ADMIN_UI": "True"}
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environment = {**kept, **keys, **quiet, "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    with process(folder / "log", *line, cwd=folder, env=environment) as running:
        wait_for(f"http://127.0.0.1:{port}/health/liveliness", running, folder / "log", 180)
        asked = Proxy(f"http://127.0.0.1:{port}", servers)
        try:
            yield asked
        finally:
            asked.close()
