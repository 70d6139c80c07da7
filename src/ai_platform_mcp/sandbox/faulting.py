"""Letting something go wrong in a running sandbox, and ending it: by its API, as its administrator. Kinds: ``life.faults``."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Sequence
from typing import Any

import anyio
import httpx
import yaml

from ai_platform_mcp.core.errors import Unavailable
from ai_platform_mcp.sandbox.life.faults import EVERYWHERE, FAULTS
from ai_platform_mcp.sandbox.process import Status

Json = dict[str, Any]
DEADLINE = 15.0


async def on_node(status: Status, node: str, faults: Sequence[Json]) -> None:
    """Say what is wrong with a node; nothing is, where no fault is given.

    Raises:
        Unavailable: the sandbox does not take it, or does not answer.
    """
    text = json.dumps(faults) if faults else None
    body = {"metadata": {"annotations": {FAULTS: text}}}
    await _send(status, "PATCH", f"/api/v1/nodes/{node}", body, "application/merge-patch+json")


async def everywhere(status: Status, name: str, faults: Sequence[Json]) -> None:
    """Say under a name of one's own what is wrong on every node.

    Raises:
        Unavailable: the sandbox does not take it, or does not answer.
    """
    namespace, config = EVERYWHERE
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": config, "namespace": namespace},
        "data": {name: json.dumps(faults)},
    }
    path = f"/api/v1/namespaces/{namespace}/configmaps/{config}?fieldManager=fault-{name}"
    await _send(status, "PATCH", path, body, "application/apply-patch+yaml")


async def _send(status: Status, method: str, path: str, body: Json, media: str) -> None:
    config = yaml.safe_load(await anyio.Path(status.kubeconfig).read_text())
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}", "Content-Type": media}
    trust = ssl.create_default_context(cadata=authority)
    try:
        async with httpx.AsyncClient(
            base_url=status.kubernetes_url, verify=trust, timeout=DEADLINE, trust_env=False
        ) as http:
            answer = await http.request(method, path, content=json.dumps(body), headers=headers)
            answer.raise_for_status()
    except httpx.HTTPError as problem:
        raise Unavailable(f"The sandbox did not take the fault: {problem}") from problem
