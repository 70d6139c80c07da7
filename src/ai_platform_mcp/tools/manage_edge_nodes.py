"""The edge fleet: labels, cordon, drain, and releases in waves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, cast

from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput, NotFound
from ai_platform_mcp.core.facts import Facts, RolloutFacts
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Draft, Follow, Target
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import ClusterInfo, Inventory, NodeRow
from ai_platform_mcp.core.tool import Caller, PlanContext, Result, WriteParams
from ai_platform_mcp.domain.fleet import SITES_CONFIG_MAP, SITES_NAMESPACE
from ai_platform_mcp.domain.namespaces import ENVIRONMENTS, Environment
from ai_platform_mcp.domain.node_selection import read_labels, select_nodes
from ai_platform_mcp.domain.objects import ENVIRONMENT_LABEL, labels_of, metadata_of, ref_of, section
from ai_platform_mcp.domain.progress import progress_of
from ai_platform_mcp.manifests.common import Origin
from ai_platform_mcp.manifests.edge import API
from ai_platform_mcp.tools._edge_steering import edge
from ai_platform_mcp.tools._models import Chosen, choose_version
from ai_platform_mcp.tools._node_health import Health, health_facts, narrowed, read_health, still_ailing, told
from ai_platform_mcp.tools._node_looks import listed, status
from ai_platform_mcp.tools._nodes import change_nodes
from ai_platform_mcp.tools._places import find_cluster
from ai_platform_mcp.tools._reading import (
    Place,
    capabilities,
    find_place,
    inventory_evidence,
    list_if_served,
    read_inventory,
)
from ai_platform_mcp.tools._rollout import Fleet, edge_part, read_fleet, touched_by
from ai_platform_mcp.tools._serving import strategy_of
from ai_platform_mcp.tools._steered import Action, Moment

_NODE_ACTIONS = ("label", "cordon", "uncordon", "drain")
_FIELDS: dict[str, frozenset[str]] = {
    "list": frozenset({"nodes", "site", "region", "selector", "token"}),
    "status": frozenset({"nodes", "site", "region", "selector", "rollout", "model", "namespace", "token"}),
    "label": frozenset({"nodes", "site", "region", "selector", "labels"}),
    "cordon": frozenset({"nodes", "site", "region", "selector", "reason"}),
    "uncordon": frozenset({"nodes", "site", "region", "selector"}),
    "drain": frozenset({"nodes", "site", "region", "selector", "grace_seconds", "reason"}),
    "rollout": frozenset({"model", "environment", "namespace", "site", "region", "canary_percent"}),
    "pause": frozenset({"rollout", "model", "namespace"}),
    "resume": frozenset({"rollout", "model", "namespace"}),
    "rollback": frozenset({"rollout", "model", "namespace"}),
}
"""What each action takes beside ``cluster``: anything else is refused, since dropping it would change what is meant."""


class EdgeParams(WriteParams):
    """What to do, to which nodes or which rollout."""

    action: Literal["list", "status", "label", "cordon", "uncordon", "drain", "rollout", "pause", "resume", "rollback"]
    nodes: Annotated[tuple[str, ...], Field(max_length=500)] = ()
    site: str = ""
    region: str = ""
    selector: Annotated[str, Field(description="node labels: k=v,!k", max_length=500)] = ""
    labels: Annotated[tuple[str, ...], Field(description="k=v sets, k- removes", max_length=20)] = ()
    grace_seconds: Annotated[int | None, Field(description="drain", ge=0, le=3600)] = None
    reason: Annotated[Literal["", "health"], Field(description="cordon, drain: only nodes status proposes")] = ""
    rollout: Annotated[str, Field(description="EdgeRollout to pause, resume, rollback", max_length=63)] = ""
    model: Annotated[str, Field(description="rollout: name:version or name@alias", max_length=512)] = ""
    environment: Literal["", "dev", "staging", "production"] = ""
    canary_percent: Annotated[int | None, Field(description="first wave", ge=0, le=100)] = None
    cluster: str = ""
    namespace: str = ""
    token: Annotated[str, Field(max_length=400)] = ""


class ManageEdgeNodes:
    """Plans patches of nodes, evictions, and EdgeRollouts."""

    name: ClassVar[str] = "manage_edge_nodes"
    title: ClassVar[str] = "Manage edge nodes"
    description: ClassVar[str] = (
        "List edge nodes; status: hardware findings and what they propose; label, cordon, uncordon, drain (Eviction API, "
        "honours budgets); roll a model out to sites in waves; pause, resume or roll back a rollout. "
        "Plans show each site's healthy nodes before, after and its minimum."
    )
    params: ClassVar[type[WriteParams]] = EdgeParams
    destructive: ClassVar[bool] = True
    looks: ClassVar[frozenset[str]] = frozenset({"list", "status"})

    async def look(self, params: EdgeParams, readers: Readers, caller: Caller) -> Result:
        """Answer ``list`` and ``status``."""
        _check_fields(params)
        if params.mode == "apply" or params.plan_id or params.idempotency_key:
            raise InvalidInput(
                f"action={params.action} changes nothing.", remedy="Leave mode, plan_id and idempotency_key out."
            )
        return await _look(params, readers, caller)

    async def plan(self, params: EdgeParams, readers: Readers, context: PlanContext) -> Draft:
        """Return the steps and the blast radius."""
        _check_fields(params)
        if params.action in _NODE_ACTIONS:
            return await _nodes(params, readers, context.caller)
        if params.action == "rollout":
            return await _roll_out(params, readers, context)
        return await _steer(params, readers, context)


def _check_fields(params: EdgeParams) -> None:
    known = _FIELDS[params.action]
    every = frozenset[str]().union(*_FIELDS.values())
    wrong = sorted(name for name in every - known if getattr(params, name) not in ("", (), None))
    if wrong:
        raise InvalidInput(
            f"action={params.action} takes no {', '.join(wrong)}.",
            remedy=f"It takes: {', '.join(sorted(known))}, cluster.",
        )


# --- nodes -----------------------------------------------------------------------------------------------------------


async def _look(params: EdgeParams, readers: Readers, caller: Caller) -> Result:
    cluster = await find_cluster(readers, params.cluster, "edge", _what(params), lambda row: bool(_there(params, row)))
    inventory = await read_inventory(readers, cluster.name)
    chosen = _chosen(params, inventory)
    if params.action == "list":
        return listed(inventory, chosen, params.token, readers.clock.now())
    health = await read_health(readers, cluster.name, chosen, caller.principal)
    config = await readers.clusters.get(cluster.name, "v1", "ConfigMap", SITES_CONFIG_MAP, SITES_NAMESPACE)
    rollouts = await _rollouts(params, readers, cluster)
    if not (params.rollout or params.model):
        rollouts = [row for row in rollouts if not progress_of(row).settled]
    elif not rollouts:
        raise _no_rollout()
    rollouts.sort(key=_created, reverse=True)
    return status(inventory, chosen, health, config, rollouts, params.token, readers.clock.now())


async def _nodes(params: EdgeParams, readers: Readers, caller: Caller) -> Draft:
    action = cast("Literal['label', 'cordon', 'uncordon', 'drain']", params.action)
    labels = read_labels(params.labels) if action == "label" else ({}, ())
    cluster = await find_cluster(readers, params.cluster, "edge", _what(params), lambda row: bool(_there(params, row)))
    inventory = await read_inventory(readers, cluster.name)
    chosen = _chosen(params, inventory)
    health: Health | None = None
    if params.reason or action == "uncordon":
        health = await read_health(readers, cluster.name, chosen, caller.principal)
    if health and (action == "cordon" or action == "drain"):
        chosen = narrowed(chosen, health, action, params.nodes)
    change = await change_nodes(
        readers, cluster.name, inventory, chosen, action, labels=labels, grace_seconds=params.grace_seconds
    )
    reasons, risks, fleet = change.reasons, change.risks, change.facts
    if health and (action == "cordon" or action == "drain"):
        fleet = fleet.model_copy(update={"health": health_facts(chosen, health, action)})
        reasons = (*reasons, *told(chosen, health))
    elif health:
        risks = (*risks, *still_ailing(chosen, health))
    sites = sorted({row.site for row in chosen})
    where = ", ".join(sites[:4]) + (f" and {len(sites) - 4} more sites" if len(sites) > 4 else "")
    count = "1 edge node" if len(chosen) == 1 else f"{len(chosen)} edge nodes"
    return Draft(
        action=action,
        summary=f"{action.capitalize()} {count} at {where}",
        steps=change.steps,
        targets=_targets(chosen, cluster),
        facts=Facts(fleet=fleet),
        risks=risks,
        evidence=(inventory_evidence(inventory),),
        reasons=reasons,
    )


def _chosen(params: EdgeParams, inventory: Inventory) -> tuple[NodeRow, ...]:
    return select_nodes(
        inventory.nodes,
        nodes=params.nodes,
        site=params.site,
        region=params.region,
        selector=params.selector,
        looking=params.action in ManageEdgeNodes.looks,
    )


def _there(params: EdgeParams, inventory: Inventory) -> tuple[NodeRow, ...]:
    """Return the nodes of one cluster that the call means; none of some other cluster's."""
    try:
        return _chosen(params, inventory)
    except NotFound:
        return ()


