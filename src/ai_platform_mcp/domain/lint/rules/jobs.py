"""Jobs: who starts them, how many pods run, and what their restart policy may be."""

from __future__ import annotations

from collections.abc import Iterable

from ai_platform_mcp.domain.lint.model import Around, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.rules.kueue_queues import JOBS, LABEL
from ai_platform_mcp.domain.lint.subject import Subject, pointer
from ai_platform_mcp.domain.objects import section

MIN_PARALLELISM = "kueue.x-k8s.io/job-min-parallelism"


def _suspended(subject: Subject) -> tuple[str, object]:
    if subject.group == "kubeflow.org":
        return "/spec/runPolicy/suspend", section(subject.spec, "runPolicy").get("suspend")
    return "/spec/suspend", subject.spec.get("suspend")


@rule(
    "job.suspended-forever",
    "warning",
    "suspended job that names no queue",
    source="Kubernetes Job API: suspend; Kueue resumes only what it manages",
    fix="none",
    kinds=JOBS,
)
def suspended_forever(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find jobs that wait for somebody who does not know of them."""
    path, suspended = _suspended(subject)
    if suspended is True and LABEL not in subject.labels:
        yield Hit(
            path=path,
            message="The job is created suspended and names no queue: nothing ever resumes it (a default LocalQueue aside).",
            remedy=f"Name its queue in metadata.labels[{LABEL}], or leave suspend out.",
        )


@rule(
    "job.starts-before-admission",
    "info",
    "queued job that is not created suspended",
    source="Kueue: its webhook suspends labelled jobs; without it they run at once",
    fix="suggested",
    kinds=JOBS,
)
def starts_before_admission(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find jobs that rely on a webhook to wait."""
    path, suspended = _suspended(subject)
    if LABEL in subject.labels and suspended is not True and subject.kind != "RayCluster":
        yield Hit(
            path=path,
            message="Kueue's webhook suspends the job when it is created; where that is away, pods start without quota.",
            remedy=f"Write {path.strip('/').replace('/', '.')}: true. Kueue resumes it once it is admitted.",
        )


@rule(
    "job.parallelism",
    "warning",
    "Job whose completions or partial admission do not fit its parallelism",
    source="Kubernetes Job API: no more pods run than completions are left; Kueue: job-min-parallelism",
    fix="none",
    kinds=("batch/Job",),
)
def parallelism(subject: Subject, around: Around) -> Iterable[Hit]:
    """Compare parallelism with completions and with the least parallelism of partial admission."""
    pods, completions = subject.spec.get("parallelism", 1), subject.spec.get("completions")
    if isinstance(pods, int) and isinstance(completions, int) and completions < pods:
        yield Hit(
            path="/spec/completions",
            message=f"Only {completions} of {pods} pods ever run at once: a gang that waits for all of them waits forever.",
            remedy="Make completions at least parallelism; for a gang of equal pods, equal, with completionMode: Indexed.",
        )
    least = str(subject.annotations.get(MIN_PARALLELISM, ""))
    if isinstance(pods, int) and least.isdigit() and int(least) >= pods:
        yield Hit(
            path=pointer("metadata", "annotations", MIN_PARALLELISM),
            message=f"Partial admission with at least {least} of {pods} pods leaves Kueue nothing to give way with.",
            remedy="Make it smaller than spec.parallelism, or leave it out.",
        )


@rule(
    "job.restart-policy",
    "error",
    "Job whose pods have restartPolicy Always (or none), or OnFailure with a podFailurePolicy",
    source="Kubernetes Job API: OnFailure or Never; podFailurePolicy needs Never (KEP-3329)",
    fix="suggested",
    kinds=("batch/Job", "batch/CronJob"),
)
def restart_policy(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find restart policies that the API server refuses."""
    job = subject.spec if subject.kind == "Job" else section(subject.spec, "jobTemplate", "spec")
    below = "/spec" if subject.kind == "Job" else "/spec/jobTemplate/spec"
    pod = section(job, "template", "spec")
    chosen = pod.get("restartPolicy", "Always")
    wanted = ("Never",) if "podFailurePolicy" in job else ("OnFailure", "Never")
    if pod and chosen not in wanted:
        yield Hit(
            path=f"{below}/template/spec",
            message=f"restartPolicy is {chosen} and must be {' or '.join(wanted)} here: the API server refuses the Job.",
            remedy="Write restartPolicy: Never in the pod template.",
        )
