"""Kueue in its simplest true form: a Workload per queued job, admission by quota and flavor order, eviction.

Follows Kueue's documented behaviour: flavors are tried in the order of the ClusterQueue, quota counts devices, a workload
is admitted whole, pending ones are taken by priority and then by age, and a job is suspended exactly while its workload is
not admitted. Why one waits is told as with the feature gate UnadmittedWorkloadsObservability; without it Kueue says Pending.
"""

from __future__ import annotations

from fractions import Fraction

from ai_platform_mcp.sandbox.kube.quantity import parse
from ai_platform_mcp.sandbox.life.quota import DEVICES, Pools, needs, pod_requests, requested, shown
from ai_platform_mcp.sandbox.life.world import (
    Json,
    World,
    condition,
    holds,
    labels_of,
    owner,
    with_condition,
)

QUEUE = "kueue.x-k8s.io/queue-name"
PRIORITY = "kueue.x-k8s.io/priority-class"
JOB_UID = "kueue.x-k8s.io/job-uid"
KUEUE = "kueue.x-k8s.io/v1beta2"
CLAIMS = "resource.k8s.io/v1"
JOBS = (("batch/v1", "Job"), ("trainer.kubeflow.org/v1alpha1", "TrainJob"), ("ray.io/v1", "RayJob"))


async def step(world: World) -> None:
    """Bring workloads and queues to where the real Kueue would have them by now."""
    jobs = [job for api, kind in JOBS for job in await world.all(api, kind) if QUEUE in labels_of(job)]
    owned = {uid for row in await world.all(KUEUE, "Workload") for uid in _owners(row)}
    await world.each(
        (job for job in jobs if job["metadata"]["uid"] not in owned and not _over(job)), lambda job: _queue(world, job)
    )
    workloads = await world.all(KUEUE, "Workload")
    pools = Pools(
        await world.all(KUEUE, "ClusterQueue"),
        await world.all(KUEUE, "LocalQueue"),
        await world.all(KUEUE, "ResourceFlavor"),
        workloads,
    )
    by_uid = {job["metadata"]["uid"]: job for job in jobs}
    await world.each(sorted(workloads, key=_turn), lambda row: _move(world, row, by_uid, pools))
    await _tell(world, pools.again(await world.all(KUEUE, "Workload")))


def _owners(workload: Json) -> list[str]:
    return [row["uid"] for row in workload["metadata"].get("ownerReferences") or []]


async def _queue(world: World, job: Json) -> None:
    """Give a job its workload, and hold it until that is admitted."""
    await world.make(await _workload(world, job))
    await _hold(world, job)


async def _workload(world: World, job: Json) -> Json:
    meta = job["metadata"]
    name = labels_of(job).get(PRIORITY)
    pods = _pod_set(job, await claimed(world, job))
    spec: Json = {"active": True, "queueName": labels_of(job)[QUEUE], "podSets": [pods]}
    if name:
        row = await world.store.find(KUEUE, "WorkloadPriorityClass", name)
        spec["priority"] = int(row["value"]) if row else 0
        spec["priorityClassRef"] = {"group": "kueue.x-k8s.io", "kind": "WorkloadPriorityClass", "name": name}
    return {
        "apiVersion": KUEUE,
        "kind": "Workload",
        "metadata": {
            "name": f"{job['kind'].lower()}-{meta['name']}-{meta['uid'][:5]}"[:253],
            "namespace": meta["namespace"],
            "ownerReferences": [owner(job)],
            "labels": {JOB_UID: meta["uid"]},  # Kueue copies those of the job only where its configuration names them
        },
        "spec": spec,
    }


def _pod_set(job: Json, devices: dict[str, str]) -> Json:
    count, requests = demand(job)
    requests |= devices
    container = {"name": "main", "image": "placeholder", "resources": {"requests": requests}}
    pod: Json = {"containers": [container], "restartPolicy": "Never"}
    if chosen := node_selector(job):
        pod["nodeSelector"] = chosen
    return {"name": "main", "count": count, "template": {"spec": pod}}


def node_selector(job: Json) -> dict[str, str]:
    """The node labels that a job's own pods insist on: Kueue tries only flavors that have them."""
    spec: Json = job["spec"]
    if job["kind"] in ("Job", "RayJob"):
        return _pod_spec(job).get("nodeSelector") or {}
    found: dict[str, str] = {}
    for patch in spec.get("runtimePatches") or []:
        runtime: Json = patch.get("trainingRuntimeSpec") or {}
        for replicated in ((runtime.get("template") or {}).get("spec") or {}).get("replicatedJobs") or []:
            pod = (((replicated.get("template") or {}).get("spec") or {}).get("template") or {}).get("spec") or {}
            found |= pod.get("nodeSelector") or {}
    return found


