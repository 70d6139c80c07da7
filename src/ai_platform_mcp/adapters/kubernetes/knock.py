"""Is anybody there? A dead cluster is told at once, before the client is imported and credentials are fetched for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import anyio
import yaml

from ai_platform_mcp.core.errors import Unavailable
from ai_platform_mcp.core.redact import untrusted

KNOCK_SECONDS = 1.0


async def knock(name: str, kubeconfig: Path, context: str) -> None:
    """Open and close one TCP connection to the server that the kubeconfig names.

    Nothing is concluded where a proxy stands between, or the file is not as expected: the client then finds out and says so.

    Raises:
        Unavailable: nothing listens there.
    """
    server = await anyio.to_thread.run_sync(_server, kubeconfig, context, abandon_on_cancel=True)
    if not server or getproxies():
        return
    url = urlsplit(server)
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    try:
        with anyio.move_on_after(KNOCK_SECONDS):
            stream = await anyio.connect_tcp(host, port)
            await stream.aclose()
    except OSError as problem:
        raise Unavailable(
            f"Cluster {name!r} cannot be reached at {host}:{port}.",
            cause=untrusted(str(problem)),
            remedy="Check that the cluster is up and reachable from here; `platform doctor` shows every cluster.",
        ) from problem


def _server(kubeconfig: Path, context: str) -> str:
    """Return the server that a context leads to; empty where the file does not say it plainly."""
    try:
        body: Any = yaml.load(kubeconfig.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  a safe loader, in C where there is one
        contexts = {row["name"]: row["context"] for row in body["contexts"]}
        cluster = contexts[context or body["current-context"]]["cluster"]
        found = {row["name"]: row["cluster"] for row in body["clusters"]}[cluster]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return ""
    return "" if found.get("proxy-url") else str(found.get("server", ""))
