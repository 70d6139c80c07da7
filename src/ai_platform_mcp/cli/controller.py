"""``ai-platform-mcp controller``: moves EdgeRollouts and CanaryRollouts, in a pod of the cluster or beside it.

It is put together here and handed its ports: the adapter speaks to the API server, the controller decides. Not kopf, though it
was considered: its timers and daemons put a finalizer on each EdgeRollout that holds up deletion while no controller runs,
and it would be a second Kubernetes client with its own ways of logging in, retrying and resuming a watch.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import logging
import math
import os
import secrets
import signal
import socket
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_platform_mcp.cli.measuring import add_options, counting
from ai_platform_mcp.cli.probes import Answer, said, serve_probes
from ai_platform_mcp.cli.start import start_logging
from ai_platform_mcp.core.errors import PlatformError

if TYPE_CHECKING:
    from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig
    from ai_platform_mcp.adapters.kubernetes.controlling import ControllerAccess, ControllerFeeds
    from ai_platform_mcp.controllers.canary.loop import CanaryController
    from ai_platform_mcp.controllers.edge.loop import Controller

_log = logging.getLogger(__name__)
HUNG = 90.0
"""Seconds without a turn of the loop after which the process says that it is not alive: longer than any deadline inside."""
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
LEASE = "ai-platform-mcp-controller"
IMAGE = "AI_PLATFORM_IMAGE"
"""Environment variable that names our own image."""


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="ai-platform-mcp controller",
        description="Move EdgeRollouts wave by wave, and CanaryRollouts step by step.",
        allow_abbrev=False,
    )
    options.add_argument("--kubeconfig", type=Path, metavar="FILE", help="instead of the pod's service account")
    options.add_argument("--context", default="", help="of the kubeconfig, instead of its current one")
    options.add_argument("--namespace", default="", help="rollouts of this namespace only")
    options.add_argument("--standalone", action="store_true", help="the only one: no leader is elected")
    options.add_argument("--lease-namespace", default="", help="where the Lease is; the pod's own by default")
    options.add_argument("--health", metavar="HOST:PORT", default="", help="serve /healthz, /readyz and /metrics")
    options.add_argument("--pause-image", default="", help="what holds a prepulled image on a node")
    options.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="N",
        help="for a platform whose time runs faster, such as the sandbox",
    )
    options.add_argument("--with-parent", action="store_true", help="end when standard input does, as a child should")
    options.add_argument(
        "--image",
        default=os.environ.get(IMAGE, ""),
        help=f"of ai-platform-mcp, for the sidecars that ask golden inputs; else {IMAGE}",
    )
    add_options(options)
    options.add_argument("--verbose", "-v", action="store_true", help="log more to standard error")
    return options


def _speed(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError(text)  # argparse tells it in its own words
    return value


def run(arguments: Sequence[str]) -> int:
    """Run the controller until a signal comes; return the exit code."""
    chosen = _options().parse_args(arguments)
    import anyio

    start_logging(chosen.verbose)
    try:
        anyio.run(_run, chosen)
    except PlatformError as error:
        from ai_platform_mcp.cli.output import Output

        return Output().error(error)
    except KeyboardInterrupt:
        return 0
    return 0


async def _run(chosen: argparse.Namespace) -> None:
    import anyio

    from ai_platform_mcp.controllers.canary.loop import CanaryController
    from ai_platform_mcp.controllers.edge.lease import Election
    from ai_platform_mcp.controllers.edge.loop import PAUSE_IMAGE, Controller

    async with access(_config(chosen)) as port, counting(chosen.prometheus, chosen.prometheus_token_file) as counts:
        controller = Controller(
            port,
            chosen.namespace,
            chosen.pause_image or PAUSE_IMAGE,
            speed=chosen.speed,
            image=chosen.image,
            counts=counts,
        )
        feeds = feeds_of(port.access, controller)
        canaries = CanaryController(port, chosen.namespace, speed=chosen.speed, counts=counts)
        election = None
        if not chosen.standalone:
            identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
            election = Election(port, _lease_namespace(chosen), LEASE, identity)
        async with anyio.create_task_group() as group:
            group.start_soon(_end_on_signal, group.cancel_scope)
            if chosen.with_parent:
                group.start_soon(_end_with_parent, group.cancel_scope)
            leads = (lambda: election.leads) if election is not None else (lambda: True)
            if chosen.health:
                metrics = functools.partial(_metrics, chosen.namespace, controller, canaries, leads)
                await _serve_health(chosen.health, lambda: min(controller.beat, canaries.beat), feeds, metrics)
            group.start_soon(canaries.run, canary_feeds_of(port.access, canaries), leads)
            await controller.run(feeds, election)


class _Port:
    """The adapter in the shape that the controller asks for."""

    def __init__(self, access: ControllerAccess):
        from ai_platform_mcp.controllers.edge.ports import Write

        self.access = access
        self.read = access.read
        self._write = Write

    async def write(self, write: object) -> dict[str, object]:
        assert isinstance(write, self._write)
        return await self.access.send(write.verb, write.path, write.body, write.why)


@contextlib.asynccontextmanager
async def access(config: ClusterConfig) -> AsyncGenerator[_Port]:
    """Open the controller's access to a cluster."""
    from ai_platform_mcp.adapters.kubernetes.controlling import ControllerAccess
    from ai_platform_mcp.controllers.edge.ports import FIELD_MANAGER

    found = ControllerAccess(config, FIELD_MANAGER)
    try:
        yield _Port(found)
    finally:
        _log.info("ended after %d requests", found.requests)
        await found.aclose()