async def claimed(world: World, job: Json) -> dict[str, str]:
    """How many devices of each DeviceClass a job's pods claim; as Kueue counts where the class is mapped to its own name.

    Only requests under ``exactly`` count. The Workload says them as requests, where the real Kueue looks them up again.
    """
    totals: dict[str, int] = {}
    for row in _pod_spec(job).get("resourceClaims") or []:
        name = row.get("resourceClaimTemplateName")
        made = (
            await world.store.find(CLAIMS, "ResourceClaimTemplate", name, job["metadata"]["namespace"])
            if name
            else None
        )
        asked: list[Json] = (made or {}).get("spec", {}).get("spec", {}).get("devices", {}).get("requests") or []
        for exactly in (request.get("exactly") or {} for request in asked):
            if device_class := exactly.get("deviceClassName"):
                totals[device_class] = totals.get(device_class, 0) + int(exactly.get("count") or 1)
    return {name: str(count) for name, count in totals.items()}


def _pod_spec(job: Json) -> Json:
    spec: Json = job["spec"]
    if job["kind"] == "RayJob":
        groups: list[Json] = spec.get("rayClusterSpec", {}).get("workerGroupSpecs") or []
        return (groups[0]["template"].get("spec") or {}) if groups else {}
    return spec["template"]["spec"] if job["kind"] == "Job" else {}


def demand(job: Json) -> tuple[int, dict[str, str]]:
    """How many pods a job runs and what each of them requests."""
    spec: Json = job["spec"]
    if job["kind"] == "TrainJob":
        trainer: Json = spec.get("trainer") or {}
        resources: Json = trainer.get("resourcesPerNode") or {}
        return int(trainer.get("numNodes") or 1), requested(resources)
    if job["kind"] == "RayJob":
        groups: list[Json] = spec.get("rayClusterSpec", {}).get("workerGroupSpecs") or []
        count = sum(int(group.get("replicas") or 1) for group in groups) or 1
        template: Json = groups[0]["template"] if groups else {}
        return count, pod_requests(template.get("spec") or {})
    return int(spec.get("parallelism") or 1), pod_requests(spec["template"]["spec"])


def _turn(workload: Json) -> tuple[int, int, str, str]:
    """Admitted ones first, then by priority, then by age."""
    meta = workload["metadata"]
    waiting = 0 if holds(workload, "QuotaReserved") else 1
    return waiting, -int(workload["spec"].get("priority") or 0), meta["creationTimestamp"], meta["name"]


async def _move(world: World, row: Json, jobs: dict[str, Json], pools: Pools) -> None:
    owners = _owners(row)
    job = next((jobs[uid] for uid in owners if uid in jobs), None)
    if owners and job is None:  # the job left the queue, or is gone
        await world.remove(row)
        return
    if holds(row, "Finished"):
        return
    if job is not None and _over(job):
        status = with_condition(row.get("status") or {}, "Finished", True, "JobFinished", "Job finished", world.now())
        await world.status(row, status)
        return
    local, queue = pools.queues_of(row)
    if not holds(row, "QuotaReserved"):
        await _admit(world, row, job, (local, queue), pools)
    elif not row["spec"].get("active", True):
        await _evict(world, row, job, "Deactivated", "The workload is deactivated")
    elif _stopped(queue) == "HoldAndDrain":
        await _evict(world, row, job, "ClusterQueueStopped", "The ClusterQueue is stopped")
    elif _stopped(local) == "HoldAndDrain":
        await _evict(world, row, job, "LocalQueueStopped", "The LocalQueue is stopped")
    elif job is not None:
        await _start(world, row["status"]["admission"], job, pools)


def _stopped(queue: Json | None) -> str:
    """A queue's stop policy: Hold admits no more, HoldAndDrain also evicts what is admitted."""
    return (queue or {}).get("spec", {}).get("stopPolicy") or "None"


async def _admit(
    world: World, row: Json, job: Json | None, queues: tuple[Json | None, Json | None], pools: Pools
) -> None:
    now, status, queue = world.now(), row.get("status") or {}, queues[1]
    asked, flavors = needs(row), None
    if queue is None:
        reason, text = "Misconfigured", "The LocalQueue or its ClusterQueue does not exist"
    elif not row["spec"].get("active", True):
        reason, text = "Suspended", "The workload is deactivated"
    elif any(_stopped(each) != "None" for each in queues):
        reason, text = "Suspended", "The queue is stopped"
    else:
        selector = row["spec"]["podSets"][0]["template"]["spec"].get("nodeSelector") or {}
        flavors, reason, text = pools.assign(queue, asked, selector)
    if queue is None or flavors is None:
        await world.status(row, with_condition(status, "QuotaReserved", False, reason, text, now))
        if job is not None:
            await _hold(world, job)
        return
    usage = {resource: shown(resource, amount) for resource, amount in asked.items()}
    pod_set = row["spec"]["podSets"][0]
    assignment = {"name": pod_set["name"], "count": pod_set["count"], "flavors": flavors, "resourceUsage": usage}
    admission = {"clusterQueue": queue["metadata"]["name"], "podSetAssignments": [assignment]}
    pools.take(admission)
    status = {**status, "admission": admission}
    status = with_condition(status, "QuotaReserved", True, "QuotaReserved", text, now)
    status = with_condition(status, "Admitted", True, "Admitted", "The workload is admitted", now)
    if condition(row, "Evicted"):
        status = with_condition(status, "Evicted", False, "QuotaReserved", "Previously evicted", now)
    if await world.status(row, status) and job is not None:
        await _start(world, admission, job, pools)


