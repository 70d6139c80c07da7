"""What route_model writes, in the real LiteLLM proxy: an edge that is dead, hangs, is rate-limited, too small, or busy."""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

import anyio
import httpx
import pytest
import yaml

from ai_platform_mcp.core.plan import Apply
from ai_platform_mcp.domain.lint.engine import check
from ai_platform_mcp.domain.lint.model import Around
from ai_platform_mcp.domain.routing.conversations import LITELLM_HEADER
from ai_platform_mcp.domain.routing.facts import Request
from ai_platform_mcp.domain.routing.latency import Latency
from ai_platform_mcp.domain.routing.observed import Observed
from ai_platform_mcp.manifests.common import Capabilities
from ai_platform_mcp.tools import route_model
from real_servers import free_port, process, wait_for
from real_targets import absent, command, met, on
from support.in_memory import context, readers, version_row
from support.model_servers import Mode, ModelServer, model_server
from support.routing_facts import observed, routing_facts

pytestmark = pytest.mark.timeout(240)
real = on("litellm")

MALWARE = ("1.82.7", "1.82.8")
KEY = "sk-only-for-this-test"
SLO_SECONDS, TALK_SLO_SECONDS = 1.0, 5.0
CASES: dict[str, Mode | None] = {
    "fine": "answers",
    "dead": None,
    "hanging": "hangs",
    "limited": "limited",
    "small": "answers",
    "busy": "answers",
}
LIMITS: dict[str, dict[str, Any]] = {
    "small": {"context_tokens": 64},
    "busy": {"units": 1, "slots_per_unit": 1, "latency": Latency(bounds=(0.89, 0.91), counts=(0, 1000), count=1000)},
}
TWINS = ("talk-a", "talk-b")
BUSY_PER_MINUTE = 66
"""What one slot completes in a minute at 0.9 s each."""


@dataclass(frozen=True)
class Answer:
    by: str
    seconds: float


class Proxy:
    """The running proxy, and the model servers behind it."""

    def __init__(self, url: str, servers: dict[str, ModelServer]) -> None:
        self.url, self.servers = url, servers
        self._client = httpx.Client(timeout=60, trust_env=False, headers={"Authorization": f"Bearer {KEY}"})

    def ask(self, model: str, text: str = "hello", talk: str = "") -> Answer:
        began = time.perf_counter()
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        headers = {LITELLM_HEADER: talk} if talk else {}
        answer = self._client.post(f"{self.url}/v1/chat/completions", json=body, headers=headers)
        taken = time.perf_counter() - began
        assert answer.status_code == 200, answer.text[:500]
        return Answer(answer.json()["choices"][0]["message"]["content"], taken)

    def usual(self) -> float:
        """The seconds that a request may take where nothing is wrong: 100 ms, or twice what a healthy edge takes on this
        machine now, where that is more.
        """
        return max(0.1, 2 * statistics.median(self.ask("fine").seconds for _ in range(5)))

    def close(self) -> None:
        self._client.close()


def config_of(edges: dict[str, str], cloud: str, twins: dict[str, str]) -> dict[str, Any]:
    """What route_model writes for a proxy that serves one model per case, one plan after another; talk has two servers."""
    return anyio.run(_config_of, edges, cloud, twins)


async def _config_of(edges: dict[str, str], cloud: str, twins: dict[str, str]) -> dict[str, Any]:
    spare = observed("cloud", "cloud", 0.1, base_url=cloud, cluster="c1")
    wanted: dict[str, tuple[Observed, ...]] = {
        case: (observed("edge", "edge", 0.1, base_url=url, cluster="c1", **LIMITS.get(case, {})), spare)
        for case, url in edges.items()
    }
    alike = {"failure_domain": "twins", "cluster": "c1", "request_cents": 0.001}
    wanted["talk"] = (*(observed(name, "cloud", 0.1, base_url=url, **alike) for name, url in twins.items()), spare)
    can = Capabilities(kinds=frozenset(("v1/Namespace", "v1/ConfigMap")), kubernetes_minor=36)
    models = [version_row(model, "1") for model in wanted]
    routing = {"proxy": {"keys": dict.fromkeys(("edge", "cloud", *twins), "SERVER_KEY")}}
    config: dict[str, Any] | None = None
    for model, rows in wanted.items():
        world = readers(can, models, objects=[config] if config else [])
        world = replace(world, platform=replace(world.platform, routing=routing))
        slo = TALK_SLO_SECONDS if model == "talk" else SLO_SECONDS
        facts = routing_facts(model, *rows, slo=slo).model_copy(update={"typical": Request()})
        with patch.object(route_model, "read_routing_facts", AsyncMock(return_value=facts)):
            params = route_model.RouteModelParams(model=model, gateway="litellm")
            draft = await route_model.RouteModel().plan(params, world, context())
        step = draft.steps[0]
        assert isinstance(step, Apply)
        config = step.manifest
    return yaml.safe_load(config["data"]["config.yaml"]) if config else {}