def feeds_of(access: ControllerAccess, controller: Controller) -> ControllerFeeds:
    """Return the watches that a controller needs, narrowed by selectors to what it reads."""
    from ai_platform_mcp.adapters.kubernetes.reflector import Watched
    from ai_platform_mcp.controllers.edge.daemon_sets import SELECTED
    from ai_platform_mcp.domain.fleet import SITES_CONFIG_MAP
    from ai_platform_mcp.manifests.edge import API

    caches = controller.caches
    return access.feeds(
        {
            Watched("EdgeRollout", (API,)): caches.rollouts,
            Watched("Node", ("v1",)): caches.nodes,
            Watched("Pod", ("v1",), labels=SELECTED): caches.pods,
            Watched("DaemonSet", ("apps/v1",), labels=SELECTED): caches.daemon_sets,
            Watched("ConfigMap", ("v1",), fields=f"metadata.name={SITES_CONFIG_MAP}"): caches.sites,
        }
    )


def canary_feeds_of(access: ControllerAccess, canaries: CanaryController) -> ControllerFeeds:
    """Return the watches of cloud canaries, apart from the others: a cluster without KServe still has its edge rollouts."""
    from ai_platform_mcp.adapters.kubernetes.reflector import Watched
    from ai_platform_mcp.manifests import canaries as manifests
    from ai_platform_mcp.manifests import kserve

    return access.feeds(
        {
            Watched(manifests.KIND, (manifests.API,)): canaries.caches.rollouts,
            Watched("InferenceService", (kserve.API,)): canaries.caches.services,
        }
    )


def _config(chosen: argparse.Namespace) -> ClusterConfig:
    from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig
    from ai_platform_mcp.core.rows import ClusterInfo

    info, kubeconfig = ClusterInfo(name="edge"), chosen.kubeconfig
    if kubeconfig is None and not os.environ.get("KUBERNETES_SERVICE_HOST"):
        named = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
        kubeconfig = Path(named) if named else Path.home() / ".kube" / "config"
    return ClusterConfig(info=info, kubeconfig=kubeconfig, context=chosen.context, in_cluster=kubeconfig is None)


def _lease_namespace(chosen: argparse.Namespace) -> str:
    if chosen.lease_namespace:
        return str(chosen.lease_namespace)
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.is_file() else "aiplatform-system"


async def _end_on_signal(scope: object) -> None:
    import anyio

    assert isinstance(scope, anyio.CancelScope)
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()


async def _end_with_parent(scope: object) -> None:
    """End once standard input does: the system closes that pipe however the process at its other end went."""
    import anyio

    assert isinstance(scope, anyio.CancelScope)
    while await anyio.to_thread.run_sync(os.read, 0, 4096, abandon_on_cancel=True):
        pass  # what is written there means nothing
    scope.cancel()


def _metrics(namespace: str, edge: Controller, canaries: CanaryController, leads: Callable[[], bool]) -> Answer:
    """Return what a Prometheus reads of both controllers: the rollouts that they look after, and how that goes."""
    from ai_platform_mcp.controllers.metrics import CONTENT_TYPE, exposition
    from ai_platform_mcp.domain.objects import metadata_of

    def ours(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [row for row in rows if namespace in ("", metadata_of(row).get("namespace"))]

    looks = {"edgerollout": edge.looks, "canaryrollout": canaries.looks}
    rollouts = ours(edge.caches.rollouts.all()), ours(canaries.caches.rollouts.all())
    return 200, CONTENT_TYPE, exposition(*rollouts, looks, leads=leads())


async def _serve_health(
    address: str, beat: Callable[[], float], feeds: ControllerFeeds, metrics: Callable[[], Answer]
) -> None:
    """Answer a kubelet's probes: alive while the loops turn, ready while the caches are current (also without the lease).

    ``beat`` is when the slowest of the loops last came by.
    """

    def answers(path: str) -> Answer:
        if path == "/metrics":
            return metrics()
        problem = "" if time.monotonic() - beat() < HUNG else "the loop hangs"
        if path == "/readyz" and not feeds.current():
            problem = feeds.problem() or "reading"
        return said(problem)

    await serve_probes(address, answers)
