"""How work names its queue: where the label stands, and who reads it."""

from __future__ import annotations

from collections.abc import Iterable

from ai_platform_mcp.domain.lint.model import Around, Edit, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Subject, pointer
from ai_platform_mcp.domain.objects import section

LABEL = "kueue.x-k8s.io/queue-name"
TRAINING = ("PyTorchJob", "TFJob", "XGBoostJob", "PaddleJob", "JAXJob")
OFF_BY_DEFAULT = tuple(f"kubeflow.org/{kind}" for kind in TRAINING)
JOBS = (
    "batch/Job", *OFF_BY_DEFAULT, "kubeflow.org/MPIJob", "trainer.kubeflow.org/TrainJob", "ray.io/RayJob",
    "ray.io/RayCluster", "jobset.x-k8s.io/JobSet",
)  # fmt: skip
QUEUED = (*JOBS, "/Pod", "apps/Deployment", "apps/StatefulSet", "leaderworkerset.x-k8s.io/LeaderWorkerSet")


@rule(
    "kueue.queue-annotation",
    "error",
    "queue named by an annotation",
    source="Kueue: queue-name is a label; the annotation is the form of v0.1",
    fix="certain",
    kinds=QUEUED,
)
def queue_annotation(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the old form of the queue's name."""
    if LABEL in subject.annotations:
        yield Hit(
            path=pointer("metadata", "annotations", LABEL),
            message="Kueue reads the queue from a label: so written, the work starts without quota.",
            remedy=f"Move it to metadata.labels[{LABEL}].",
            edits=(
                Edit(
                    op="move", path=pointer("metadata", "annotations", LABEL), to=pointer("metadata", "labels", LABEL)
                ),
            ),
            certain=LABEL not in subject.labels,
        )


@rule(
    "kueue.queue-on-template",
    "error",
    "queue named on a job's pod template",
    source="Kueue: jobs are queued by the label of the job object; labelled pods by the pod integration",
    fix="certain",
    kinds=JOBS,
)
def queue_on_template(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the label on the pods of a job."""
    for pod in subject.pods:
        queue = section(pod.metadata, "labels").get(LABEL)
        if not pod.path or queue is None:
            continue
        path = f"{pod.metadata_path}{pointer('labels', LABEL)}"
        edits = (
            Edit(op="remove", path=path)
            if LABEL in subject.labels
            else Edit(op="move", path=path, to=pointer("metadata", "labels", LABEL)),
        )
        yield Hit(
            path=path,
            message="The job itself is then not queued, and each of its pods is queued alone: no gang, or a deadlock of halves.",
            remedy=f"Write {LABEL} in the metadata.labels of the {subject.kind}, not of its pods.",
            edits=edits,
            certain=subject.labels.get(LABEL, queue) == queue,
        )


@rule(
    "kueue.workflow-label",
    "warning",
    "queue named on an Argo Workflow",
    source="Kueue has no Workflow integration: only the pods of a Workflow can be queued",
    fix="suggested",
    kinds=("argoproj.io/Workflow", "argoproj.io/WorkflowTemplate", "argoproj.io/CronWorkflow"),
)
def workflow_label(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find the label where nobody reads it."""
    if LABEL in subject.labels or LABEL in subject.annotations:
        key = "labels" if LABEL in subject.labels else "annotations"
        yield Hit(
            path=pointer("metadata", key, LABEL),
            message="Kueue does not look at Workflows: their pods start without quota.",
            remedy=f"Write {LABEL} in spec.templates[].metadata.labels of the steps that take accelerators.",
        )


@rule(
    "kueue.integration-off",
    "warning",
    "queued job of Training Operator v1, whose integration Kueue ships switched off",
    source="Kueue 0.19 default configuration: kubeflow.org/* frameworks are commented out",
    fix="suggested",
    kinds=OFF_BY_DEFAULT,
)
def integration_off(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find queued jobs that a default Kueue does not see; a target without TrainJob is one that was set up for them."""
    if LABEL in subject.labels and around.serves("trainer.kubeflow.org/v1alpha1", "TrainJob"):
        yield Hit(
            path=pointer("metadata", "labels", LABEL),
            message=f"Kueue's default configuration leaves {subject.kind} out: the label is ignored and the job takes GPUs "
            "beside the quota.",
            remedy=f"Submit a TrainJob, or add kubeflow.org/{subject.kind.lower()} to integrations.frameworks of Kueue.",
        )


@rule(
    "kueue.no-requests",
    "warning",
    "queued work whose containers request nothing",
    source="Kueue counts the requests of pods against quota",
    fix="none",
    kinds=("batch/Job", "/Pod", *OFF_BY_DEFAULT, "ray.io/RayJob", "ray.io/RayCluster", "jobset.x-k8s.io/JobSet"),
)
def no_requests(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find pods that Kueue would count as free."""
    if LABEL not in subject.labels:
        return
    for pod in subject.pods:
        if not section(pod.spec, "resources") and not any(
            row.requests or row.limits or section(row.data, "resources").get("claims") for row in pod.containers()
        ):
            yield Hit(
                path=f"{pod.path}/containers",
                message="No container requests anything: the workload is admitted with a usage of nothing, and the quota holds "
                "nobody back.",
                remedy="Write resources.requests (accelerators: limits as well) for each container.",
            )
