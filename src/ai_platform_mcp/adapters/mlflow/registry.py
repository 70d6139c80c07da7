"""The registry: core.ports.RegistryReader and RegistryWriter over MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ai_platform_mcp.adapters.mlflow.calls import Calls
from ai_platform_mcp.adapters.mlflow.rows import alias_map, model_row, run_row, version_row
from ai_platform_mcp.core.errors import InvalidInput, NotFound, PlanStale, PlatformError
from ai_platform_mcp.core.permit import require_permit
from ai_platform_mcp.core.plan import CreateVersion, RegistryStep, SetAlias, SetTag
from ai_platform_mcp.core.rows import ModelPage, ModelRow, Outcome, RunRow, Stamp, VersionPage, VersionRow
from ai_platform_mcp.domain.evidence import OPERATION

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.tracking import MlflowClient

STEP_TAG = "aiplatform.step"
PLAN_TAG = "aiplatform.plan"
_EXPERIMENTS = 1000
"""How many experiments a search over all of them covers."""


class MlflowRegistry:
    """MLflow behind our ports: a server over REST, or its SQL store directly.

    MLflow moves an alias without compare-and-set. ``SetAlias`` reads the alias right before it moves it and refuses with
    PlanStale when it points elsewhere than the plan says; between that read and the move, some milliseconds, another
    writer can still slip in.
    """

    def __init__(self, uri: str, seconds: float = 15.0):
        """Take the tracking URI and the deadline of one call; nothing is imported or contacted yet.

        Raises:
            Misconfigured: the URI is empty.
        """
        self._calls = Calls(uri, seconds)

    async def models(self, *, contains: str = "", limit: int = 50, token: str = "") -> ModelPage:
        """Return one page of registered models, by name."""
        wanted = f"name ILIKE {_quoted(f'%{contains}%')}" if contains else None

        def work(client: MlflowClient) -> ModelPage:
            found = client.search_registered_models(
                filter_string=wanted, max_results=limit, order_by=["name ASC"], page_token=token or None
            )
            rows = tuple(model_row(model) for model in found)
            return ModelPage(items=rows, token=found.token or "")

        return await self._calls.read(work)

    async def model(self, name: str) -> ModelRow | None:
        """Return one model with its aliases."""

        def work(client: MlflowClient) -> ModelRow | None:
            model = _find_model(client, name)
            return None if model is None else model_row(model)

        return await self._calls.read(work)

    async def versions(self, name: str, *, limit: int = 20, token: str = "") -> VersionPage:
        """Return versions with their aliases, newest first."""
        wanted = f"name = {_quoted(name)}"

        def work(client: MlflowClient) -> VersionPage:
            model = _find_model(client, name)
            if model is None:
                return VersionPage(items=())
            found = client.search_model_versions(
                wanted, max_results=limit, order_by=["version_number DESC"], page_token=token or None
            )
            rows = tuple(version_row(version, alias_map(model)) for version in found)
            return VersionPage(items=rows, token=found.token or "")

        return await self._calls.read(work)

    async def version(self, name: str, version: str) -> VersionRow | None:
        """Return one version by number or by alias (``@champion`` or ``champion``)."""

        def work(client: MlflowClient) -> VersionRow | None:
            model = _find_model(client, name)
            if model is None:
                return None
            aliases = alias_map(model)
            number = version if version.isdigit() else aliases.get(version.removeprefix("@"), "")
            found = _find_version(client, name, number) if number else None
            return None if found is None else version_row(found, aliases)

        return await self._calls.read(work)

    async def run(self, run_id: str) -> RunRow | None:
        """Return one run."""

        def work(client: MlflowClient) -> RunRow | None:
            try:
                run = client.get_run(run_id)
            except Exception as error:
                if _missing(error):
                    return None
                raise
            return run_row(run, client.get_experiment(run.info.experiment_id).name)

        return await self._calls.read(work)

    async def runs(self, *, experiment: str = "", contains: str = "", limit: int = 20) -> Sequence[RunRow]:
        """Return the newest runs of an experiment (of the 1,000 newest experiments where empty)."""
        wanted = f"attributes.run_name ILIKE {_quoted(f'%{contains}%')}" if contains else ""

        def work(client: MlflowClient) -> Sequence[RunRow]:
            if experiment:
                one = client.get_experiment_by_name(experiment)
                names = {one.experiment_id: one.name} if one else {}
            else:
                names = {item.experiment_id: item.name for item in client.search_experiments(max_results=_EXPERIMENTS)}
            if not names:
                return ()
            found = client.search_runs(
                list(names), filter_string=wanted, max_results=limit, order_by=["attributes.start_time DESC"]
            )
            return [run_row(run, names[run.info.experiment_id]) for run in found]

        return await self._calls.read(work)

    async def execute(self, step: RegistryStep, stamp: Stamp) -> Outcome:
        """Perform the step; idempotent for the same stamp.

        Raises:
            Forbidden: no permit is open, or MLflow refuses this identity.
            PlanStale: an alias that the step moves or relies on was moved since the plan was made.
            OutcomeUnknown: it was sent and no answer came.
        """
        require_permit(f"change the model registry ({step.kind})")

        def work(client: MlflowClient) -> Outcome:
            if isinstance(step, CreateVersion):
                return _create_version(client, step, stamp)
            if isinstance(step, SetAlias):
                return _set_alias(client, step)
            return _set_tag(client, step)

        return await self._calls.write(work)

    async def read_back(self, step: RegistryStep, stamp: Stamp) -> bool:
        """Tell whether the step's effect is there; a version counts with all its aliases."""

        def work(client: MlflowClient) -> bool:
            model = _find_model(client, step.model)
            if model is None:
                return False
            aliases = alias_map(model)
            if isinstance(step, CreateVersion):
                made = _made_by(client, step, stamp)
                return made is not None and all(aliases.get(alias) == str(made.version) for alias in step.aliases)
            if isinstance(step, SetAlias):
                return aliases.get(step.alias) == step.version
            return _tag(client, step) == step.value

        return await self._calls.read(work)


