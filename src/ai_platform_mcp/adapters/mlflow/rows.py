"""MLflow's entities as our rows. Texts that people wrote into the registry are cut; tags are kept whole, they are evidence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import ModelRow, RunRow, VersionRow

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

TEXT_BUDGET = 1000


def model_row(model: RegisteredModel) -> ModelRow:
    """Return a registered model. MLflow names the latest version of each stage; the highest of them is the latest."""
    numbers = [int(version.version) for version in model.latest_versions or []]
    return ModelRow(
        name=model.name,
        description=untrusted(model.description or "", TEXT_BUDGET),
        aliases=alias_map(model),
        tags={str(key): str(value) for key, value in (model.tags or {}).items()},
        latest=str(max(numbers)) if numbers else "",
        updated=moment(model.last_updated_timestamp),
    )


def alias_map(model: RegisteredModel) -> dict[str, str]:
    """Return which version each alias points at."""
    return {str(alias): str(version) for alias, version in (model.aliases or {}).items()}


def version_row(version: ModelVersion, aliases: Mapping[str, str]) -> VersionRow:
    """Return a version; its aliases come from the registered model, since a search does not fill them in."""
    number = str(version.version)
    return VersionRow(
        model=version.name,
        version=number,
        created=moment(version.creation_timestamp) or datetime.fromtimestamp(0, UTC),
        source=version.source or "",
        run_id=version.run_id or None,
        status=str(version.status or ""),
        description=untrusted(version.description or "", TEXT_BUDGET),
        aliases=tuple(sorted(alias for alias, pointed in aliases.items() if pointed == number)),
        tags={str(key): str(value) for key, value in (version.tags or {}).items()},
    )


def run_row(run: Run, experiment: str) -> RunRow:
    """Return a run with the last value of each metric, and its datasets as ``name@digest``."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return RunRow(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        experiment=experiment,
        status=str(run.info.status),
        started=moment(run.info.start_time),
        ended=moment(run.info.end_time),
        metrics=dict(run.data.metrics),
        params=dict(run.data.params),
        tags={key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")},
        datasets=tuple(f"{item.dataset.name}@{item.dataset.digest}" for item in inputs),
        artifact_uri=run.info.artifact_uri or "",
    )


def moment(milliseconds: int | None) -> datetime | None:
    """Return a time that MLflow counts in milliseconds."""
    return None if not milliseconds else datetime.fromtimestamp(milliseconds / 1000, UTC)
