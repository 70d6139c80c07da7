"""From a bearer token over HTTP to the API server and back: each caller is who their token says, and the token stays unseen."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from ai_platform_mcp.cli.client import RemoteClient, ServerSaid
from ai_platform_mcp.core.errors import PlatformError
from kubernetes_servers import Server
from support import warm
from support.identities import API_AUDIENCE, account, grant, rule

from .conftest import GOLDEN

AUDIENCE = "https://platform.example"
HOMES = re.compile(r"\b(?:vision|nlp|platform)-(?:dev|staging|prod)\b")
QUEUES = {"kind": "queues"}


@contextlib.contextmanager
def published(keys: dict[str, Any]) -> Iterator[str]:
    """The cluster's key set where our server can read it."""
    body = json.dumps(keys).encode()

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Serving:
    url: str
    folder: Path
    log: Path


@contextlib.contextmanager
def served(folder: Path, document: dict[str, Any]) -> Iterator[Serving]:
    """Our server over HTTP, with everything it says kept."""
    file, log = folder / "platform.yaml", folder / "stderr.log"
    file.write_text(yaml.safe_dump(document))
    command = warm.command("serve", "--verbose", "--config", str(file), "--http", "127.0.0.1:0")
    env = {key: value for key, value in os.environ.items() if not key.startswith("AI_PLATFORM_")}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
    try:
        end = time.monotonic() + 60
        while "Listening on " not in (said := log.read_text()):
            assert process.poll() is None and time.monotonic() < end, said
            time.sleep(0.05)
        url = said.split("Listening on ", 1)[1].split()[0]
        yield Serving(url, folder, log)
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def people(world: Server) -> dict[str, str]:
    """Two service accounts, each with the rights of its team; their tokens are for our server and for the API server."""
    tokens: dict[str, str] = {}
    for team in ("vision", "nlp"):
        home = f"{team}-dev"
        subject, tokens[team] = account(world, home, f"caller-{time.monotonic_ns()}", (API_AUDIENCE, AUDIENCE))
        grant(world, home, subject, rule("*", "*", "get list create patch"))
        shared = [
            rule("", "nodes namespaces", "get list"),
            rule("kueue.x-k8s.io", "clusterqueues resourceflavors workloadpriorityclasses", "get list"),
        ]
        grant(world, "", subject, *shared)
    return tokens


async def test_each_caller_acts_with_their_own_token_and_it_is_written_nowhere(
    world: Server, registry_uri: str, people: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    seen: dict[str, set[frozenset[str]]] = {"vision": set(), "nlp": set()}
    with published(world.get("/openid/v1/jwks") or {}) as keys:
        auth = {"issuer": API_AUDIENCE, "audience": AUDIENCE, "jwks_url": keys, "resource_url": AUDIENCE}
        document = {
            "state_dir": str(tmp_path / "state"),
            "clusters": [{"name": "c1", "kubeconfig": str(world.kubeconfig), "access": "token"}],
            "mlflow": {"uri": registry_uri},
            "golden_paths": GOLDEN,
            "http": {"auth": auth},
        }
        with served(tmp_path, document) as serving:
            async with contextlib.AsyncExitStack() as stack:
                clients: dict[str, RemoteClient] = {}
                for team, token in people.items():
                    monkeypatch.setenv("AI_PLATFORM_TOKEN", token)
                    clients[team] = await stack.enter_async_context(RemoteClient(serving.url))

                async def look(team: str) -> None:
                    answer = await clients[team].call("inspect_platform", QUEUES)
                    told.append(f"{answer.text} {answer.data}")
                    seen[team].add(frozenset(HOMES.findall(str(answer.data["rows"]))))

                with anyio.fail_after(60):  # until the server has read the cluster for the first time
                    while True:
                        with contextlib.suppress(ServerSaid):
                            await look("vision")
                            break
                async with anyio.create_task_group() as group:
                    for number in range(12):
                        group.start_soon(look, ("vision", "nlp")[number % 2])
                wanted = {
                    "purpose": "train",
                    "accelerator": "a100",
                    "hours": 1,
                    "image": "registry.local/x@sha256:" + "1" * 64,
                }
                own = await clients["vision"].call("request_gpu", {**wanted, "namespace": "vision-dev"})
                told.append(f"{own.text} {own.data}")
                with pytest.raises(PlatformError) as caught:
                    await clients["vision"].call("request_gpu", {**wanted, "namespace": "nlp-dev"})
                told.append(str(caught.value.as_dict()))

    assert seen == {"vision": {frozenset({"vision-dev"})}, "nlp": {frozenset({"nlp-dev"})}}
    assert own.data["plan_id"] and "vision-dev" in own.text  # the dry run was the caller's too
    said = "\n".join(told).encode()
    written = b"\n".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"request_gpu" in written  # the journal is among what was read
    for token in people.values():
        for part in (token, *token.split(".")[1:]):
            assert part.encode() not in said and part.encode() not in written
