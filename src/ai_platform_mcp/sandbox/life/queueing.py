"""Kueue in its simplest true form: a Workload per queued job, admission by quota and flavor order, eviction.

Follows Kueue's documented behaviour: flavors are tried in the order of the ClusterQueue, quota counts devices, a workload
is admitted whole, pending ones are taken by priority and then by age, and a job is suspended exactly while its workload is
not admitted.
"""

from __future__ import annotations

from typing import Any

from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.life.world import (
    Json,
    World,
    condition,
    holds,
    labels_of,
    owned_by,
    owner,
    with_condition,
)

QUEUE = "kueue.x-k8s.io/queue-name"
PRIORITY = "kueue.x-k8s.io/priority-class"
KUEUE = "kueue.x-k8s.io/v1beta2"
JOBS = (("batch/v1", "Job"), ("trainer.kubeflow.org/v1alpha1", "TrainJob"), ("ray.io/v1", "RayJob"))
DEVICES = ("nvidia.com/gpu", "google.com/tpu")


async def step(world: World) -> None:
    """Bring workloads and queues to where the real Kueue would have them by now."""
    workloads = await world.all(KUEUE, "Workload")
    jobs = [job for api, kind in JOBS for job in await world.all(api, kind) if QUEUE in labels_of(job)]
    for job in jobs:
        if not any(owned_by(row, job) for row in workloads):
            await world.make(await _workload(world, job))
    workloads = await world.all(KUEUE, "Workload")
    pools = Pools(await world.all(KUEUE, "ClusterQueue"), await world.all(KUEUE, "LocalQueue"), workloads)
    for row in sorted(workloads, key=_turn):
        job = next((job for job in jobs if owned_by(row, job)), None)
        await _move(world, row, job, pools)
    await _tell(world, Pools(pools.cluster_queues, pools.local_queues, await world.all(KUEUE, "Workload")))


async def _workload(world: World, job: Json) -> Json:
    meta = job["metadata"]
    name = labels_of(job).get(PRIORITY)
    spec: Json = {"active": True, "queueName": labels_of(job)[QUEUE], "podSets": [_pod_set(job)]}
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
            "labels": {key: value for key, value in labels_of(job).items() if key.startswith("aiplatform.dev/")},
        },
        "spec": spec,
    }


def _pod_set(job: Json) -> Json:
    count, requests = demand(job)
    container = {"name": "main", "image": "placeholder", "resources": {"requests": requests}}
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    return {"name": "main", "count": count, "template": template}


def demand(job: Json) -> tuple[int, dict[str, str]]:
    """How many pods a job runs and what each of them requests in devices."""
    spec: Json = job["spec"]
    if job["kind"] == "TrainJob":
        trainer: Json = spec.get("trainer") or {}
        resources: Json = trainer.get("resourcesPerNode") or {}
        return int(trainer.get("numNodes") or 1), _devices(resources)
    if job["kind"] == "RayJob":
        groups: list[Json] = spec.get("rayClusterSpec", {}).get("workerGroupSpecs") or []
        count = sum(int(group.get("replicas") or 1) for group in groups) or 1
        template: Json = groups[0]["template"] if groups else {}
        return count, _pod_devices(template.get("spec") or {})
    return int(spec.get("parallelism") or 1), _pod_devices(spec["template"]["spec"])


def _pod_devices(pod: Json) -> dict[str, str]:
    totals: dict[str, int] = {}
    for container in pod.get("containers") or []:
        for name, value in _devices(container.get("resources") or {}).items():
            totals[name] = totals.get(name, 0) + int(value)
    return {name: str(value) for name, value in totals.items()}


def _devices(resources: Json) -> dict[str, str]:
    asked: Json = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: str(asked[name]) for name in DEVICES if name in asked}


def needs(workload: Json) -> dict[str, int]:
    """Devices a workload needs in all, by resource."""
    totals: dict[str, int] = {}
    for pod_set in workload["spec"]["podSets"]:
        requests = _pod_devices(pod_set["template"]["spec"])
        for name, value in requests.items():
            totals[name] = totals.get(name, 0) + int(value) * int(pod_set["count"])
    return totals


def _turn(workload: Json) -> tuple[int, int, str, str]:
    """Admitted ones first, then by priority, then by age."""
    meta = workload["metadata"]
    waiting = 0 if holds(workload, "QuotaReserved") else 1
    return waiting, -int(workload["spec"].get("priority") or 0), meta["creationTimestamp"], meta["name"]