def _what(params: EdgeParams) -> str:
    """Return what a call names, for a sentence about which cluster has it."""
    named = (*params.nodes[:3], params.site and f"site {params.site}", params.region and f"region {params.region}")
    return ", ".join(part for part in named if part) or "What fits"


def _targets(chosen: Sequence[NodeRow], cluster: ClusterInfo) -> tuple[Target, ...]:
    """Return one target per environment and site. An edge node that says no environment serves production: the safe reading."""
    found: set[tuple[Environment, str, str]] = {(_environment(row, cluster), row.region, row.site) for row in chosen}
    return tuple(
        Target(environment=environment, cluster=cluster.name, cloud="edge", region=region, site=site)
        for environment, region, site in sorted(found)
    )


def _environment(row: NodeRow, cluster: ClusterInfo) -> Environment:
    return _read_environment(row.labels.get(ENVIRONMENT_LABEL) or cluster.environment)


def _read_environment(said: str | None) -> Environment:
    return said if said in ENVIRONMENTS else "production"


# --- rollouts --------------------------------------------------------------------------------------------------------


async def _roll_out(params: EdgeParams, readers: Readers, context: PlanContext) -> Draft:
    if not params.model:
        raise InvalidInput("Which model?", remedy="Pass model=name:version or name@alias.")
    environment: Environment = params.environment or "dev"  # as deploy_model has it
    cluster = params.cluster
    if params.site or params.region:
        named = await find_cluster(readers, cluster, "edge", _what(params), lambda row: _has_place(params, row))
        cluster = named.name
    where = await find_place(
        readers, context, cluster=cluster, namespace=params.namespace, environment=environment, role="edge"
    )
    chosen = await choose_version(readers, params.model, environment, context.now)
    if chosen.facts.digest is None:
        raise InvalidInput(
            f"Nothing pins {chosen.name} {chosen.version.version} by digest, and sites activate nothing else.",
            remedy="Register it with register_model and source=oci://…@sha256:….",
        )
    inventory = await read_inventory(readers, where.cluster.name)
    fleet = await _fleet(params, readers, where, inventory, chosen)
    part = await edge_part(
        readers,
        where,
        chosen,
        fleet,
        percent=params.canary_percent,
        runtime="",
        force=False,
        can=await capabilities(readers, where.cluster.name),
        origin=Origin(
            model=chosen.name,
            version=chosen.version.version,
            model_digest=chosen.facts.digest,
            team=where.team,
            environment=environment,
            operation=context.operation_id,
        ),
    )
    version = chosen.version.version
    rollout = RolloutFacts(
        strategy=strategy_of(fleet.current_version, version, part.first_share),
        first_step_percent=part.first_share,
        current_version=fleet.current_version,
        replicas_before=0,
        replicas_after=0,
        analysis=part.analysis,
        golden_inputs=part.golden,
    )
    return Draft(
        action="rollout",
        summary=f"Roll {chosen.name} {version} out to {part.facts.affected} edge nodes ({environment}), "
        + _instead(fleet.current_version, version),
        steps=part.steps,
        targets=part.targets,
        facts=Facts(model=chosen.facts, rollout=rollout, fleet=part.facts),
        risks=part.risks,
        evidence=(chosen.evidence(), inventory_evidence(inventory)),
        reasons=part.reasons,
        follow=(Follow(cluster=where.cluster.name, ref=ref_of(part.steps[0].manifest)),),
    )


