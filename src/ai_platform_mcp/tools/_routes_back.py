"""Taking back how an operation routed a model: its part of the proxy's configuration, and its routes."""

from __future__ import annotations

from typing import Any, cast

from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Apply, ClusterStep, Patch, Risk
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.records import Operation
from ai_platform_mcp.core.tool import PlanContext
from ai_platform_mcp.domain.objects import at_pointer, preconditions, ref_of, section, step_ref
from ai_platform_mcp.manifests.litellm_merge import part
from ai_platform_mcp.tools._proxy import config_in, read_proxy, without_part
from ai_platform_mcp.tools._reading import Place, find_place
from ai_platform_mcp.tools._steered import Moment, Steered, delete

ANEW = "Plan the routing that you want with route_model."


async def routes_back(
    operation: Operation, done: frozenset[str], readers: Readers, context: PlanContext
) -> tuple[str, Steered]:
    """Return the cluster, and the steps that give the operation's model the routing that it had before.

    What other models have got in the proxy since stays: only this one's part goes back.

    Raises:
        Conflict: there is nothing to take back, or it was changed since.
    """
    target = operation.plan.targets[0]
    where = await find_place(
        readers,
        context,
        cluster=target.cluster,
        namespace=target.namespace or "",
        environment=target.environment,
    )
    steps: list[ClusterStep] = []
    risks: list[Risk] = []
    for step in operation.plan.steps:
        if not isinstance(step, Apply) or step.id not in done or step.diff is None or step.diff.action == "none":
            continue
        if step.manifest.get("kind") == "ConfigMap":
            configured = await _configuration(operation, step, where, readers, context)
            steps += configured.steps
            risks += configured.risks
        else:
            steps += await _route(step, where, readers, context)
    if not steps:
        raise Conflict(f"{operation.id} changed nothing that could be taken back.", remedy=ANEW)
    return where.cluster.name, Steered(tuple(steps), tuple(risks))


async def _configuration(
    operation: Operation, step: Apply, where: Place, readers: Readers, context: PlanContext
) -> Steered:
    proxy, model = await read_proxy(readers, where), operation.plan.facts.model
    if model is None or step_ref(step).name != proxy.name or proxy.live is None:
        raise Conflict(f"{step_ref(step)} is no longer what the proxy reads.", remedy=ANEW)
    written = config_in(str(section(step.manifest, "data").get(proxy.key, "")), proxy.name)
    back = without_part(proxy, model.name, part(_before(step, proxy.key), model.name), where, context.operation_id)
    risks = back.risks
    if part(proxy.config, model.name) != part(written, model.name):
        text = f"{model.name} was routed anew since: this takes it to how it was before {operation.id}."
        risks = (*risks, Risk(severity="warning", text=text))
    return Steered(back.steps, risks)


def _before(step: Apply, key: str) -> type_json:
    """Return the configuration that the operation found, by the diff of its plan; empty where it made the first one."""
    changes = step.diff.changes if step.diff else ()
    text = next((row.before for row in changes if row.path == f"/data/{key}"), None)
    return config_in(str(text), step_ref(step).name) if text else {}


async def _route(step: Apply, where: Place, readers: Readers, context: PlanContext) -> list[ClusterStep]:
    """Return the step that undoes a route: one that was new goes, any other gets the values that it had."""
    ref, diff = step_ref(step), step.diff
    live = await readers.clusters.get(where.cluster.name, ref.api_version, ref.kind, ref.name, ref.namespace)
    if live is None or diff is None:
        return []
    if diff.action == "create":
        return [delete(live, Moment(where.cluster.name, context.operation_id))]
    moved = [row.path for row in diff.changes if at_pointer(live, row.path) != row.after]
    if diff.omitted or moved:
        why = f"{moved[0]} was changed since" if moved else "it changed in too many places"
        raise Conflict(f"{ref} cannot be taken back: {why}.", remedy=ANEW)
    patch = [_undo(row.path, row.before, row.after) for row in reversed(diff.changes)]
    undo = Patch(
        title=f"Give {ref} back what it had",
        cluster=where.cluster.name,
        ref=ref_of(live),
        patch=cast("Any", patch),
        patch_type="json",
    )
    return [undo.model_copy(update={"preconditions": preconditions(undo, live)})]


def _undo(path: str, before: Any, after: Any) -> type_json:
    if before is None:
        return {"op": "remove", "path": path}
    return {"op": "add" if after is None else "replace", "path": path, "value": before}