class Pools:
    """Quota of every ClusterQueue and what admitted workloads use of it."""

    def __init__(self, cluster_queues: list[Json], local_queues: list[Json], workloads: list[Json]):
        self.cluster_queues = cluster_queues
        self.local_queues = local_queues
        self.workloads = workloads
        self.used: dict[tuple[str, str, str], int] = {}
        for row in workloads:
            if holds(row, "QuotaReserved") and not holds(row, "Finished"):
                self.take(row["status"]["admission"])

    def take(self, admission: Json) -> None:
        """Count an admission."""
        for assignment in admission["podSetAssignments"]:
            for resource, flavor in (assignment.get("flavors") or {}).items():
                amount = int((assignment.get("resourceUsage") or {}).get(resource, 0))
                key = (admission["clusterQueue"], flavor, resource)
                self.used[key] = self.used.get(key, 0) + amount

    def cluster_queue(self, workload: Json) -> tuple[Json | None, Json | None]:
        """The local queue and the cluster queue a workload goes to."""
        namespace, name = workload["metadata"]["namespace"], workload["spec"].get("queueName")
        local = next(
            (q for q in self.local_queues if (q["metadata"]["namespace"], q["metadata"]["name"]) == (namespace, name)),
            None,
        )
        wanted = local["spec"]["clusterQueue"] if local else None
        return local, next((q for q in self.cluster_queues if q["metadata"]["name"] == wanted), None)

    def assign(self, queue: Json, asked: dict[str, int]) -> tuple[dict[str, str] | None, str, str]:
        """Choose flavors for what is asked; on failure say why, by Kueue's reason and in words."""
        chosen: dict[str, str] = {}
        for resource, amount in asked.items():
            offers = _offers(queue, resource)
            if not offers:
                return (
                    None,
                    "NoMatchingFlavor",
                    f"ClusterQueue {queue['metadata']['name']} has no flavor for {resource}",
                )
            if all(amount > nominal for _, nominal in offers):
                most = max(nominal for _, nominal in offers)
                return None, "ExceedsMaxQuota", f"{amount} {resource} asked, {most} is the most one flavor ever has"
            fits = [flavor for flavor, nominal in offers if self._free(queue, flavor, resource, nominal) >= amount]
            if not fits:
                free = ", ".join(f"{f} {self._free(queue, f, resource, n)} of {n}" for f, n in offers)
                return None, "WaitingForQuota", f"insufficient unused quota for {amount} {resource}: {free}"
            chosen[resource] = fits[0]
        return chosen, "QuotaReserved", f"Quota reserved in ClusterQueue {queue['metadata']['name']}"

    def _free(self, queue: Json, flavor: str, resource: str, nominal: int) -> int:
        return nominal - self.used.get((queue["metadata"]["name"], flavor, resource), 0)


def _offers(queue: Json, resource: str) -> list[tuple[str, int]]:
    return [
        (flavor["name"], int(quota["nominalQuota"]))
        for group in queue["spec"].get("resourceGroups") or []
        for flavor in group["flavors"]
        for quota in flavor["resources"]
        if quota["name"] == resource
    ]


async def _move(world: World, row: Json, job: Json | None, pools: Pools) -> None:
    if job is None:
        await world.remove(row)
        return
    if holds(row, "Finished"):
        return
    if _over(job):
        status = with_condition(row.get("status") or {}, "Finished", True, "JobFinished", "Job finished", world.now())
        await world.status(row, status)
        return
    local, queue = pools.cluster_queue(row)
    stopped = queue is not None and queue["spec"].get("stopPolicy", "None") == "HoldAndDrain"
    stopped = stopped or (local is not None and local["spec"].get("stopPolicy", "None") == "HoldAndDrain")
    if holds(row, "QuotaReserved"):
        if not row["spec"].get("active", True):
            await _evict(world, row, job, "Deactivated", "The workload is deactivated")
        elif stopped:
            await _evict(world, row, job, "ClusterQueueStopped", "The queue is stopped")
        else:
            await _run(world, row, job)
        return
    await _admit(world, row, queue, pools, stopped=stopped)


async def _admit(world: World, row: Json, queue: Json | None, pools: Pools, *, stopped: bool) -> None:
    now, status = world.now(), row.get("status") or {}
    if queue is None or stopped or not row["spec"].get("active", True):
        reason = "Suspended" if queue is not None else "Misconfigured"
        text = "The queue or the workload is stopped" if queue is not None else "The LocalQueue leads nowhere"
        await world.status(row, with_condition(status, "QuotaReserved", False, reason, text, now))
        return
    asked = needs(row)
    flavors, reason, text = pools.assign(queue, asked)
    if flavors is None:
        await world.status(row, with_condition(status, "QuotaReserved", False, reason, text, now))
        return
    usage = {resource: str(amount) for resource, amount in asked.items()}
    assignment = {
        "name": "main",
        "count": row["spec"]["podSets"][0]["count"],
        "flavors": flavors,
        "resourceUsage": usage,
    }
    admission = {"clusterQueue": queue["metadata"]["name"], "podSetAssignments": [assignment]}
    pools.take(admission)
    status = {**status, "admission": admission}
    status = with_condition(status, "QuotaReserved", True, "QuotaReserved", text, now)
    status = with_condition(status, "Admitted", True, "Admitted", "The workload is admitted", now)
    if condition(row, "Evicted"):
        status = with_condition(status, "Evicted", False, "QuotaReserved", "Previously evicted", now)
    await world.status(row, status)