async def _fleet(params: EdgeParams, readers: Readers, where: Place, inventory: Inventory, chosen: Chosen) -> Fleet:
    sites, regions = [params.site] if params.site else [], [params.region] if params.region else []
    fleet = await read_fleet(readers, where, inventory, chosen, sites, regions)
    if not fleet.members:
        residency = ", ".join(chosen.facts.residency or ()) or "anywhere"
        there = ", ".join(sorted({row.region for row in _at_place(params, inventory)}))
        raise NotFound(
            "No edge node fits.",
            cause=f"Data of {chosen.name} may be processed in: {residency}; the nodes are in {there}.",
            remedy="Roll it out to sites of those regions: inspect_platform kind=nodes region=….",
        )
    return fleet


def _instead(current: str | None, version: str) -> str:
    if current == version:
        return "a release that passed before"
    return f"in place of {current}" if current else "its first release there"


def _at_place(params: EdgeParams, inventory: Inventory) -> tuple[NodeRow, ...]:
    """Return the edge nodes where a rollout is to go, whatever is known of them."""
    return select_nodes(inventory.nodes, nodes=(), site=params.site, region=params.region, selector="", looking=True)


def _has_place(params: EdgeParams, inventory: Inventory) -> bool:
    try:
        return bool(_at_place(params, inventory))
    except NotFound:
        return False


