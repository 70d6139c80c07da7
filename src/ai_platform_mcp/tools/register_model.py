"""From a finished run to a model version with evidence: digest, dataset, gates, card, licence."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput, NotFound
from ai_platform_mcp.core.facts import Facts
from ai_platform_mcp.core.plan import CreateVersion, Draft, Evidence, Precondition, Risk
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import ModelRow, RunRow, VersionRow
from ai_platform_mcp.core.tool import PlanContext, WriteParams
from ai_platform_mcp.domain import evidence
from ai_platform_mcp.domain.gates import GateResult, judge_gates, parse_threshold
from ai_platform_mcp.domain.model_views import metrics_text
from ai_platform_mcp.domain.versions import FORMAT, SIZE_MIB

CHAMPION = "champion"
SOURCE = "aiplatform.source"
"""Tag of a run: the address that training published the artifact under, where that is not the run's own artifact store."""
CARRIED = (
    evidence.DIGEST,
    evidence.SIGNATURE,
    evidence.CARD,
    evidence.LICENCE,
    evidence.RESIDENCY,
    evidence.GOLDEN_INPUTS,
    evidence.GOLDEN_INPUTS_DIGEST,
    FORMAT,
    SIZE_MIB,
)
"""Evidence that a run's own tags may hold, taken over where the call does not say it."""


class RegisterParams(WriteParams):
    """What to register, and what is declared of it."""

    model: Annotated[str, Field(min_length=1, max_length=200)]
    run_id: Annotated[str, Field(description="else the newest finished run of the experiment named like the model")] = (
        ""
    )
    source: Annotated[str, Field(description="artifact URI, e.g. oci://…@sha256:…")] = ""
    format: Annotated[str, Field(description="of the weights: onnx, huggingface, sklearn …", max_length=40)] = ""
    licence: Annotated[str, Field(description="SPDX id", max_length=100)] = ""
    card: Annotated[str, Field(description="model card URI", max_length=500)] = ""
    thresholds: Annotated[tuple[str, ...], Field(description="gates: accuracy>=0.9", max_length=20)] = ()
    description: Annotated[str, Field(max_length=1000)] = ""
    alias: Annotated[str, Field(description="e.g. challenger", max_length=100)] = ""


class RegisterModel:
    """Plans one CreateVersion step; what it finds is stored as evidence tags that policy reads later."""

    name: ClassVar[str] = "register_model"
    title: ClassVar[str] = "Register a model version"
    description: ClassVar[str] = (
        "Register a version from a tracked run with evidence: digest, dataset, gate verdicts, card, licence."
    )
    params: ClassVar[type[WriteParams]] = RegisterParams
    destructive: ClassVar[bool] = False

    async def plan(self, params: RegisterParams, readers: Readers, context: PlanContext) -> Draft:
        """Return the new version with its evidence.

        Raises:
            NotFound: no such run, or no finished one.
            InvalidInput: a threshold on a metric that the run did not log, or the champion alias.
        """
        if params.alias == CHAMPION:
            raise InvalidInput(
                "A new version cannot be born champion.",
                remedy="Register it, then promote_model: that asks for the proof.",
            )
        thresholds = tuple(parse_threshold(text) for text in params.thresholds)
        run = await _run(params, readers)
        results = judge_gates(thresholds, run.metrics)
        _check_measured(results, run)
        tags = _tags(params, run, results)
        model = await readers.registry.model(params.model)
        step = _step(params, run, tags, model, context)
        prospective = VersionRow(
            model=params.model,
            version="new",
            created=context.now,
            source=step.source,
            run_id=run.run_id,
            status="READY",
            aliases=step.aliases,
            tags=tags,
        )
        facts = evidence.model_facts(prospective, model or _newborn(params, step), context.now)
        return Draft(
            action="register",
            summary=f"Register a version of {params.model} from run {run.name or run.run_id} ({metrics_text(run)})",
            steps=(step,),
            targets=(),
            facts=Facts(model=facts),
            risks=await _risks(params, run, tags, step.source, readers),
            evidence=(Evidence(source="registry", subject=f"run {run.run_id}", version=run.status),),
            reasons=(*(row.sentence() for row in results), *_provenance(run, facts.digest)),
        )


