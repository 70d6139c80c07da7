"""Training: the legacy operator's jobs, and what changed inside TrainJob's v1alpha1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import yaml

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.redact import redact
from ai_platform_mcp.domain.lint.model import Around, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.rules.kueue_queues import OFF_BY_DEFAULT
from ai_platform_mcp.domain.lint.rules.pods import SECRET_NAME
from ai_platform_mcp.domain.lint.subject import Subject
from ai_platform_mcp.domain.objects import rows, section

API = "trainer.kubeflow.org/v1alpha1"
MANAGER = "example.com/author"
RUNTIMES = {"PyTorchJob": "torch-distributed", "JAXJob": "jax-distributed", "XGBoostJob": "xgboost-distributed"}
OVERRIDES = ("podSpecOverrides", "podTemplateOverrides")


@rule(
    "trainer.legacy-job",
    "warning",
    "job of Training Operator v1 where TrainJob is served",
    source="Kubeflow Trainer 2: TrainJob replaces the kubeflow.org/v1 jobs, which are in maintenance (v1.9.4)",
    fix="suggested",
    kinds=OFF_BY_DEFAULT,
)
def legacy_job(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find jobs of the operator that is only maintained; show the TrainJob that a PyTorchJob becomes."""
    if around.lacks(API, "TrainJob"):
        return
    yield Hit(
        path="/kind",
        message=f"{subject.kind} belongs to Training Operator v1, which is only maintained; Trainer 2 does not run it, "
        "and Kueue's default leaves it out.",
        remedy=f"Write a TrainJob ({API}) that names a runtime such as {RUNTIMES.get(subject.kind, 'one of the cluster')}; "
        "replicas become trainer.numNodes.",
        example=_as_train_job(subject) if subject.kind == "PyTorchJob" else "",
    )


def _as_train_job(subject: Subject) -> str:
    """Return the TrainJob of a PyTorchJob whose replicas are alike, as text; empty where it has no container to tell."""
    replicas = [section(spec) for spec in section(subject.spec, "pytorchReplicaSpecs").values()]
    pods = [section(spec, "template", "spec") for spec in replicas]
    containers = [rows(pod, "containers")[0] for pod in pods if rows(pod, "containers")]
    if not containers:
        return ""
    first, pod = containers[0], pods[0]
    trainer: type_json = {
        **{key: first[key] for key in ("image", "command", "args", "env") if key in first},
        "numNodes": sum(int(spec.get("replicas") or 1) for spec in replicas if str(spec.get("replicas", 1)).isdigit()),
    }
    if section(first, "resources"):
        trainer["resourcesPerNode"] = first["resources"]
    metadata = {key: value for key, value in subject.metadata.items() if key in ("name", "namespace", "labels")}
    spec: type_json = {"runtimeRef": {"name": RUNTIMES["PyTorchJob"]}, "trainer": trainer}
    if patch := {key: pod[key] for key in ("nodeSelector", "tolerations") if key in pod}:
        spec["runtimePatches"] = [_patch("node", {"spec": patch})]
    body = {"apiVersion": API, "kind": "TrainJob", "metadata": metadata, "spec": spec}
    return _written(body)


def _written(body: type_json) -> str:
    """Return an example as text: what looks like a credential is named as a Secret's key, never repeated."""
    return yaml.dump(_without_secrets(body), Dumper=_NoAliases, sort_keys=False, allow_unicode=True)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secrets(row) for row in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return redact(value)
    data = cast(type_json, value)
    name, said = data.get("name"), data.get("value")
    if isinstance(name, str) and isinstance(said, str) and (SECRET_NAME.search(name) or redact(said) != said):
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": "credentials", "key": name}}}
    return {key: _without_secrets(inner) for key, inner in data.items()}


class _NoAliases(yaml.SafeDumper):
    """Writes what two places share at both."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _patch(job: str, template: type_json) -> type_json:
    replicated = [{"name": job, "template": {"spec": {"template": template}}}]
    return {"manager": MANAGER, "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": replicated}}}}


@rule(
    "trainer.container-name",
    "error",
    "PyTorchJob without a container called pytorch",
    source="Training Operator v1.9 validation of PyTorchJob",
    fix="suggested",
    kinds=("kubeflow.org/PyTorchJob",),
)
def container_name(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find replicas whose container the operator would not recognise."""
    for pod in subject.pods:
        names = [str(row.get("name")) for row in rows(pod.spec, "containers")]
        if names and "pytorch" not in names:
            yield Hit(
                path=f"{pod.path}/containers",
                message=f"The operator looks for a container called pytorch and finds {', '.join(names)}: it refuses the job.",
                remedy="Call the training container pytorch.",
            )


@rule(
    "trainer.overrides-renamed",
    "error",
    "TrainJob with podSpecOverrides or podTemplateOverrides",
    source="Trainer 2.2: spec.runtimePatches replaces podTemplateOverrides (2.1) and podSpecOverrides (2.0)",
    fix="suggested",
    kinds=("trainer.kubeflow.org/TrainJob",),
)
def overrides_renamed(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find overrides under their earlier names; show them as patches."""
    for key in OVERRIDES:
        if key in subject.spec and key != around.training_overrides:
            yield Hit(
                path=f"/spec/{key}",
                message=f"spec.{key} is unknown since Trainer 2.2: strict validation refuses the job, any other write drops "
                "the node selectors and tolerations in it.",
                remedy="Write spec.runtimePatches: one entry with your own manager name, and per target job its template.",
                example=_patched(subject, key),
            )


def _patched(subject: Subject, key: str) -> str:
    patches: list[type_json] = []
    for override in rows(subject.spec, key):
        if key == "podSpecOverrides":
            inner = {name: value for name, value in override.items() if name not in ("targetJobs", "containers")}
            template: type_json = {"spec": inner}
        else:
            template = {name: override[name] for name in ("metadata", "spec") if name in override}
        targets = rows(override, "targetJobs") or [{"name": "node"}]
        patches += [_patch(str(target.get("name", "node")), template) for target in targets]
    jobs = [row for patch in patches for row in patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]]
    if not jobs:
        return ""
    patches[0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"] = jobs
    spec = {name: value for name, value in subject.spec.items() if name not in OVERRIDES}
    body = {**subject.data, "spec": {**spec, "runtimePatches": patches[:1]}}
    return _written(body)


@rule(
    "trainer.labels-dropped",
    "error",
    "TrainJob with spec.labels or spec.annotations",
    source="Trainer 2.2 CRD: unknown fields spec.labels, spec.annotations",
    fix="suggested",
    kinds=("trainer.kubeflow.org/TrainJob",),
)
def labels_dropped(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find fields that 2.2 dropped."""
    for key in ("labels", "annotations"):
        if key in subject.spec and around.training_overrides == "runtimePatches":
            yield Hit(
                path=f"/spec/{key}",
                message=f"spec.{key} is unknown since Trainer 2.2: strict validation refuses the job.",
                remedy=f"Write them under runtimePatches, in the metadata.{key} of the job's template.",
            )
