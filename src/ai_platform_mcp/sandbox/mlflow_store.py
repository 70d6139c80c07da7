"""The sandbox's registry: a real MLflow SQL store, filled once with a small world of models, runs and evidence.

The one place in the sandbox that imports a backend's library: MLflow's store is the server here, and only MLflow writes it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from ai_platform_mcp.domain import evidence
from ai_platform_mcp.domain.language import TASK
from ai_platform_mcp.domain.versions import FORMAT, SIZE_MIB

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SEEDED = "aiplatform.sandbox"
"""Name of the experiment that is made last: where it is, the world is whole."""
REGISTRY = "registry.sandbox.example"
JOB_UID = "aiplatform.trainjob.uid"
"""Tag of a run: the uid of the TrainJob that made it."""
SOURCE = "aiplatform.source"
"""Tag of a run: the address its artifact was published under."""


@dataclass(frozen=True)
class Release:
    """One registered version: what was measured, and what is proven of it."""

    accuracy: float
    days_ago: float
    signed: bool = True
    card: bool = True
    gated: bool = True


@dataclass(frozen=True)
class SeedModel:
    """A registered model with its versions, oldest first."""

    name: str
    team: str
    description: str
    licence: str
    dataset: str
    threshold: float
    releases: tuple[Release, ...]
    aliases: dict[str, int]
    metric: str = "accuracy"
    residency: str = ""
    format: str = "onnx"
    task: str = ""
    size_mib: int = 234
    params: dict[str, str] = field(default_factory=dict[str, str])


MODELS = (
    SeedModel(
        "vision-v2",
        "vision",
        "Defect detection on the assembly line, ResNet-50 backbone.",
        "Apache-2.0",
        "line-images-2025q4",
        0.90,
        (Release(0.893, 160), Release(0.907, 110), Release(0.915, 62, gated=False), Release(0.921, 6)),
        {"champion": 4, "previous": 3},
        params={"backbone": "resnet50", "epochs": "40", "image_size": "512"},
    ),
    SeedModel(
        "fraud",
        "platform",
        "Card fraud scoring, gradient-boosted trees.",
        "proprietary-internal",
        "transactions-eu-2026w07",
        0.97,
        (Release(0.971, 90), Release(0.976, 34), Release(0.974, 3, signed=False)),
        {"champion": 2, "challenger": 3},
        metric="auc",
        format="xgboost",
        size_mib=18,
        residency="eu",
        params={"trees": "900", "depth": "8"},
    ),
    SeedModel(
        "churn",
        "platform",
        "Monthly churn forecast per customer.",
        "MIT",
        "crm-2026m01",
        0.80,
        (Release(0.812, 200), Release(0.794, 12, card=False)),
        {"champion": 1},
        metric="auc",
        format="sklearn",
        size_mib=2,
        params={"model": "logistic"},
    ),
    SeedModel(
        "llama-3.3-70b",
        "nlp",
        "Instruction-tuned language model for internal assistants.",
        "Llama-3.3",
        "assist-eval-2026m02",
        0.70,
        (Release(0.741, 21),),
        {"champion": 1},
        metric="eval_score",
        format="huggingface",
        task="text-generation",
        size_mib=71_000,
        params={"context": "131072", "quantization": "fp8"},
    ),
    SeedModel(
        "ticket-router",
        "nlp",
        "Routes support tickets to queues, distilled encoder.",
        "Apache-2.0",
        "tickets-2026w05",
        0.88,
        (Release(0.884, 70), Release(0.902, 9)),
        {"champion": 2},
        metric="f1",
        residency="eu,us",
        params={"base": "minilm", "epochs": "6"},
    ),
)


def seed_registry(uri: str, now: datetime) -> bool:
    """Fill the SQL store at ``uri`` unless it is filled already; tell whether anything was written.

    Artifacts lie in ``artifacts`` beside the SQLite file. Blocks for several seconds: call it on a worker thread. A run
    that was interrupted is completed: what exists stays as it is.
    """
    folder = Path(uri.removeprefix("sqlite:///")).parent
    with FileLock(folder / "registry.lock"):  # one that was left behind by a killed sandbox finishes first
        if is_seeded(uri):
            return False
        client, root = _client(uri), folder / "artifacts"
        for model in MODELS:
            _seed_model(client, model, root, now)
        _seed_candidate(client, root, now)
        client.create_experiment(SEEDED, artifact_location=(root / "sandbox").as_uri())
    return True


def is_seeded(uri: str) -> bool:
    """Whether the SQL store at ``uri`` is filled. Asks SQLite itself: loading MLflow takes seconds."""
    path = Path(uri.removeprefix("sqlite:///"))
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(path, timeout=10)) as database:
            found = database.execute("SELECT 1 FROM experiments WHERE name = ?", (SEEDED,)).fetchone()
    except sqlite3.OperationalError:  # a store whose tables are still being made
        return False
    return found is not None


def record_training(uri: str, job: dict[str, Any], now: datetime) -> str:
    """Write what the training code of a completed TrainJob would have logged; return the run's id. Once per job object.

    The accuracy is drawn from the job's name, so a world that is played again learns the same.
    """
    client = _client(uri)
    metadata = job["metadata"]
    labels: dict[str, str] = metadata.get("labels") or {}
    name = str(labels.get("aiplatform.dev/model", metadata["name"]))
    experiment = _experiment(client, name, Path(uri.removeprefix("sqlite:///")).parent / "artifacts")
    same = client.search_runs(
        [experiment], f"tags.`{JOB_UID}` = '{metadata['uid']}' and attributes.status = 'FINISHED'"
    )
    if same:
        return str(same[0].info.run_id)
    team = labels.get("aiplatform.dev/team", "")
    params = {"trainjob": metadata["name"], "nodes": str((job["spec"].get("trainer") or {}).get("numNodes", 1))}
    model = SeedModel(name, team, "", "Apache-2.0", f"{name}-data", 0.9, (), {}, params=params)
    accuracy = round(0.938 + random.Random(metadata["name"]).random() * 0.012, 3)  # noqa: S311  a number to look at
    metrics = {"accuracy": accuracy, "f1": round(accuracy - 0.006, 3), "latency_p95_ms": 31.0}
    tags = {
        evidence.LICENCE: model.licence,
        evidence.CARD: f"https://cards.sandbox.example/{name}/{metadata['name']}",
        evidence.OPERATION: labels.get("aiplatform.dev/operation", ""),
        JOB_UID: metadata["uid"],
    }
    root = Path(uri.removeprefix("sqlite:///")).parent / "artifacts"
    return _run(client, experiment, metadata["name"], model, metrics, now, root, tags)[0]


def _client(uri: str) -> MlflowClient:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _seed_model(client: MlflowClient, model: SeedModel, root: Path, now: datetime) -> None:
    """Make what is missing of a model; its aliases come last, so a model that has them is whole."""
    found = client.search_registered_models(f'name = "{model.name}"')
    if found and found[0].aliases:
        return
    experiment = _experiment(client, model.name, root)
    if not found:
        client.create_registered_model(model.name, tags=_model_tags(model), description=model.description)
    made = len(client.search_model_versions(f'name = "{model.name}"'))
    for release in model.releases[made:]:
        run_id, tags, source = _seed_release(client, experiment, model, release, root, now)
        client.create_model_version(model.name, source, run_id=run_id, tags=tags, await_creation_for=0)
    for alias, number in model.aliases.items():
        client.set_registered_model_alias(model.name, alias, str(number))


def _model_tags(model: SeedModel) -> dict[str, str]:
    tags = {evidence.TEAM: model.team}
    return tags | {evidence.RESIDENCY: model.residency} if model.residency else tags


def _seed_release(
    client: MlflowClient, experiment: str, model: SeedModel, release: Release, root: Path, now: datetime
) -> tuple[str, dict[str, str], str]:
    """Make the training run of a release; return its id, the version's tags, and the artifact's source."""
    number = model.releases.index(release) + 1
    done = now - timedelta(days=release.days_ago)
    name = f"{model.name}-train-{number}"
    run_id, digest = _run(client, experiment, name, model, {model.metric: release.accuracy}, done, root, {})
    tags = {evidence.DIGEST: digest, evidence.LICENCE: model.licence, **_form(model)}
    if model.residency:
        tags[evidence.RESIDENCY] = model.residency
    if release.signed:
        tags[evidence.SIGNATURE] = _signature(model, digest)
    if release.card:
        tags[evidence.CARD] = f"https://cards.sandbox.example/{model.name}/{number}"
    if release.gated:
        tags[evidence.GATES] = evidence.gates_tag([_gate(model, release, done + timedelta(hours=1))])
    return run_id, tags, f"oci://{REGISTRY}/{model.team}/{model.name}@{digest}"


def _gate(model: SeedModel, release: Release, at: datetime) -> evidence.Gate:
    return evidence.Gate(
        metric=model.metric,
        value_milli=round(release.accuracy * 1000),
        threshold_milli=round(model.threshold * 1000),
        verdict="pass" if release.accuracy >= model.threshold else "fail",
        evaluated_at=at,
        dataset_digest=_digest_of(model.dataset),
    )


def _seed_candidate(client: MlflowClient, root: Path, now: datetime) -> None:
    """Make the finished training of vision-v3, which nobody has registered yet, and the tries that led to it."""
    model = SeedModel(
        "vision-v3",
        "vision",
        "",
        "Apache-2.0",
        "line-images-2026q1",
        0.92,
        (),
        {},
        params={"backbone": "convnext-small", "epochs": "60", "image_size": "640"},
    )
    experiment = _experiment(client, model.name, root)
    done_runs = {run.info.run_name for run in client.search_runs([experiment], "attributes.status = 'FINISHED'")}
    for number, (accuracy, latency) in enumerate(((0.918, 41.0), (0.933, 37.5), (0.942, 31.2)), 1):
        name = f"vision-v3-train-{number}"
        if name in done_runs:
            continue
        done = now - timedelta(hours=3 + 20 * (3 - number))
        metrics = {"accuracy": accuracy, "f1": round(accuracy - 0.006, 3), "latency_p95_ms": latency}
        tags = {evidence.LICENCE: model.licence, evidence.CARD: f"https://cards.sandbox.example/vision-v3/{number}"}
        _run(client, experiment, name, model, metrics, done, root, tags)


def _experiment(client: MlflowClient, name: str, root: Path) -> str:
    found = client.get_experiment_by_name(name)
    return found.experiment_id if found else client.create_experiment(name, artifact_location=(root / name).as_uri())


def _run(
    client: MlflowClient,
    experiment: str,
    name: str,
    model: SeedModel,
    metrics: dict[str, float],
    done: datetime,
    root: Path,
    tags: dict[str, str],
) -> tuple[str, str]:
    """Make one finished run with a learning curve, a dataset and a signed artifact; return its id and the digest."""
    from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag

    began = done - timedelta(hours=2)
    run = client.create_run(
        experiment, start_time=_milliseconds(began), run_name=name, tags={evidence.TEAM: model.team}
    )
    run_id = run.info.run_id
    curve = [
        Metric(
            key, round(value * (1 - 0.35 / (step + 1)), 4), _milliseconds(began + timedelta(minutes=12 * step)), step
        )
        for key, value in metrics.items()
        for step in range(9)
    ]
    final = [Metric(key, value, _milliseconds(done), 10) for key, value in metrics.items()]
    weights = _artifact(root / model.name / run_id / "artifacts" / "model.json", name)
    digest = f"sha256:{hashlib.sha256(weights).hexdigest()}"
    source = f"oci://{REGISTRY}/{model.team or 'shared'}/{model.name}@{digest}"
    proof = {evidence.DIGEST: digest, evidence.SIGNATURE: _signature(model, digest), SOURCE: source, **_form(model)}
    params = [Param(*item) for item in model.params.items()]
    client.log_batch(run_id, curve + final, params, [RunTag(*item) for item in {**tags, **proof}.items()])
    dataset = Dataset(model.dataset, _digest_of(model.dataset), "oci", f"oci://{REGISTRY}/data/{model.dataset}")
    client.log_inputs(run_id, datasets=[DatasetInput(dataset)])
    client.set_terminated(run_id, "FINISHED", _milliseconds(done))  # last: a finished run is a whole one
    return run_id, digest


def _form(model: SeedModel) -> dict[str, str]:
    """Return what a version says of its weights: their format, size, and what they are for where that decides something."""
    form = {FORMAT: model.format, SIZE_MIB: str(model.size_mib)}
    return form | {TASK: model.task} if model.task else form


def _signature(model: SeedModel, digest: str) -> str:
    return f"oci://{REGISTRY}/{model.team}/{model.name}:{digest.replace(':', '-')}.sig"


def _artifact(file: Path, name: str) -> bytes:
    """Write a toy model, the same for the same name, and return its bytes."""
    weights = random.Random(name)  # noqa: S311  numbers to look at, no secret
    body = {"format": "sandbox-linear/v1", "name": name, "weights": [round(weights.gauss(0, 1), 6) for _ in range(256)]}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(json.dumps(body).encode())
    return file.read_bytes()


def _digest_of(dataset: str) -> str:
    """Return a dataset's digest; MLflow takes at most 36 characters."""
    return hashlib.sha256(dataset.encode()).hexdigest()[:32]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
