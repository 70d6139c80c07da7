"""Train a model on its golden path: one run at a time, judged by its history, and never promoted by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ai_platform_mcp.core.errors import CapabilityMissing, InvalidInput
from ai_platform_mcp.core.facts import ComputeFacts, Facts, ModelFacts, ObjectChange
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Cost, Draft, Evidence, Follow, Risk, Submit
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import RunRow
from ai_platform_mcp.core.tool import PlanContext, WriteParams
from ai_platform_mcp.domain.evidence import model_facts
from ai_platform_mcp.domain.namespaces import Environment
from ai_platform_mcp.domain.objects import TEAM_LABEL, labels_of, metadata_of, parse_time, preconditions, ref_of
from ai_platform_mcp.domain.placement import Need
from ai_platform_mcp.domain.progress import progress_of
from ai_platform_mcp.domain.retraining import TrainingRun, facts_of, history
from ai_platform_mcp.domain.retraining import running as running_of
from ai_platform_mcp.domain.versions import check_name
from ai_platform_mcp.manifests import argo
from ai_platform_mcp.manifests.common import MODEL_LABEL, Origin, label_value
from ai_platform_mcp.manifests.trainer import PYTORCHJOB_API, RAY_API, TRAINJOB_API, outlives_its_hours
from ai_platform_mcp.tools._accelerators import find_pool
from ai_platform_mcp.tools._places import Places, at_each, find_places
from ai_platform_mcp.tools._reading import Place, budget_left, list_if_served
from ai_platform_mcp.tools._signals import drift_milli, performance_drop_milli
from ai_platform_mcp.tools._training import Order, job_of, kinds_of

KINDS = ((TRAINJOB_API, "TrainJob"), (PYTORCHJOB_API, "PyTorchJob"), (RAY_API, "RayJob"), (argo.API, "Workflow"))
RUNS_READ = 50
_PARAMETER = re.compile(r"^([A-Za-z_][A-Za-z0-9_-]{0,62})=(.*)$", re.S)


class TriggerRetrainingParams(WriteParams):
    """Which model, why, and what differs from its golden path."""

    model: Annotated[str, Field(description="need not be registered")]
    reason: Literal["manual", "drift", "performance", "schedule", "data"] = "manual"
    golden_path: str = "finetune"
    parameters: Annotated[tuple[str, ...], Field(description="name=value")] = ()
    accelerator: str = ""
    count: Annotated[int | None, Field(description="devices per node", ge=1)] = None
    nodes: Annotated[int | None, Field(ge=1)] = None
    hours: Annotated[int | None, Field(ge=1)] = None
    capacity: Literal["auto", "on_demand", "spot"] = "auto"
    checkpoint: Annotated[str, Field(description="URI; spot needs it")] = ""
    environment: Environment = "dev"
    cluster: str = ""
    namespace: str = ""


@dataclass(frozen=True)
class _Job:
    """A training object of the model in a cluster."""

    where: Place
    live: type_json
    run: TrainingRun


class TriggerRetraining:
    """Plans one training run, or returns the one that is active."""

    name: ClassVar[str] = "trigger_retraining"
    title: ClassVar[str] = "Train or retrain a model"
    description: ClassVar[str] = (
        "Start a training run from a golden path, whose defaults fill what is left out. Returns the active run if there is "
        "one; drift and performance must both be measured. Never registers or promotes."
    )
    params: ClassVar[type[WriteParams]] = TriggerRetrainingParams
    destructive: ClassVar[bool] = False

    async def plan(self, params: TriggerRetrainingParams, readers: Readers, context: PlanContext) -> Draft:
        """Return the training job that would be submitted, or a draft without steps that names the active run."""
        path = golden_path(readers, params.golden_path)
        check_name(params.model)
        places = await find_places(
            readers,
            context,
            cluster=params.cluster,
            namespace=params.namespace,
            environment=params.environment,
            role="cloud",
        )

        async def jobs_at(where: Place) -> list[_Job]:
            if places.several:
                await _require_trainer(readers, where, path)
            return await _jobs(readers, where, params.model)

        places, found = await at_each(places, jobs_at)
        jobs = [job for rows in found for job in rows]
        tracked = await readers.registry.runs(experiment=str(path.get("experiment") or params.model), limit=RUNS_READ)
        facts = await _model(readers, params.model, places.found[0].team, context)
        past = _tracked(tracked, path, facts)
        running = running_of([job.run for job in jobs])
        if running is not None:
            active = next(job for job in jobs if job.run is running)
            return await _already(params, readers, context, facts, active, [*past, *_others(jobs, active)])
        return await _start(params, readers, context, places, path, facts, [*past, *(job.run for job in jobs)])


def golden_path(readers: Readers, name: str) -> type_json:
    """Return a golden path of the platform file.

    Raises:
        InvalidInput: there is none of that name.
    """
    path = readers.platform.golden_paths.get(name)
    if path is None:
        known = (
            ", ".join(sorted(readers.platform.golden_paths)) or "none; add one under golden_paths in the platform file"
        )
        raise InvalidInput(f"There is no golden path {name!r}.", remedy=f"Golden paths: {known}.")
    return path


# ------------------------------------------------------------------------------------------------------------ reading


async def _model(readers: Readers, name: str, trainer: str, context: PlanContext) -> ModelFacts:
    """Return what the registry says; of a model that is not registered yet, that it belongs to the team that trains it."""
    model = await readers.registry.model(name)
    version = await readers.registry.version(name, model.latest) if model and model.latest else None
    if version is not None:
        return model_facts(version, model, context.now)
    team = (model.tags.get("aiplatform.team") if model else None) or trainer
    return ModelFacts(
        name=name,
        version="",
        aliases=(),
        source="",
        digest=None,
        signed=False,
        card=False,
        licence=None,
        owner_team=team,
        residency=(),
        gates=(),
    )


async def _require_trainer(readers: Readers, where: Place, path: type_json) -> None:
    """Raise CapabilityMissing where the golden path cannot be trained by, so that a cheap pool there is no use."""
    kinds, name = kinds_of(path)
    for api, kind in KINDS:
        if kind in kinds and await readers.clusters.serves(where.cluster.name, api, kind):
            return
    raise CapabilityMissing(f"It does not serve {name}.")


async def _jobs(readers: Readers, where: Place, model: str) -> list[_Job]:
    """Return the model's training objects in the namespace, of every kind that is served."""
    label = f"{MODEL_LABEL}={label_value(model)}"
    found: list[_Job] = []
    for api, kind in KINDS:
        for live in await list_if_served(
            readers, where.cluster.name, api, kind, namespace=where.namespace.name, labels=label
        ):
            meta = metadata_of(live)
            run = TrainingRun(
                name=f"{kind} {meta.get('name')}",
                started=parse_time(meta.get("creationTimestamp")),
                active=not progress_of({"kind": kind, **live}).settled,
            )
            found.append(_Job(where=where, live={"apiVersion": api, "kind": kind, **live}, run=run))
    return found


