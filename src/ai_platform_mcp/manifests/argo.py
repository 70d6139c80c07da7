"""Argo Workflows: the golden path of a model, train → evaluate → register.

Speaks ``argoproj.io/v1alpha1``, the only version there is.
"""

from __future__ import annotations

from pydantic import Field

from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.manifests.common import Capabilities, Compute, EnvVar, Origin, compact, manifest
from ai_platform_mcp.manifests.kueue import Queueing, queue_labels

API = "argoproj.io/v1alpha1"
ENTRYPOINT = "golden-path"


class Stage(Value):
    """One step of the golden path: a container that writes what the next one needs to a file."""

    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    compute: Compute = Compute()
    retries: int = Field(default=1, ge=0)


class GoldenPath(Value):
    """The three stages. Evaluation writes ``pass`` or ``fail``; nothing is registered on anything but ``pass``."""

    train: Stage
    evaluate: Stage
    registration: Stage
    queueing: Queueing | None = None
    service_account: str


class PodSettings(Value):
    """What every pod of one run gets on top of its template, for paths whose templates are not written here.

    Kueue has no integration for Workflows and admits their pods one by one: its labels belong on the pods, not on the Workflow.
    A node selector here yields to one that a template has of its own.
    """

    queueing: Queueing | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)

    def fields(self) -> type_json:
        """Return them as fields of a Workflow's spec, none for what is not set."""
        labels = queue_labels(self.queueing) if self.queueing else {}
        return compact(
            {
                "podMetadata": {"labels": labels} if labels else None,
                "nodeSelector": dict(sorted(self.node_selector.items())),
            }
        )


class PipelineRun(Value):
    """One run of the golden path, with the parameters of this run."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=50)
    """Pods are called after the workflow, the template and a digest; Argo cuts them at 63."""
    namespace: str
    parameters: dict[str, str]
    active_deadline_seconds: int = Field(ge=1)
    keep_seconds: int = Field(default=604800, ge=0)
    pods: PodSettings = Field(default_factory=PodSettings)


def workflow_template(
    name: str,
    namespace: str,
    path: GoldenPath,
    parameters: tuple[str, ...],
    origin: Origin,
    capabilities: Capabilities,
) -> type_json:
    """Return the golden path as a WorkflowTemplate; ``parameters`` are the names that every run must give.

    They have no defaults: a run that forgets one is refused by Argo instead of training on something else.
    """
    capabilities.require(API, "WorkflowTemplate", remedy="install Argo Workflows, or submit a TrainJob")
    spec = {**_path_spec(path, parameters), "arguments": {"parameters": [{"name": name} for name in parameters]}}
    return manifest(API, "WorkflowTemplate", name, namespace, origin, {"spec": spec}, component="pipeline")


def workflow(
    run: PipelineRun,
    origin: Origin,
    capabilities: Capabilities,
    *,
    template: str | None = None,
    path: GoldenPath | None = None,
) -> type_json:
    """Return a Workflow that runs the golden path: by reference to a WorkflowTemplate, or with the path written out.

    Exactly one of ``template`` and ``path`` is given. A reference keeps one reviewed definition for all runs, and needs
    WorkflowTemplate to be served. ``arguments`` of the run go on top of the template's. The deadline and the time to live
    are always set: without a ``ttlStrategy`` finished Workflows pile up in etcd until lists time out.

    Raises:
        CapabilityMissing: Workflow, or for a reference WorkflowTemplate, is not served.
        ValueError: neither or both of ``template`` and ``path`` are given.
    """
    if (template is None) == (path is None):
        raise ValueError("exactly one of template and path is needed")
    capabilities.require(API, "Workflow", remedy="install Argo Workflows, or submit a TrainJob")
    spec: type_json = {
        "arguments": {"parameters": [{"name": k, "value": v} for k, v in sorted(run.parameters.items())]},
        "activeDeadlineSeconds": run.active_deadline_seconds,
        "ttlStrategy": {"secondsAfterCompletion": run.keep_seconds},
        "podGC": {"strategy": "OnPodSuccess"},
        **run.pods.fields(),
    }
    if template is not None:
        capabilities.require(API, "WorkflowTemplate", remedy="pass the golden path itself")
        spec["workflowTemplateRef"] = {"name": template}
    elif path is not None:
        spec |= _path_spec(path, tuple(sorted(run.parameters)))
    return manifest(API, "Workflow", run.name, run.namespace, origin, {"spec": spec}, component="pipeline")


def _path_spec(path: GoldenPath, parameters: tuple[str, ...]) -> type_json:
    """The three templates and the graph between them.

    Dependencies are written with ``depends``: it says what must have *succeeded*, and the CRD refuses it together with
    ``dependencies``. Task names start with a letter, which ``depends`` requires. Pods that take accelerators carry the
    queue's label, so that Kueue's pod integration counts them.
    """
    stages = {"train": path.train, "evaluate": path.evaluate, "register": path.registration}
    outputs = {"train": "model-uri", "evaluate": "verdict", "register": "version"}
    model = {"name": "model-uri", "value": "{{tasks.train.outputs.parameters.model-uri}}"}
    tasks: list[type_json] = [
        {"name": "train", "template": "train"},
        {
            "name": "evaluate",
            "template": "evaluate",
            "depends": "train.Succeeded",
            "arguments": {"parameters": [model]},
        },
        {
            "name": "register",
            "template": "register",
            "depends": "evaluate.Succeeded",
            "when": "'{{tasks.evaluate.outputs.parameters.verdict}}' == 'pass'",
            "arguments": {"parameters": [model]},
        },
    ]
    templates = [_template(name, stage, outputs[name], parameters, path) for name, stage in stages.items()]
    return {
        "entrypoint": ENTRYPOINT,
        "serviceAccountName": path.service_account,
        "templates": [{"name": ENTRYPOINT, "dag": {"tasks": tasks}}, *templates],
    }


def _template(name: str, stage: Stage, output: str, parameters: tuple[str, ...], path: GoldenPath) -> type_json:
    """One stage. Parameters reach the container as environment variables: an argument text could be read as an option."""
    given = [EnvVar(name=p.upper().replace("-", "_"), value=f"{{{{workflow.parameters.{p}}}}}") for p in parameters]
    inputs: type_json = {}
    if name != "train":
        inputs = {"inputs": {"parameters": [{"name": "model-uri"}]}}
        given.append(EnvVar(name="MODEL_URI", value="{{inputs.parameters.model-uri}}"))
    container = compact(
        {
            "name": "main",
            "image": stage.image,
            "command": list(stage.command),
            "args": list(stage.args),
            "env": [variable.manifest() for variable in (*stage.env, *given)],
            "resources": stage.compute.resources(),
        }
    )
    counted = bool(stage.compute.accelerators or stage.compute.claim_template)
    return {
        "name": name,
        **inputs,
        "outputs": {"parameters": [{"name": output, "valueFrom": {"path": f"/tmp/{output}"}}]},  # noqa: S108
        # OnTransientError alone would not retry a pod that its node took down with it.
        "retryStrategy": {"limit": stage.retries, "retryPolicy": "OnError"},
        **({"metadata": {"labels": queue_labels(path.queueing)}} if path.queueing and counted else {}),
        **stage.compute.pod_fields(),
        "container": container,
    }