async def _run(params: RegisterParams, readers: Readers) -> RunRow:
    if params.run_id:
        run = await readers.registry.run(params.run_id)
        if run is None:
            raise NotFound(
                f"There is no run {params.run_id!r}.",
                remedy=f"inspect_platform kind=versions name={params.model} lists finished runs that are not registered.",
            )
    else:
        runs = await readers.registry.runs(experiment=params.model, limit=20)
        run = next((row for row in runs if row.status == "FINISHED"), None)
        if run is None:
            states = ", ".join(f"{row.name} {row.status}" for row in runs[:5]) or "no runs at all"
            raise NotFound(
                f"The experiment {params.model!r} has no finished run.",
                cause=f"It has: {states}.",
                remedy="Pass run_id, or train.",
            )
    if run.status != "FINISHED":
        raise InvalidInput(
            f"Run {run.name or run.run_id} is {run.status}, not FINISHED.",
            remedy="Wait for it, or pass another run_id.",
        )
    return run


def _check_measured(results: tuple[GateResult, ...], run: RunRow) -> None:
    missing = [row.threshold.metric for row in results if row.value_milli is None]
    if missing:
        raise InvalidInput(
            f"The run logged no {', '.join(missing)}.",
            remedy=f"Metrics of the run: {', '.join(sorted(run.metrics)) or 'none'}.",
        )


def _tags(params: RegisterParams, run: RunRow, results: tuple[GateResult, ...]) -> dict[str, str]:
    tags = {key: run.tags[key] for key in CARRIED if run.tags.get(key)}
    own = evidence.digest_of_version(_source(params, run), {})
    said = {
        evidence.LICENCE: params.licence,
        evidence.CARD: params.card,
        evidence.DIGEST: own or "",
        FORMAT: params.format.lower(),
    }
    tags |= {key: value for key, value in said.items() if value}
    if results:
        tags[evidence.GATES] = evidence.gates_tag(_gates(results, run))
    return tags


def _source(params: RegisterParams, run: RunRow) -> str:
    return params.source or run.tags.get(SOURCE) or f"{run.artifact_uri.rstrip('/')}/model"


def _gates(results: tuple[GateResult, ...], run: RunRow) -> list[evidence.Gate]:
    """Return the verdicts as of when the run measured: judging an old number today does not make it a new one."""
    measured = run.ended or run.started
    if measured is None:
        raise InvalidInput("The run says no time, so its verdicts would have no age.", remedy="Pass a run that ended.")
    dataset = next((digest for row in run.datasets if (digest := _dataset_digest(row))), "")
    return [
        evidence.Gate(
            metric=row.threshold.metric,
            value_milli=row.value_milli or 0,
            threshold_milli=row.threshold.milli,
            verdict="pass" if row.passed else "fail",
            evaluated_at=measured,
            dataset_digest=dataset,
        )
        for row in results
    ]


def _dataset_digest(text: str) -> str:
    """Return the digest of an input as runs list them, ``name@digest``; empty where it names none."""
    return text.rpartition("@")[2] if "@" in text else ""


def _step(
    params: RegisterParams, run: RunRow, tags: dict[str, str], model: ModelRow | None, context: PlanContext
) -> CreateVersion:
    subject = f"{params.model}@{params.alias}"
    holder = (model.aliases.get(params.alias, "") if model else "") if params.alias else ""
    return CreateVersion(
        title=f"Create a version of {params.model} from run {run.run_id}"
        + (f", alias {params.alias}" if params.alias else ""),
        model=params.model,
        source=_source(params, run),
        run_id=run.run_id,
        description=params.description,
        tags=tags,
        model_tags={evidence.TEAM: context.caller.principal.team},
        aliases=(params.alias,) if params.alias else (),
        preconditions=(Precondition(kind="alias", subject=subject, expected=holder),) if params.alias else (),
    )


def _newborn(params: RegisterParams, step: CreateVersion) -> ModelRow:
    """Return the model as the step would create it: owned by the caller's team."""
    return ModelRow(name=params.model, tags=step.model_tags)


async def _risks(
    params: RegisterParams, run: RunRow, tags: dict[str, str], source: str, readers: Readers
) -> tuple[Risk, ...]:
    risks: list[Risk] = []
    told = run.tags.get(evidence.DIGEST, "")
    if told and tags.get(evidence.DIGEST) != told:
        risks.append(Risk(severity="danger", text=f"The source's digest is not the one the run recorded ({told})."))
    if evidence.digest_of_version(source, tags) is None:
        risks.append(Risk(severity="warning", text="Nothing pins the artifact: pass source as oci://…@sha256:…."))
    page = await readers.registry.versions(params.model, limit=20)
    twins = [row.version for row in page.items if row.run_id == run.run_id]
    if twins:
        risks.append(Risk(severity="info", text=f"This run is registered already, as version {', '.join(twins)}."))
    return tuple(risks)


def _provenance(run: RunRow, digest: str | None) -> tuple[str, ...]:
    told = [f"artifact {digest}"] if digest else []
    told += [f"dataset {row}" for row in run.datasets[:2]]
    return (", ".join(told),) if told else ()