def installed_version(program: str) -> str:
    """The version by the names of the environment's folders: the malware ran as soon as its Python started."""
    found = Path(program).resolve().parent.parent.glob("lib/python*/site-packages/litellm-*.dist-info")
    return next((folder.name.removeprefix("litellm-").removesuffix(".dist-info") for folder in found), "")


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    program = command("LITELLM_COMMAND")
    if program is None:
        absent("litellm", "LITELLM_COMMAND names no LiteLLM proxy")
    version = installed_version(program)
    if not version or version in MALWARE:
        pytest.fail(f"litellm {version or 'of unknown version'} is not run: {' and '.join(MALWARE)} were malware")
    met("litellm", f"litellm {version}")
    folder = tmp_path_factory.mktemp("litellm")
    with contextlib.ExitStack() as stack, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else gets the port
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        servers = {case: stack.enter_context(model_server("edge", mode)) for case, mode in CASES.items() if mode}
        cloud = stack.enter_context(model_server("cloud"))
        edges = {case: servers[case].url if case in servers else dead for case in CASES}
        twins = {name: stack.enter_context(model_server(name)) for name in TWINS}
        config = config_of(edges, cloud.url, {name: server.url for name, server in twins.items()})
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        port = free_port()
        line = [program, "--config", folder / "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
        keys = {"LITELLM_MASTER_KEY": KEY, "SERVER_KEY": "any"}
        quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "DISABLE_ADMIN_UI": "True"}
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        environment = {**kept, **keys, **quiet, "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
        with process(folder / "log", *line, cwd=folder, env=environment) as running:
            wait_for(f"http://127.0.0.1:{port}/health/liveliness", running, folder / "log", 180)
            asked = Proxy(f"http://127.0.0.1:{port}", servers | twins | {"cloud": cloud})
            for _ in range(3):
                assert asked.ask("fine").by == "edge"  # its first requests import and connect
            try:
                yield asked
            finally:
                asked.close()


def test_the_configuration_under_test_passes_our_own_lint() -> None:
    url = "http://{}.models.svc:8080/v1"
    twins = {name: url.format(name) for name in TWINS}
    made = config_of(dict.fromkeys(CASES, url.format("edge")), url.format("cloud"), twins)
    assert [finding.code for finding in check(made, Around()) if finding.severity != "info"] == []


@pytest.mark.parametrize("version", [*MALWARE, "1.106.2"])
def test_a_version_is_known_without_running_it(tmp_path: Path, version: str) -> None:
    (tmp_path / f"lib/python3.11/site-packages/litellm-{version}.dist-info").mkdir(parents=True)
    assert installed_version(str(tmp_path / "bin" / "litellm")) == version


@real
def test_a_healthy_edge_answers_everything(proxy: Proxy) -> None:
    assert {proxy.ask("fine").by for _ in range(5)} == {"edge"}


@real
def test_a_dead_edge_costs_two_seconds_at_most_once_and_then_nothing(proxy: Proxy) -> None:
    answers = [proxy.ask("dead") for _ in range(20)]
    told = [round(answer.seconds, 3) for answer in answers]
    assert {answer.by for answer in answers} == {"cloud"}
    assert sum(told[:2]) <= 2, told  # one failure is forgiven, the second opens the circuit
    assert statistics.median(told[2:]) < proxy.usual(), told


@real
def test_a_hanging_edge_costs_its_timeout_twice_and_is_then_left_alone(proxy: Proxy) -> None:
    answers = [proxy.ask("hanging") for _ in range(10)]
    told = [round(answer.seconds, 3) for answer in answers]
    assert {answer.by for answer in answers} == {"cloud"}
    assert proxy.servers["hanging"].calls == 2, told
    assert all(SLO_SECONDS <= seconds <= SLO_SECONDS + 1 for seconds in told[:2]), told
    assert statistics.median(told[2:]) < proxy.usual(), told


@real
def test_a_rate_limited_edge_is_left_alone_and_nobody_sees_a_429(proxy: Proxy) -> None:
    answers = [proxy.ask("limited") for _ in range(10)]
    told = [round(answer.seconds, 3) for answer in answers]
    assert {answer.by for answer in answers} == {"cloud"}
    assert proxy.servers["limited"].calls <= 2, told
    assert statistics.median(told[2:]) < proxy.usual(), told


@real
def test_a_prompt_that_is_too_long_for_the_edge_goes_to_the_cloud_without_asking_it(proxy: Proxy) -> None:
    assert proxy.ask("small").by == "edge"
    before = proxy.servers["small"].calls
    assert {proxy.ask("small", "word " * 500).by for _ in range(3)} == {"cloud"}
    assert proxy.servers["small"].calls == before
    assert proxy.ask("small").by == "edge"


@real
def test_what_an_edge_cannot_complete_in_a_minute_spills_to_the_cloud_without_asking_it(proxy: Proxy) -> None:
    answers = [proxy.ask("busy") for _ in range(BUSY_PER_MINUTE + 14)]
    by = [answer.by for answer in answers]
    assert by == ["edge"] * BUSY_PER_MINUTE + ["cloud"] * 14
    assert proxy.servers["busy"].calls == BUSY_PER_MINUTE
    spilled = [round(answer.seconds, 3) for answer in answers[BUSY_PER_MINUTE:]]
    assert statistics.median(spilled) < proxy.usual(), spilled


@real
def test_a_conversation_keeps_its_server_and_goes_on_when_that_dies_in_the_middle(proxy: Proxy) -> None:
    talks = [f"conversation-{number}" for number in range(12)]
    homes = {talk: [proxy.ask("talk", talk=talk).by for _ in range(4)] for talk in talks}
    assert all(len(set(by)) == 1 for by in homes.values()), homes
    assert {by[0] for by in homes.values()} == set(TWINS), "one server had them all"
    lost, left = TWINS
    proxy.servers[lost].mode = "gone"
    after = {talk: [proxy.ask("talk", talk=talk).by for _ in range(3)] for talk in talks}
    assert all(by[-1] == left for by in after.values()), after
    # until the circuit opens its requests fall back: the conversation goes on, and none of them fails
    assert sum(row != left for by in after.values() for row in by) <= 2, after
    assert {row for by in after.values() for row in by} <= {left, "cloud"}