def _others(jobs: list[_Job], active: _Job) -> list[TrainingRun]:
    return [job.run for job in jobs if job is not active]


def _tracked(runs: Any, path: type_json, facts: ModelFacts) -> list[TrainingRun]:
    """Return finished runs of the tracking server with their score by the primary metric, higher is better.

    The golden path names the metric (``metric``, and ``better: lower`` where it is a loss); else it is the model's first gate.
    """
    metric = str(path.get("metric") or (facts.gates[0].metric if facts.gates else ""))
    sign = -1.0 if path.get("better") == "lower" else 1.0
    rows: list[RunRow] = [row for row in runs if row.status not in ("RUNNING", "SCHEDULED")]
    return [
        TrainingRun(
            name=row.run_id,
            started=row.started,
            active=False,
            score=sign * row.metrics[metric] if metric in row.metrics else None,
        )
        for row in rows
    ]


# ------------------------------------------------------------------------------------------------------------- drafts


async def _already(
    params: TriggerRetrainingParams,
    readers: Readers,
    context: PlanContext,
    model: ModelFacts,
    active: _Job,
    others: list[TrainingRun],
) -> Draft:
    """Return a draft that changes nothing and points at the active run."""
    where = active.where
    ref = ref_of(active.live)
    progress = progress_of(active.live)
    change = ObjectChange(
        action="none",
        system="kubernetes",
        kind=ref.kind,
        name=ref.name,
        namespace=ref.namespace,
        owner_team=labels_of(active.live).get(TEAM_LABEL),
    )
    left = await budget_left(readers, where.team, context.now)
    return Draft(
        action="retrain",
        summary=f"{params.model} is in training already: {ref}. Nothing new is started.",
        steps=(),
        targets=(where.target(),),
        facts=Facts(
            model=model,
            compute=ComputeFacts(purpose="train", accelerator="", count=0, hours=0, spot=False, checkpoint=False),
            retrain=facts_of(params.reason, others, context.now),
            changes=(change,),
        ),
        cost=Cost(hourly_cents=0, total_cents=0, budget_left_cents=left, basis="nothing is started"),
        evidence=(
            Evidence(
                source="cluster", subject=str(ref), version=str(metadata_of(active.live).get("resourceVersion", ""))
            ),
        ),
        reasons=(f"One run at a time: {ref} is active. {progress.sentence}",),
        follow=(Follow(cluster=where.cluster.name, ref=ref),),
    )


