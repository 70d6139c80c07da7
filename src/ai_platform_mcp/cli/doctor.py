"""``platform doctor``: what is configured, reachable, served and permitted, and what to do about each gap."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import anyio
import typer
from rich.markup import escape

from ai_platform_mcp.cli.client import LocalClient
from ai_platform_mcp.cli.output import Output
from ai_platform_mcp.cli.session import session_of
from ai_platform_mcp.core.errors import CredentialMissing, PlatformError
from ai_platform_mcp.core.tool import Caller
from ai_platform_mcp.settings import Settings, default_config_path

if TYPE_CHECKING:
    from ai_platform_mcp.core.ports import Readers
    from ai_platform_mcp.core.rows import ClusterInfo

NEEDED: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("cloud", ("serving.kserve.io/v1beta1/InferenceService",), "deploying models to the cloud"),
    (
        "cloud",
        ("kueue.x-k8s.io/v1beta2/ClusterQueue", "kueue.x-k8s.io/v1beta1/ClusterQueue"),
        "GPU quotas and forecasts",
    ),
    (
        "cloud",
        ("trainer.kubeflow.org/v1alpha1/TrainJob", "kubeflow.org/v1/PyTorchJob", "argoproj.io/v1alpha1/Workflow"),
        "training",
    ),
    (
        "edge",
        ("edge.aiplatform.dev/v1alpha1/EdgeRollout",),
        "edge rollouts (install the CRD that ships with this package)",
    ),
    (
        "cloud",
        ("serving.aiplatform.dev/v1alpha1/CanaryRollout",),
        "canaries that move by themselves (install the CRD that ships with this package)",
    ),
    ("cloud", ("gateway.networking.k8s.io/v1/HTTPRoute",), "routing between releases"),
)
"""By the role of the cluster: kinds of which the tools use one, newest first, and what for."""
RIGHTS = (
    ("both", "list", "v1", "Node", None),
    ("edge", "patch", "v1", "Node", None),
    ("cloud", "patch", "serving.kserve.io/v1beta1", "InferenceService", "default"),
    ("cloud", "create", "trainer.kubeflow.org/v1alpha1", "TrainJob", "default"),
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
    about: dict[str, str] = field(default_factory=dict[str, str])
    """What the check found, by name, for programs."""


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
    caller = Caller(principal=client.app.local_principal, request_id="doctor")
    try:
        return await client.app.peek(caller, _checked)
    except PlatformError as error:
        return [Check("start", "bad", error.message, error.remedy)]


async def _checked(readers: Readers) -> list[Check]:
    checks = [
        await _look("policy", lambda: _policy(readers)),
        await _look("registry", lambda: _registry(readers)),
        await _look("metrics", lambda: _metrics(readers)),
        await _look("audit", lambda: _audit(readers)),
    ]
    configured = await readers.clusters.clusters()
    found: dict[str, list[Check]] = {}

    async def look_at(info: ClusterInfo) -> None:
        found[info.name] = await _cluster(readers, info)

    async with anyio.create_task_group() as group:
        for info in configured:
            group.start_soon(look_at, info)
    return [*checks, *(check for info in configured for check in found[info.name])]


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


async def _cluster(readers: Readers, info: ClusterInfo) -> list[Check]:
    """Look at one cluster; what it is for is told whether or not it answers."""
    about = {"cluster": info.name, "role": info.role, "cloud": info.cloud, "region": info.region}
    if info.environment:
        about["environment"] = info.environment
    facts = info.facts
    words = [
        info.role if info.role != "both" else "cloud and edge",
        " ".join(part for part in (info.cloud, info.region) if part),
        info.environment or "",
        "protected" if facts.protected else "",
        f"for {', '.join(facts.allowed_teams)}" if facts.allowed_teams else "",
    ]
    what_for = ", ".join(word for word in words if word)

    async def version() -> str:
        about["version"] = await readers.clusters.version(info.name)
        return f"Kubernetes {about['version']}; {what_for}"

    check = await _look(f"cluster {info.name}", version)
    if check.state != "ok":
        return [replace(check, found=f"{what_for}: {check.found}", about={**about, "reachable": "no"})]
    rows = [replace(check, about={**about, "reachable": "yes"})]
    for part in (_served, _identity, _rights):
        try:
            with anyio.fail_after(SECONDS):
                rows += await part(readers, info)
        except TimeoutError:
            rows.append(Check(f"{info.name}: {part.__name__[1:]}", "bad", f"no answer within {SECONDS:g} s"))
    return rows


async def _served(readers: Readers, info: ClusterInfo) -> list[Check]:
    cluster = info.name
    try:
        kinds = await readers.clusters.kinds(cluster)
    except PlatformError as error:
        return [Check(f"{cluster}: APIs", "bad", error.message, error.remedy)]
    wanted = [(one_of, purpose) for role, one_of, purpose in NEEDED if info.role in (role, "both")]
    served = [kind for one_of, _ in wanted for kind in one_of if kind in kinds]
    missing = [(one_of[0], purpose) for one_of, purpose in wanted if not kinds.intersection(one_of)]
    told = ", ".join(kind.rpartition("/")[2] for kind in served) or "none"
    count = f"{len(wanted) - len(missing)} of {len(wanted)} that the tools use: {told}"
    gaps = [Check(f"{cluster}: {kind}", "gap", "not served", f"without it: no {purpose}") for kind, purpose in missing]
    return [Check(f"{cluster}: APIs", "ok", count, about={"served": " ".join(served)}), *gaps]


async def _identity(readers: Readers, info: ClusterInfo) -> list[Check]:
    """Tell whom the cluster takes a call from here for."""
    what = f"{info.name}: identity"
    try:
        who = await readers.clusters.whoami(info.name)
    except CredentialMissing:
        return [Check(what, "ok", "token: each caller is the owner of their token; from here there is none")]
    except PlatformError as error:
        return [Check(what, "gap", f"{error.message} {error.cause}".strip(), error.remedy)]
    groups = ", ".join(group for group in who.groups if group != "system:authenticated")
    named = f"{who.user}{f' in {groups}' if groups else ''}"
    how = {
        "service": "for every caller",
        "impersonate": "for you; each caller is impersonated",
        "token": "by your token",
    }
    return [Check(what, "ok", f"{who.access}: {named}, {how[who.access]}")]


async def _rights(readers: Readers, info: ClusterInfo) -> list[Check]:
    from ai_platform_mcp.core.plan import ObjectRef

    cluster = info.name
    asked = [row for role, *row in RIGHTS if "both" in (role, info.role) or role == info.role]
    refused: list[str] = []
    for verb, api_version, kind, namespace in asked:
        ref = ObjectRef(api_version=str(api_version), kind=str(kind), name="", namespace=namespace)
        try:
            if not (await readers.clusters.allowed(cluster, str(verb), ref)).allowed:
                refused.append(f"{verb} {kind}")
        except PlatformError:
            refused.append(f"{verb} {kind} (could not be asked)")
    if refused:
        told = f"not permitted: {', '.join(refused)}"
        return [Check(f"{cluster}: rights", "gap", told, "grant them by RBAC, or live without")]
    return [Check(f"{cluster}: rights", "ok", f"{len(asked)} checked, all permitted")]