def _create_version(client: MlflowClient, step: CreateVersion, stamp: Stamp) -> Outcome:
    """Create the version unless this operation has made it already, then point its aliases at it."""
    made = _made_by(client, step, stamp)
    state = "unchanged"
    _check_aliases(client, step, "" if made is None else str(made.version))
    if made is None:
        _make_model(client, step)
        own = {OPERATION: stamp.operation_id, STEP_TAG: step.id, PLAN_TAG: stamp.plan_digest}
        made = client.create_model_version(
            step.model,
            step.source,
            run_id=step.run_id,
            description=step.description or None,
            tags={**step.tags, **stamp.annotations, **own},
            await_creation_for=0,
        )
        state = "applied"
    model = _find_model(client, step.model)
    aliases = alias_map(model) if model else {}
    for alias in step.aliases:
        if aliases.get(alias) != str(made.version):
            client.set_registered_model_alias(step.model, alias, str(made.version))
            state = "applied"
    return Outcome(state=state, version=str(made.version))


def _check_aliases(client: MlflowClient, step: CreateVersion, made: str) -> None:
    """Refuse the step where an alias of its preconditions moved, unless to the version that the step made before."""
    for condition in step.preconditions:
        if condition.kind != "alias":
            continue
        name, _, alias = condition.subject.rpartition("@")
        model = _find_model(client, name)
        current = (alias_map(model) if model else {}).get(alias, "")
        if current != condition.expected and (not made or current != made):
            raise _moved(name, alias, condition.expected, current)


def _moved(model: str, alias: str, expected: str | None, found: str | None) -> PlanStale:
    return PlanStale(
        f"Alias {alias} of {model} points at {found or 'nothing'}.",
        cause=f"The plan expected {expected or 'nothing'}; somebody moved it since.",
        remedy="Plan again.",
        details={"expected": expected, "found": found},
    )


def _make_model(client: MlflowClient, step: CreateVersion) -> None:
    """Create the registered model unless it exists; another writer may do so in the same moment."""
    if _find_model(client, step.model) is not None:
        return
    try:
        client.create_registered_model(step.model, tags=dict(step.model_tags))
    except Exception as error:
        if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":
            raise


def _made_by(client: MlflowClient, step: CreateVersion, stamp: Stamp) -> ModelVersion | None:
    """Return the version that this very step of this operation made."""
    wanted = f"name = {_quoted(step.model)} and tag.`{OPERATION}` = {_quoted(stamp.operation_id)}"
    found = client.search_model_versions(wanted, max_results=100)
    return next((version for version in found if (version.tags or {}).get(STEP_TAG, "") == step.id), None)


def _set_alias(client: MlflowClient, step: SetAlias) -> Outcome:
    model = _find_model(client, step.model)
    if model is None:
        raise NotFound(f"There is no model {step.model}.", remedy="Register it first.")
    current = alias_map(model).get(step.alias)
    if current == step.version:
        return Outcome(state="unchanged", version=step.version)
    if current != step.expected:
        raise _moved(step.model, step.alias, step.expected, current)
    client.set_registered_model_alias(step.model, step.alias, step.version)
    return Outcome(state="applied", version=step.version)


def _set_tag(client: MlflowClient, step: SetTag) -> Outcome:
    if _tag(client, step) == step.value:
        return Outcome(state="unchanged", version=step.version or "")
    if step.version is None:
        client.set_registered_model_tag(step.model, step.key, step.value)
    else:
        client.set_model_version_tag(step.model, step.version, step.key, step.value)
    return Outcome(state="applied", version=step.version or "")


def _tag(client: MlflowClient, step: SetTag) -> str | None:
    owner = _find_model(client, step.model) if step.version is None else _find_version(client, step.model, step.version)
    return None if owner is None else (owner.tags or {}).get(step.key)


def _find_model(client: MlflowClient, name: str) -> RegisteredModel | None:
    try:
        return client.get_registered_model(name)
    except Exception as error:
        if _missing(error):
            return None
        raise


def _find_version(client: MlflowClient, name: str, number: str) -> ModelVersion | None:
    try:
        return client.get_model_version(name, number)
    except Exception as error:
        if _missing(error):
            return None
        raise


def _missing(error: Exception) -> bool:
    return not isinstance(error, PlatformError) and getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"


def _quoted(text: str) -> str:
    """Return a text as a string of MLflow's search language, which has no escapes.

    Raises:
        InvalidInput: it holds both kinds of quotes, or a backslash.
    """
    if "\\" in text or ('"' in text and "'" in text):
        raise InvalidInput("This name cannot be searched for.", remedy="Leave out quotes and backslashes.")
    return f"'{text}'" if '"' in text else f'"{text}"'