async def _start(
    params: TriggerRetrainingParams,
    readers: Readers,
    context: PlanContext,
    places: Places,
    path: type_json,
    model: ModelFacts,
    runs: list[TrainingRun],
) -> Draft:
    who = context.caller.principal
    drift = await drift_milli(readers, who, params.model) if params.reason != "manual" else None
    drop = await performance_drop_milli(readers, who, params.model) if params.reason != "manual" else None
    facts = facts_of(params.reason, runs, context.now, drift_milli=drift, performance_drop_milli=drop)
    placed = await find_pool(readers, places, _need(params, path), context)
    where = placed.where
    order = _order(params, path, where, context)
    job = await job_of(order, placed, readers)
    ref = ref_of(job.manifest)
    step = Submit(
        title=f"Submit {ref} to queue {placed.pool.local_queue}", cluster=where.cluster.name, manifest=job.manifest
    )
    step = step.model_copy(update={"preconditions": preconditions(step, None)})
    need, ends = placed.need, not outlives_its_hours(job.manifest)
    return Draft(
        action="retrain",
        summary=f"Train {params.model} ({params.reason}) by {params.golden_path}: {need.devices} × "
        f"{placed.pool.accelerator} for {need.hours} h on {placed.flavors} in {placed.place_name}.",
        steps=(*placed.claim_steps(order.origin), step),
        targets=placed.targets(),
        facts=Facts(
            model=model,
            compute=placed.compute_facts(ends=ends),
            quota=placed.quota_facts(),
            retrain=facts,
        ),
        cost=placed.cost,
        risks=(*placed.risks(), *places.unseen_risk(f"A run of {params.model}"), *job.risks, *_risks(model)),
        evidence=(placed.evidence(),),
        reasons=(
            *history(facts),
            *placed.reasons,
            *job.reasons,
            "The run ends in the tracking server; registering is a step of its own.",
        ),
        follow=(Follow(cluster=where.cluster.name, ref=ref),),
    )


def _risks(model: ModelFacts) -> tuple[Risk, ...]:
    if model.version:
        return ()
    return (Risk(severity="info", text="The model is not registered yet: this is its first training."),)


def _need(params: TriggerRetrainingParams, path: type_json) -> Need:
    hours = params.hours or _whole(path, "hours")
    if hours is None:
        raise InvalidInput(
            f"For how long? The golden path {params.golden_path!r} names no hours.",
            remedy="Pass hours: the run is priced by them and stopped after them.",
        )
    return Need(
        purpose="train",
        accelerator=params.accelerator or str(path.get("accelerator") or ""),
        count=params.count or _whole(path, "count") or 1,
        nodes=params.nodes or _whole(path, "nodes") or 1,
        hours=hours,
        capacity=params.capacity,
        checkpoint=bool(params.checkpoint or path.get("checkpoint")),
    )


def _whole(path: type_json, key: str) -> int | None:
    value = path.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _order(params: TriggerRetrainingParams, path: type_json, where: Place, context: PlanContext) -> Order:
    """Return what the call and its golden path ask for together."""
    said = params.checkpoint or path.get("checkpoint")
    return Order(
        model=params.model,
        golden_path=params.golden_path,
        path=path,
        parameters=_parameters(params, path),
        checkpoint=said if isinstance(said, str) else "",
        sized=tuple(name for name in ("count", "nodes") if getattr(params, name) is not None),
        origin=Origin(
            model=params.model, team=where.team, environment=where.environment, operation=context.operation_id
        ),
        operation_id=context.operation_id,
    )


def _parameters(params: TriggerRetrainingParams, path: type_json) -> dict[str, str]:
    """Return the golden path's parameters with those of the call on top."""
    declared: type_json = path.get("parameters") or {}
    values = {str(key): str(value) for key, value in declared.items()}
    for text in params.parameters:
        found = _PARAMETER.match(text)
        if found is None:
            raise InvalidInput(f"{text[:60]!r} is no parameter.", remedy="Write name=value.")
        values[found[1]] = found[2]
    return values
