"""Serverless beside the cluster: which of Cloud Run and Lambda a cluster offers, and the object to apply there.

The platform file says in whose account (``serverless`` of the cluster's entry), the registry which image. What is missing is
refused with what to do about it, never replaced by another way to serve: that would be another bill and another address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ai_platform_mcp.core.errors import Conflict, InvalidInput, Misconfigured
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Apply, Risk
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.evidence import SERVING_IMAGE, serving_image
from ai_platform_mcp.domain.objects import annotations_of, metadata_of, preconditions, ref_of, rows, section, whole
from ai_platform_mcp.domain.progress import STABLE_VERSION
from ai_platform_mcp.manifests import kserve
from ai_platform_mcp.manifests import serverless as cloud
from ai_platform_mcp.manifests.common import Capabilities, Origin
from ai_platform_mcp.tools._cloud import CloudPart, LiveService, Strategy, Wanted, made_by, strategy_of, title_of
from ai_platform_mcp.tools._models import Chosen
from ai_platform_mcp.tools._reading import Place

Kind = Literal["RunService", "Function"]
NAMES: dict[Kind, str] = {"RunService": "Cloud Run", "Function": "Lambda"}
APIS: dict[Kind, str] = {"RunService": cloud.RUN_API, "Function": cloud.LAMBDA_API}
CLOUDS: dict[Kind, str] = {"RunService": "gcp", "Function": "aws"}
_BROUGHT_BY: dict[Kind, str] = {"RunService": "Config Connector", "Function": "ACK"}
DEFAULT_INSTANCES = 10
"""The most instances where neither the call nor what serves already says it."""
LEAST_MIB, MIB_STEP = 2048, 256
WEIGHTS_AND_WORK = 2
"""Memory in sizes of the model: its weights once, and as much again for the server and the requests."""


@dataclass(frozen=True)
class LiveServerless(LiveService):
    """The RunService or Function that serves the model now, if one does, and where its next version would be."""

    kind: Kind = "RunService"
    location: str = ""
    image: str = ""
    beside: str = ""
    """What serves the model in the cluster itself, empty where nothing does."""

    @property
    def title(self) -> str:
        """What people call it."""
        return NAMES[self.kind]

    def replicas(self, which: Literal["minReplicas", "maxReplicas"]) -> int:
        """Return the instances it may have; 0 where nothing serves."""
        spec = section(self.live, "spec")
        if self.kind == "Function":
            return whole(spec.get("reservedConcurrentExecutions")) if which == "maxReplicas" else 0
        return whole(section(spec, "template", "scaling").get(which.replace("Replicas", "InstanceCount")))

    @property
    def stable_revision(self) -> str:
        """The revision that the most traffic goes to, empty where none is known: Cloud Run only."""
        spec, status = section(self.live, "spec"), section(self.live, "status")
        named = [row for row in rows(spec, "traffic") if row.get("revision")]
        if named:
            return str(max(named, key=lambda row: whole(row.get("percent")))["revision"])
        made = section(spec, "template").get("revision") or status.get("latestReadyRevision") or ""
        return str(made).rpartition("/")[2]


# ------------------------------------------------------------------------------------------------------------ choosing


async def read_serverless(
    readers: Readers, where: Place, chosen: Chosen, can: Capabilities, *, in_cluster: str, plain: LiveService
) -> LiveService:
    """Return how the model is served without anything that is always on: by Cloud Run, by Lambda, or by KServe (``plain``).

    ``in_cluster`` says why it must be KServe whatever else is offered, empty where nothing says so.

    Raises:
        InvalidInput: the version has no image for it, or nothing says which of two clouds is meant.
        Misconfigured: the platform file does not say where, or as whom.
        Conflict: it is somewhere else already.
    """
    kind: Kind | None = None
    why = in_cluster
    if not in_cluster:
        kind, why = _offered(where, can)
    if kind is None:
        return LiveService(plain.name, plain.live, f"By KServe, since {why}.")
    location = where.cluster.serverless.location or where.cluster.region
    _check_account(where, kind, location)
    image = serving_image(chosen.version.tags)
    if not image:
        raise InvalidInput(
            f"{NAMES[kind]} has nothing to run: no image of {chosen.name} {chosen.version.version} is known.",
            cause="It runs a container image that brings the model with it, pinned by digest.",
            remedy=f"Tag the version {SERVING_IMAGE} with registry/name@sha256:…, or use target=cloud with min_replicas=0.",
        )
    name = kserve.endpoint_name(chosen.name)
    live = await readers.clusters.get(where.cluster.name, APIS[kind], kind, name, where.namespace.name)
    if live is not None:
        live = {"apiVersion": APIS[kind], "kind": kind, **live}
        _check_location(live, kind, location)
    beside = str(ref_of(plain.live)) if plain.live is not None else ""
    return LiveServerless(name, live, why, kind=kind, location=location, image=image, beside=beside)


def _offered(where: Place, can: Capabilities) -> tuple[Kind | None, str]:
    """Return the kind that this cluster's cloud takes and why, None where it offers none."""
    cluster = where.cluster
    served: list[Kind] = [kind for kind, api in APIS.items() if can.serves(api, kind)]
    fitting: list[Kind] = [kind for kind in served if cluster.cloud in ("", CLOUDS[kind])]
    if len(fitting) > 1:
        raise InvalidInput(
            f"Cluster {cluster.name} serves both RunService and Function: which one is meant is not known.",
            remedy=f"Set `cloud` (gcp or aws) in the platform file's entry of {cluster.name}.",
        )
    if fitting:
        kind = fitting[0]
        text = f"{NAMES[kind]}, since cluster {cluster.name} serves {kind} ({_BROUGHT_BY[kind]})"
        return kind, f"{text} and is in {cluster.cloud}." if cluster.cloud else f"{text}."
    if served:
        return None, f"cluster {cluster.name} is in {cluster.cloud}, and {served[0]} is of {CLOUDS[served[0]]}"
    return None, f"cluster {cluster.name} serves neither RunService (Config Connector) nor Function (ACK)"