async def _run(world: World, row: Json, job: Json) -> None:
    """Start a job whose workload is admitted, on the nodes of its flavor."""
    if not job["spec"].get("suspend", False):
        return
    flavors: dict[str, str] = row["status"]["admission"]["podSetAssignments"][0].get("flavors") or {}
    selector: dict[str, str] = {}
    for name in flavors.values():
        flavor = await world.store.find(KUEUE, "ResourceFlavor", name)
        selector |= (flavor or {}).get("spec", {}).get("nodeLabels") or {}
    body: dict[str, Any] = {"spec": {"suspend": False}}
    if job["kind"] == "Job" and selector:
        body["spec"]["template"] = {"spec": {"nodeSelector": selector}}
    await world.patch(job, body)
    if job["kind"] == "Job":
        fresh = await world.store.find(
            job["apiVersion"], job["kind"], job["metadata"]["name"], job["metadata"]["namespace"]
        )
        if fresh is not None and not (fresh.get("status") or {}).get("startTime"):
            await world.status(fresh, {**(fresh.get("status") or {}), "startTime": stamp(world.now())})


async def _evict(world: World, row: Json, job: Json, reason: str, text: str) -> None:
    status = {key: value for key, value in row["status"].items() if key != "admission"}
    now = world.now()
    status = with_condition(status, "Evicted", True, reason, text, now)
    status = with_condition(status, "Admitted", False, "NoReservation", "The workload has no reservation", now)
    status = with_condition(status, "QuotaReserved", False, "Suspended", text, now)
    await world.status(row, status)
    await world.patch(job, {"spec": {"suspend": True}})


def _over(job: Json) -> bool:
    if job["kind"] == "RayJob":
        return (job.get("status") or {}).get("jobStatus") in ("SUCCEEDED", "FAILED", "STOPPED")
    return any(holds(job, kind) for kind in ("Complete", "Failed"))


async def _tell(world: World, pools: Pools) -> None:
    """Write the queues' status: usage by flavor, and how many are pending and admitted."""
    for queue in pools.cluster_queues:
        name = queue["metadata"]["name"]
        mine = [
            row
            for row in pools.workloads
            if (pools.cluster_queue(row)[1] or {}).get("metadata", {}).get("name") == name
        ]
        await world.status(queue, _queue_status(world, queue, mine, _usage(world, queue, pools, mine)))
    for local in pools.local_queues:
        mine = [row for row in pools.workloads if pools.cluster_queue(row)[0] is local]
        await world.status(local, _queue_status(world, local, mine, None))


def _usage(world: World, queue: Json, pools: Pools, mine: list[Json]) -> list[Json]:
    name, rows = queue["metadata"]["name"], []
    pending = sum(1 for row in mine if _pending(row))
    for group in queue["spec"].get("resourceGroups") or []:
        for flavor in group["flavors"]:
            resources: list[Json] = []
            for quota in flavor["resources"]:
                used = pools.used.get((name, flavor["name"], quota["name"]), 0)
                over = max(0, used - int(quota["nominalQuota"]))
                resources.append({"name": quota["name"], "total": str(used), "borrowed": str(over)})
                world.signals.queue(name, flavor["name"], quota["name"], used, pending)
            rows.append({"name": flavor["name"], "resources": resources})
    return rows


def _pending(row: Json) -> bool:
    return not holds(row, "QuotaReserved") and not holds(row, "Finished")


def _queue_status(world: World, queue: Json, mine: list[Json], usage: list[Json] | None) -> Json:
    status: Json = dict(queue.get("status") or {})
    reserving = sum(1 for row in mine if holds(row, "QuotaReserved") and not holds(row, "Finished"))
    status |= {
        "pendingWorkloads": sum(1 for row in mine if _pending(row)),
        "reservingWorkloads": reserving,
        "admittedWorkloads": reserving,
    }
    if usage is not None:
        status |= {"flavorsUsage": usage, "flavorsReservation": usage}
    text = "Can admit new workloads" if usage is not None else "Can submit new workloads to localQueue"
    return with_condition(status, "Active", True, "Ready", text, world.now())