def _has_rollout(params: EdgeParams, inventory: Inventory) -> bool:
    model = _model_name(params)
    return any(
        row.kind == "EdgeRollout"
        and params.rollout in ("", row.name)
        and model in ("", row.model)
        and params.namespace in ("", row.namespace)
        for row in inventory.deployments
    )


def _model_name(params: EdgeParams) -> str:
    return params.model.partition("@")[0].partition(":")[0]


async def _steer(params: EdgeParams, readers: Readers, context: PlanContext) -> Draft:
    if not (params.rollout or params.model):
        raise InvalidInput("Which rollout?", remedy="Pass rollout (an EdgeRollout's name) or model.")
    what = f"The rollout {params.rollout or f'of {params.model}'}"
    cluster = await find_cluster(readers, params.cluster, "edge", what, lambda row: _has_rollout(params, row))
    live = await _find_rollout(params, readers, cluster)
    moment = Moment(cluster.name, context.operation_id, now=context.now)
    steered = await edge(live, cast("Action", params.action), moment, readers)
    ref, spec = ref_of(live), section(live, "spec")
    environment = _read_environment(labels_of(live).get(ENVIRONMENT_LABEL) or cluster.environment)
    return Draft(
        action=params.action,
        summary=f"{params.action.capitalize()} EdgeRollout {ref.name} of {spec.get('model')} {spec.get('version')}",
        steps=steered.steps,
        targets=(Target(environment=environment, cluster=cluster.name, namespace=ref.namespace, cloud="edge"),),
        risks=steered.risks,
        reasons=(
            progress_of(live).text(),
            *(await touched_by(live, readers, cluster.name) if params.action == "rollback" else ()),
        ),
        follow=tuple(Follow(cluster=cluster.name, ref=row) for row in steered.follow or (ref,)),
    )


async def _find_rollout(params: EdgeParams, readers: Readers, cluster: ClusterInfo) -> type_json:
    """Return the rollout that is named, or the newest one of the model.

    Raises:
        InvalidInput: several namespaces have one of that name.
        NotFound: there is none.
    """
    found = await _rollouts(params, readers, cluster)
    if not found:
        every = await list_if_served(readers, cluster.name, API, "EdgeRollout", namespace=params.namespace or None)
        raise _no_rollout(every)
    spaces = sorted({str(metadata_of(row).get("namespace")) for row in found})
    if len(spaces) > 1:
        raise InvalidInput(f"There are such rollouts in {', '.join(spaces)}.", remedy="Pass namespace.")
    return max(found, key=lambda row: (int(section(row, "spec").get("generationOf") or 0), _created(row)))


def _no_rollout(others: Sequence[type_json] = ()) -> NotFound:
    newest = sorted(others, key=_created, reverse=True)[:5]
    names = [f"{metadata_of(row).get('name')} ({section(row, 'spec').get('model')})" for row in newest]
    return NotFound(
        "There is no such rollout.",
        cause=f"The newest ones: {', '.join(names)}." if names else "",
        remedy="Pass rollout or model; inspect_platform kind=deployments state=edge lists them.",
    )


async def _rollouts(params: EdgeParams, readers: Readers, cluster: ClusterInfo) -> list[type_json]:
    """Return the rollouts of the name and of the model that the call gives."""
    model = _model_name(params)
    return [
        row
        for row in await list_if_served(readers, cluster.name, API, "EdgeRollout", namespace=params.namespace or None)
        if (not params.rollout or metadata_of(row).get("name") == params.rollout)
        and (not model or section(row, "spec").get("model") == model)
    ]


def _created(row: type_json) -> str:
    return str(metadata_of(row).get("creationTimestamp", ""))