def _check_account(where: Place, kind: Kind, location: str) -> None:
    account = where.cluster.serverless
    needed = {"location": location}
    needed |= {"project": account.project} if kind == "RunService" else {"role_arn": account.role_arn}
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise Misconfigured(
            f"{NAMES[kind]} cannot be used from cluster {where.cluster.name}: {' and '.join(missing)} not set.",
            cause="Where a service stands and as whom it runs is an administrator's word, not a caller's.",
            remedy=f"Set serverless.{' and serverless.'.join(missing)} in the platform file's entry of "
            f"{where.cluster.name}, or use target=cloud with min_replicas=0.",
        )


def _check_location(live: type_json, kind: Kind, location: str) -> None:
    """Refuse to move a service: its location cannot be changed, and a second one would be another service."""
    spec = section(live, "spec")
    now = spec.get("location") if kind == "RunService" else annotations_of(live).get(cloud.REGION_ANNOTATION)
    if now and now != location:
        raise Conflict(
            f"{ref_of(live)} is in {now}, and the platform file says {location}.",
            cause="A service's location cannot be changed.",
            remedy="Set serverless.location back, or delete the service first.",
        )


# ------------------------------------------------------------------------------------------------------------ the step


def serverless_part(
    where: Place,
    chosen: Chosen,
    service: LiveServerless,
    instances: tuple[int, int],
    *,
    wanted: Wanted,
    percent: int,
    said: bool,
    force: bool,
    can: Capabilities,
    origin: Origin,
) -> CloudPart:
    """Return the object to apply. ``instances`` are least and most; ``said``: the call itself gives ``percent``.

    Raises:
        InvalidInput: what this kind cannot do was asked for: blue/green, a canary of Lambda, instances that wait in Lambda.
        Conflict: a canary is asked for, and which revision is stable is not known.
    """
    strategy = _strategy(chosen, service, wanted, percent, said=said)
    canary = strategy == "canary"
    made = made_by(service.live, origin)
    if service.kind == "RunService":
        manifest = cloud.run_service(_run(where, chosen, service, instances, percent if canary else None), made, can)
    else:
        manifest = cloud.function(_lambda(where, chosen, service, instances), made, can)
    if canary:
        metadata_of(manifest)["annotations"][STABLE_VERSION] = service.current_version
    step = Apply(
        title=title_of(manifest, chosen, strategy, percent), cluster=where.cluster.name, manifest=manifest, force=force
    )
    guards = (*preconditions(step, service.live), *chosen.preconditions())
    return CloudPart(
        step=step.model_copy(update={"preconditions": guards}),
        strategy=strategy,
        percent=percent if canary else 100,
        current_version=service.current_version,
        reasons=(service.why, *_reasons(where, chosen, service, instances, strategy)),
        risks=_risks(service, strategy),
    )


