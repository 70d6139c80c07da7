"""``platform doctor``: what is configured, reachable, served and permitted, and what to do about each gap."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Literal

import anyio
import typer
from rich.markup import escape

from ai_platform_mcp.cli.client import LocalClient
from ai_platform_mcp.cli.output import Output
from ai_platform_mcp.cli.session import session_of
from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.plan import ObjectRef
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.settings import Settings, default_config_path

NEEDED = {
    "serving.kserve.io/v1beta1/InferenceService": "deploying models to the cloud",
    "kueue.x-k8s.io/v1beta2/ClusterQueue": "GPU quotas and forecasts",
    "trainer.kubeflow.org/v1alpha1/TrainJob": "training",
    "edge.aiplatform.dev/v1alpha1/EdgeRollout": "edge rollouts (install the CRD that ships with this package)",
    "gateway.networking.k8s.io/v1/HTTPRoute": "routing between releases",
}
RIGHTS = (
    ("list", "v1", "Node", None),
    ("patch", "v1", "Node", None),
    ("patch", "serving.kserve.io/v1beta1", "InferenceService", "default"),
    ("create", "trainer.kubeflow.org/v1alpha1", "TrainJob", "default"),
)
SECONDS = 20.0
"""The registry's client alone takes seconds to load on a busy machine."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``remedy`` is empty where nothing is to be done."""

    what: str
    state: Literal["ok", "gap", "bad"]
    found: str
    remedy: str = ""


def doctor(context: typer.Context) -> None:
    """Say what is configured, reachable, served and permitted, and what to do about each gap."""
    session = session_of(context)

    async def work() -> int:
        checks = _configured(session.settings)
        async with session.local() as client:
            checks += await _platform(client)
        if session.output.json:
            session.output.data({"checks": [asdict(check) for check in checks]}, "")
        else:
            for check in checks:
                _show(session.output, check)
        return 1 if any(check.state == "bad" for check in checks) else 0

    session.run(work)


def _show(output: Output, check: Check) -> None:
    """One line per check; what to do stands under its gap."""
    mark = {"ok": "[green]✓[/green]", "gap": "[yellow]![/yellow]", "bad": "[red]✗[/red]"}[check.state]
    output.out.print(f"{mark} {escape(f'{check.what:<16}')} {escape(check.found)}")
    if check.remedy:
        output.out.print(f"{'':<18} [dim]→ {escape(check.remedy)}[/dim]")


def _configured(settings: Settings) -> list[Check]:
    named = settings.config or os.environ.get("AI_PLATFORM_CONFIG") or default_config_path()
    where = f"the sandbox in {settings.state_dir}" if settings.sandboxed else f"{len(settings.clusters)} clusters"
    checks = [Check("platform", "ok", where, f"write {named} to use a real one" if settings.sandboxed else "")]
    who = settings.identity
    checks.append(Check("identity", "ok", f"{who.id} of team {who.team} as {', '.join(who.roles)}"))
    if not settings.sandboxed:
        for name, value, key in (
            ("registry", settings.mlflow.uri, "mlflow.uri"),
            ("metrics", settings.prometheus.url, "prometheus.url"),
        ):
            if not value:
                checks.append(Check(name, "gap", "not configured", f"set {key} in the platform file"))
    return checks


async def _platform(client: LocalClient) -> list[Check]:
    try:
        readers = await client.app.readers()
    except PlatformError as error:
        return [Check("start", "bad", error.message, error.remedy)]
    checks = [
        await _look("policy", lambda: _policy(readers)),
        await _look("registry", lambda: _registry(readers)),
        await _look("metrics", lambda: _metrics(readers)),
        await _look("audit", lambda: _audit(readers)),
    ]
    for info in await readers.clusters.clusters():
        checks.append(await _look(f"cluster {info.name}", lambda name=info.name: _version(readers, name)))
        if checks[-1].state == "ok":
            checks += await _served(readers, info.name)
            checks += await _rights(readers, info.name)
    return checks


async def _look(what: str, find: Callable[[], Awaitable[str]]) -> Check:
    try:
        with anyio.fail_after(SECONDS):
            return Check(what, "ok", await find())
    except TimeoutError:
        return Check(what, "bad", f"no answer within {SECONDS:g} s", "see whether it runs and can be reached from here")
    except PlatformError as error:
        state: Literal["gap", "bad"] = "gap" if error.code == "misconfigured" else "bad"
        return Check(what, state, f"{error.message} {error.cause}".strip(), error.remedy)


async def _policy(readers: Readers) -> str:
    info = await readers.policy.info()
    note = f" STALE: {info.problem}" if info.stale else ""
    return f"{info.engine}, revision {info.revision}{note}"


async def _registry(readers: Readers) -> str:
    page = await readers.registry.models(limit=50)
    more = "+" if page.token else ""
    return f"{len(page.items)}{more} models"


async def _metrics(readers: Readers) -> str:
    return f"answers; {len(await readers.metrics.alerts())} alerts"


async def _audit(readers: Readers) -> str:
    verdict = await readers.journal.verify_audit()
    return f"{verdict.rows} rows, {'intact' if verdict.intact else 'NOT INTACT: ' + verdict.problem}"


async def _version(readers: Readers, cluster: str) -> str:
    return f"Kubernetes {await readers.clusters.version(cluster)}"


async def _served(readers: Readers, cluster: str) -> list[Check]:
    try:
        kinds = await readers.clusters.kinds(cluster)
    except PlatformError as error:
        return [Check(f"{cluster}: APIs", "bad", error.message, error.remedy)]
    missing = [(kind, purpose) for kind, purpose in NEEDED.items() if kind not in kinds]
    served = Check(f"{cluster}: APIs", "ok", f"{len(NEEDED) - len(missing)} of {len(NEEDED)} that the tools use")
    gaps = [Check(f"{cluster}: {kind}", "gap", "not served", f"without it: no {purpose}") for kind, purpose in missing]
    return [served, *gaps]


async def _rights(readers: Readers, cluster: str) -> list[Check]:
    refused: list[str] = []
    for verb, api_version, kind, namespace in RIGHTS:
        ref = ObjectRef(api_version=api_version, kind=kind, name="", namespace=namespace)
        try:
            if not (await readers.clusters.allowed(cluster, verb, ref)).allowed:
                refused.append(f"{verb} {kind}")
        except PlatformError:
            refused.append(f"{verb} {kind} (could not be asked)")
    if refused:
        return [
            Check(
                f"{cluster}: rights",
                "gap",
                f"not permitted: {', '.join(refused)}",
                "grant them by RBAC, or live without",
            )
        ]
    return [Check(f"{cluster}: rights", "ok", f"{len(RIGHTS)} checked, all permitted")]