async def _start(world: World, admission: Json, job: Json, pools: Pools) -> None:
    """Let a job run whose workload is admitted; a plain Job on the nodes of its flavor."""
    if not job["spec"].get("suspend", False):
        return
    body: Json = {"spec": {"suspend": False}}
    selector = pools.node_labels((admission["podSetAssignments"][0].get("flavors") or {}).values())
    if job["kind"] == "Job" and selector:
        body["spec"]["template"] = {"spec": {"nodeSelector": selector}}
    await world.patch(job, body)


async def _hold(world: World, job: Json) -> None:
    """Suspend a job that runs without being admitted, as Kueue's webhook does before it can start."""
    if not job["spec"].get("suspend", False):
        await world.patch(job, {"spec": {"suspend": True}})


async def _evict(world: World, row: Json, job: Json | None, reason: str, text: str) -> None:
    """Take the quota back and suspend the job; its pods ask for the nodes again that it named itself."""
    status = {key: value for key, value in row["status"].items() if key != "admission"}
    now = world.now()
    status = with_condition(status, "Evicted", True, reason, text, now)
    status = with_condition(status, "Admitted", False, "NoReservation", "The workload has no reservation", now)
    status = with_condition(status, "QuotaReserved", False, "Suspended", text, now)
    await world.status(row, status)
    if job is None:
        return
    if not await world.patch(job, {"spec": {"suspend": True}}) or job["kind"] != "Job":
        return
    own = row["spec"]["podSets"][0]["template"]["spec"].get("nodeSelector") or {}
    asked = {**dict.fromkeys(node_selector(job)), **own}  # only a suspended Job's template may change
    await world.patch(job, {"spec": {"template": {"spec": {"nodeSelector": asked}}}})


def _over(job: Json) -> bool:
    if job["kind"] == "RayJob":
        return (job.get("status") or {}).get("jobStatus") in ("SUCCEEDED", "FAILED", "STOPPED")
    return any(holds(job, kind) for kind in ("Complete", "Failed"))


async def _tell(world: World, pools: Pools) -> None:
    """Write the queues' status: usage by flavor, and how many are pending and admitted."""
    mine: dict[str, list[Json]] = {}
    for row in pools.workloads:
        for queue in pools.queues_of(row):
            if queue is not None:
                mine.setdefault(queue["metadata"]["uid"], []).append(row)
    for queue in pools.cluster_queues:
        rows = mine.get(queue["metadata"]["uid"], [])
        usage = _usage(world, queue, pools, rows)
        status = {**_counted(queue, rows), "flavorsUsage": usage, "flavorsReservation": usage}
        await world.status(queue, _activity(world, queue, status, "Can admit new workloads"))
    for local in pools.local_queues:
        status = _counted(local, mine.get(local["metadata"]["uid"], []))
        await world.status(local, _activity(world, local, status, "Can submit new workloads to localQueue"))


def _usage(world: World, queue: Json, pools: Pools, mine: list[Json]) -> list[Json]:
    name, rows = queue["metadata"]["name"], []
    pending = sum(1 for row in mine if _pending(row))
    for group in queue["spec"].get("resourceGroups") or []:
        for flavor in group["flavors"]:
            resources: list[Json] = []
            for quota in flavor["resources"]:
                used = pools.used.get((name, flavor["name"], quota["name"]), Fraction(0))
                over = max(Fraction(0), used - parse(quota["nominalQuota"]))
                total, borrowed = shown(quota["name"], used), shown(quota["name"], over)
                resources.append({"name": quota["name"], "total": total, "borrowed": borrowed})
                if quota["name"] in DEVICES:
                    world.signals.queue(name, flavor["name"], quota["name"], int(used), pending)
            rows.append({"name": flavor["name"], "resources": resources})
    return rows


def _pending(row: Json) -> bool:
    return not holds(row, "QuotaReserved") and not holds(row, "Finished")


def _counted(queue: Json, mine: list[Json]) -> Json:
    reserving = sum(1 for row in mine if holds(row, "QuotaReserved") and not holds(row, "Finished"))
    return {
        **(queue.get("status") or {}),
        "pendingWorkloads": sum(1 for row in mine if _pending(row)),
        "reservingWorkloads": reserving,
        "admittedWorkloads": reserving,
    }


def _activity(world: World, queue: Json, status: Json, text: str) -> Json:
    if _stopped(queue) != "None":
        return with_condition(status, "Active", False, "Stopped", "The queue is stopped", world.now())
    return with_condition(status, "Active", True, "Ready", text, world.now())