def _strategy(chosen: Chosen, service: LiveServerless, wanted: Wanted, percent: int, *, said: bool) -> Strategy:
    strategy = strategy_of(service.current_version, chosen.version.version, percent, wanted)
    if strategy == "blue_green":
        raise InvalidInput(
            f"{service.title} has no blue/green here: the controller moves InferenceServices.",
            remedy="Leave out strategy.",
        )
    if strategy == "canary" and service.kind == "Function":
        if said:
            raise InvalidInput(
                "A canary of a Function is not possible here.",
                cause="Its traffic is split by an alias over published versions, whose numbers Lambda gives afterwards.",
                remedy="Pass canary_percent=0 to replace it at once, or use target=cloud.",
            )
        return "all_at_once"
    return strategy


def _memory_mib(chosen: Chosen) -> int:
    wanted = max(LEAST_MIB, WEIGHTS_AND_WORK * (chosen.shape.size_mib or 0))
    return -(-wanted // MIB_STEP) * MIB_STEP


def _run(
    where: Place, chosen: Chosen, service: LiveServerless, instances: tuple[int, int], percent: int | None
) -> cloud.CloudRun:
    share = None
    if percent is not None:
        if not service.stable_revision:
            raise Conflict(
                f"Which revision of RunService {service.name} is stable is not known: none is ready yet.",
                remedy="Wait until it is ready, or pass canary_percent=0.",
            )
        share = cloud.Share(percent=percent, stable=service.stable_revision)
    account = where.cluster.serverless
    return cloud.CloudRun(
        name=service.name,
        namespace=where.namespace.name,
        cloud_name=_cloud_name(where, chosen, service, "resourceID"),
        location=service.location,
        image=service.image,
        memory_mib=_memory_mib(chosen),
        min_instances=instances[0],
        max_instances=instances[1],
        project=account.project,
        service_account=account.service_account,
        share=share,
    )


def _lambda(where: Place, chosen: Chosen, service: LiveServerless, instances: tuple[int, int]) -> cloud.Lambda:
    if instances[0]:
        raise InvalidInput(
            "Lambda keeps no instances ready here.",
            cause="Provisioned concurrency needs published versions, which this platform does not make.",
            remedy="Leave out min_replicas, or use target=cloud.",
        )
    return cloud.Lambda(
        name=service.name,
        namespace=where.namespace.name,
        cloud_name=_cloud_name(where, chosen, service, "name"),
        location=service.location,
        image=service.image,
        memory_mib=_memory_mib(chosen),
        max_instances=instances[1],
        role_arn=where.cluster.serverless.role_arn,
    )


def _cloud_name(where: Place, chosen: Chosen, service: LiveServerless, field: str) -> str:
    """Return the name in the cloud: what is there keeps its own, which cannot be changed, and is its object's where unsaid."""
    if service.live is not None:
        return str(section(service.live, "spec").get(field) or service.name)
    return cloud.cloud_name(where.cluster.name, where.namespace.name, chosen.name)


def _reasons(
    where: Place, chosen: Chosen, service: LiveServerless, instances: tuple[int, int], strategy: Strategy
) -> tuple[str, ...]:
    account, size = where.cluster.serverless, chosen.shape.size_mib
    known = f"a model of {size} MiB" if size else "the registry does not say the model's size"
    memory = f"{_memory_mib(chosen)} MiB each ({known})"
    if service.kind == "Function":
        return (
            f"In {service.location} as {account.role_arn}: at most {instances[1]} requests at a time, {memory}, and "
            f"{cloud.LAMBDA_SECONDS} s for each. It is invoked by its ARN: no URL is opened.",
        )
    who = account.service_account or "the project's default service account"
    told = f"In {service.location}, project {account.project}, as {who}: {instances[0]} to {instances[1]} instances of {memory}."
    if strategy != "canary":
        return (told,)
    return (told, "A person moves it on (control_operation promote or rollback): no controller moves a RunService.")


def _risks(service: LiveServerless, strategy: Strategy) -> tuple[Risk, ...]:
    speaks = "Lambda's runtime API" if service.kind == "Function" else "HTTP on the port that $PORT names"
    found = [Risk(severity="info", text=f"The image must bring the model and speak {speaks}: that is not checked.")]
    if service.kind == "Function" and strategy == "all_at_once":
        text = "Lambda takes the new image at once, with no canary first; the way back is to deploy the version before."
        found.append(Risk(severity="warning", text=text))
    if service.beside:
        text = f"{service.beside} serves the model as well and goes on: callers stay there until they are routed here."
        found.append(Risk(severity="warning", text=text))
    return tuple(found)
